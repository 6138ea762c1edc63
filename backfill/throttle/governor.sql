-- The state of the consumers, as they store it.

-- name: transaction_ms
-- How long the latest transactions of active consumers took. Null: none is active.
SELECT avg(transaction_ms)
FROM (SELECT transaction_ms FROM positions
      WHERE updated_at > clock_timestamp() - make_interval(secs => %(recent_seconds)s)
      ORDER BY updated_at DESC LIMIT 8) latest;

-- name: positions
-- How far each partition is applied.
SELECT topic, partition, next_offset FROM positions WHERE group_id = %(group_id)s;
