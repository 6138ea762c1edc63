-- Run on a new connection before anything else. Names are qualified, because search_path is among the settings that are
-- not pinned yet.

-- name: read_settings
-- The values of some settings; null where this server has no such setting.
SELECT asked.name, pg_catalog.current_setting(asked.name, true)
FROM pg_catalog.unnest(%(names)s::pg_catalog.text[]) AS asked (name);

-- name: pin
-- For the rest of the session: this overrides what the address, the environment, the role and the server set.
SELECT pg_catalog.set_config(pinned.name, pinned.value, false)
FROM ROWS FROM (pg_catalog.unnest(%(names)s::pg_catalog.text[]), pg_catalog.unnest(%(values)s::pg_catalog.text[]))
     AS pinned (name, value);
