-- name: is_created
-- Whether migrations were ever run here; works for a role without any right on the schema.
SELECT EXISTS (
    SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %(schema)s AND c.relname = 'alembic_version'
);

-- name: current
-- The revision that Alembic recorded.
SELECT version_num FROM {schema}.alembic_version;
