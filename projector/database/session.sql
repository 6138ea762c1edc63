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

-- name: missing
-- Of settings that were asked for with the connection: those that have their value from elsewhere. PostgreSQL does not
-- list a role, or a setting of an extension that is not loaded: those are set once more.
SELECT asked.name
FROM pg_catalog.unnest(%(names)s::pg_catalog.text[]) AS asked (name)
WHERE NOT EXISTS (
    SELECT FROM pg_catalog.pg_settings AS setting
    WHERE pg_catalog.lower(setting.name) = pg_catalog.lower(asked.name) AND setting.source IN ('client', 'session')
);
