-- Advisory locks of a session, or of a transaction where that is said. Each has a name, from which its key is computed
-- here and nowhere else.

-- name: keys
-- The keys of some names; the key of a lock that belongs to a schema includes the schema's name.
keys AS MATERIALIZED (
    SELECT name,
           hashtextextended(concat_ws(' ', name, CASE WHEN %(of_schema)s THEN current_schema() END), %(seed)s) AS key
    FROM unnest(%(names)s::text[]) AS wanted (name)
)

-- name: lock
-- Wait for an exclusive lock.
-- with: keys
SELECT pg_advisory_lock(key) FROM keys;

-- name: lock_until_commit
-- The same, held up to the end of the transaction.
-- with: keys
SELECT pg_advisory_xact_lock(key) FROM keys;

-- name: try_lock
-- Take an exclusive lock if nobody holds it, without waiting.
-- with: keys
SELECT pg_try_advisory_lock(key) FROM keys;

-- name: unlock
-- Release an exclusive lock.
-- with: keys
SELECT pg_advisory_unlock(key) FROM keys;

-- name: share
-- Wait for a shared lock.
-- with: keys
SELECT pg_advisory_lock_shared(key) FROM keys;

-- name: stop_sharing
-- Release a shared lock.
-- with: keys
SELECT pg_advisory_unlock_shared(key) FROM keys;

-- name: holders
-- The sessions that hold each of these locks, shared or exclusive, as process ids of the server.
-- with: keys
SELECT k.name, l.pid
FROM keys k
JOIN pg_locks l ON l.locktype = 'advisory' AND l.granted AND k.key = (l.classid::bigint << 32) | l.objid::bigint
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database());
