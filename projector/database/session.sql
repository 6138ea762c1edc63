-- What a connection is made of, before anything else is asked of it: names are written in full, because the schemas that
-- are looked in first are among what is still to be pinned.

-- name: look
-- The values of some settings; null where this server has no such setting.
SELECT asked.name, pg_catalog.current_setting(asked.name, true)
FROM pg_catalog.unnest(%(names)s::pg_catalog.text[]) AS asked (name);

-- name: pin
-- For the session's life: it counts for more than what the address, the environment, the role or the server says.
SELECT pg_catalog.set_config(pinned.name, pinned.value, false)
FROM ROWS FROM (pg_catalog.unnest(%(names)s::pg_catalog.text[]), pg_catalog.unnest(%(values)s::pg_catalog.text[]))
     AS pinned (name, value);
