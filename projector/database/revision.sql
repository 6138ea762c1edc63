-- name: is_created
-- Whether migrations were ever run here, for whoever may not even look into the schema.
SELECT EXISTS (
    SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %(schema)s AND c.relname = 'alembic_version'
);

-- name: current
SELECT version_num FROM {schema}.alembic_version;
