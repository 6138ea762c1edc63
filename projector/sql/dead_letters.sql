-- name: keep_dead_letters
-- A message that is read again is the same dead letter: a replay adds none.
INSERT INTO dead_letters (topic, partition, source_offset, timestamp_ms, reason, detail, key, value, headers)
VALUES (%(topic)s, %(partition)s, %(offset)s, %(timestamp_ms)s, %(reason)s, %(detail)s, %(key)s, %(value)s, %(headers)s)
ON CONFLICT (topic, partition, source_offset, timestamp_ms) DO NOTHING;
