-- name: record_stop
-- Record why a consumer ends, and where its group stands; one row for each host and reason, however often it restarts.
INSERT INTO consumer_stops (group_id, host, reason, message, positions)
SELECT %(group_id)s, %(host)s, %(reason)s, %(message)s,
       coalesce((SELECT jsonb_object_agg(topic || '/' || partition, next_offset)
                 FROM positions WHERE group_id = %(group_id)s), '{}')
ON CONFLICT (group_id, host, reason) DO UPDATE SET
    message = excluded.message, positions = excluded.positions, stopped_at = excluded.stopped_at,
    times = consumer_stops.times + 1;

-- name: forget_stops
-- Forget what stopped the group, and return how many reasons there were.
DELETE FROM consumer_stops WHERE group_id = %(group_id)s;
