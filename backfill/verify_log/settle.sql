-- Suspected rows, compared with what the log says about them. In these statements {table}, {key}, {entity} and
-- {content} stand for one entity's table, its key, the name of its topic and the columns that an event decides;
-- {h_content} and {m_content} are those of the history row and of the message.

-- name: next_suspects
-- The last key of the next page of suspected rows.
SELECT max(suspect_id) FROM (
    SELECT suspect_id FROM log_suspects
    WHERE run_id = %(run_id)s AND suspect_id > %(after)s ORDER BY suspect_id LIMIT %(size)s) page;

-- name: logged
-- What the log says, as it was stored.
s.content

-- name: logged_assignment
-- The same, and whether the assignment is in effect as of the clock now.
s.content || jsonb_build_object(
    'active', NOT (s.content ->> 'ended')::boolean
              AND (s.content ->> 'assigned_at')::timestamptz <= (SELECT through FROM assignment_clock)
              AND coalesce((s.content ->> 'unassigned_at')::timestamptz
                           > (SELECT through FROM assignment_clock), true))

-- name: read_suspects
-- Suspected rows as they are now, and what the log says about each; values as PostgreSQL writes them in JSON.
SELECT s.entity_id,
       (SELECT jsonb_object_agg(key, value) FROM jsonb_each_text({logged})),
       (SELECT jsonb_object_agg(key, value) FROM jsonb_each_text(to_jsonb(h))),
       (s.noted_version, s.noted_event_id, s.noted_partition, s.noted_offset)
       IS NOT DISTINCT FROM (h.version, h.event_id, h.source_partition, h.source_offset)
FROM log_suspects s
LEFT JOIN LATERAL (SELECT * FROM {table} t WHERE t.{key} = s.entity_id OFFSET 0) h ON true
WHERE s.run_id = %(run_id)s AND s.entity = '{entity}' AND s.suspect_id > %(after)s AND s.suspect_id <= %(last)s
ORDER BY s.entity_id;
