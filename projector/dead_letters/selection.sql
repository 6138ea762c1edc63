-- name: read_states
-- The states of those that exist.
SELECT dead_letter_id, state
FROM dead_letters
WHERE dead_letter_id = ANY(%(ids)s::bigint[]);

-- name: last_id
-- The end of a selection: messages that are refused later are not part of it.
SELECT coalesce(max(dead_letter_id), 0)
FROM dead_letters;

-- name: page_open
-- The next open ones of a selection, with their sizes in bytes, in key order; nothing is locked yet.
SELECT dead_letter_id,
       coalesce(octet_length(value), 0) + coalesce(octet_length(key), 0) + pg_column_size(headers) AS bytes
FROM dead_letters
WHERE state = 'open'
  AND dead_letter_id > %(after)s AND dead_letter_id <= %(last)s
  AND (%(ids)s::bigint[] IS NULL OR dead_letter_id = ANY(%(ids)s))
  AND (%(reason)s::text IS NULL OR reason = %(reason)s)
  AND (%(topic)s::text IS NULL OR topic = %(topic)s)
ORDER BY dead_letter_id
LIMIT %(limit)s;
