-- Changing the deployment's row.

-- name: change_identity
-- All facts are written, changed or not.
UPDATE deployment
SET currency = %(currency)s, timezone = %(timezone)s, topic_prefix = %(topic_prefix)s,
    kafka_cluster = %(kafka_cluster)s, changed_at = now();

-- name: lock_identity
-- No other session reads the row until this transaction ends: a program that starts meanwhile waits, and one that has read
-- the row before is connected, so `programs_at_work` lists it.
LOCK TABLE deployment IN ACCESS EXCLUSIVE MODE;

-- name: programs_at_work
-- Sessions of our programs in this database except this command's own kind; every user may see their names and users.
SELECT application_name, usename, pid
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
  AND (application_name = 'backfill' OR application_name LIKE 'projector %%') AND application_name <> %(own)s
ORDER BY pid
LIMIT 1;
