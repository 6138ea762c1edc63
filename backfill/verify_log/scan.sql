-- One part of the log, compared with history. In these statements {table}, {key}, {entity} and {content} stand for one
-- entity's table, its key, the name of its topic and the columns that an event decides; {h_content} and {m_content} are
-- those of the history row and of the message.

-- name: refused
-- The refused messages of a part of the log, and whether none of their dead letters was applied since. Dead letters of
-- an earlier topic of the same name are left out; those stored before topic ids and digests were have neither.
SELECT source_offset, timestamp_ms, digest, bool_and(state <> 'applied')
FROM dead_letters
WHERE topic = %(topic)s AND partition = %(partition)s AND source_offset >= %(start)s AND source_offset < %(end)s
  AND (topic_id IS NULL OR topic_id = %(topic_id)s)
GROUP BY source_offset, timestamp_ms, digest;

-- name: compare
-- Compare each message with the row of its entity. Suspect the row if it is missing, if the message's rank exceeds the
-- row's, or if both have the same state and different content; confirm the offset if the row is that very message.
-- OFFSET 0 keeps the lookup by key, whatever the planner estimates for a temporary table.
WITH looked AS MATERIALIZED (
    SELECT m.entity_id, m.source_offset, m.expected, h.present,
           (m.version, m.event_id, h.source_partition, h.source_offset)
           > (h.version, h.event_id, m.source_partition, m.source_offset) AS outranks,
           (m.version, m.event_id) = (h.version, h.event_id) AS same_state,
           (m.source_partition, m.source_offset) = (h.source_partition, h.source_offset) AS same_place,
           ({h_content}) IS NOT DISTINCT FROM ({m_content}) AS same_content,
           {amended} AS amended
    FROM logged_{entity} m
    LEFT JOIN LATERAL (SELECT true AS present, t.* FROM {table} t WHERE t.{key} = m.entity_id OFFSET 0) h ON true
),
suspected AS (
    INSERT INTO log_suspects (run_id, entity, entity_id)
    SELECT DISTINCT %(run_id)s::uuid, '{entity}', entity_id
    FROM looked
    WHERE (expected AND (present IS NULL OR outranks)) OR (same_state AND NOT same_content AND NOT amended)
    ORDER BY entity_id
    ON CONFLICT ON CONSTRAINT log_suspects_once_a_run DO NOTHING
)
SELECT coalesce(
           array_agg(source_offset) FILTER (WHERE same_state AND same_place AND (same_content OR amended)), '{{}}'),
       count(*) FILTER (WHERE same_state AND same_place AND amended AND NOT same_content)
FROM looked;

-- name: amended
-- Whether an invoice differs from its message only by what `backfill invoice-amounts` made of it: its amount is what
-- its lines charge, and what they bring forward is kept apart.
coalesce((h.amount, coalesce(h.balance_brought_forward, 0)) = (m.charges, m.brought_forward)
         AND (h.meter_id, h.customer_id, h.currency, h.invoice_date, h.due_date, h.invoice_number, h.lines, h.voided)
             IS NOT DISTINCT FROM
             (m.meter_id, m.customer_id, m.currency, m.invoice_date, m.due_date, m.invoice_number, m.lines, m.voided),
         false)

-- name: confirm
-- Store which offsets of a block are confirmed; a chunk covers whole blocks except at the ends of a range.
INSERT INTO log_blocks (run_id, entity, partition, block, confirmed)
VALUES (%(run_id)s, '{entity}', %(partition)s, %(block)s, %(confirmed)s::bit varying)
ON CONFLICT (run_id, entity, partition, block) DO UPDATE SET confirmed = excluded.confirmed;

-- name: any_suspect
-- Whether anything is suspected.
SELECT FROM log_suspects WHERE run_id = %(run_id)s LIMIT 1;

-- name: note_winners
-- Store for each suspected row what the greatest message of its entity says.
WITH best AS (
    SELECT DISTINCT ON (m.entity_id) m.*
    FROM logged_{entity} m
    JOIN log_suspects s ON s.run_id = %(run_id)s AND s.entity = '{entity}' AND s.entity_id = m.entity_id
    WHERE m.expected
    ORDER BY m.entity_id, m.version DESC, m.event_id DESC, m.source_partition, m.source_offset
)
UPDATE log_suspects s SET
    version = b.version, event_id = b.event_id, source_partition = b.source_partition, source_offset = b.source_offset,
    content = to_jsonb(b)
FROM best b
WHERE s.run_id = %(run_id)s AND s.entity = '{entity}' AND s.entity_id = b.entity_id
  AND (s.version IS NULL
       OR (b.version, b.event_id, s.source_partition, s.source_offset)
          > (s.version, s.event_id, b.source_partition, b.source_offset));
