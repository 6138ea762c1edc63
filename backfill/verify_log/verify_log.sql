-- History against the log. {table}, {key}, {entity} and {content} stand for one entity's table, its key, its topic's name
-- and the columns that an event decides; {h_content} and {m_content} are those of the history row and of the message.

-- name: create_staging
-- Once a session: the messages of a part of the log, as the rows that they should be. `expected` is false where the message
-- was refused and is still a dead letter. What an invoice's lines charge and bring forward is null where they say nothing.
CREATE TEMP TABLE IF NOT EXISTS logged_{entity} ON COMMIT DELETE ROWS AS
    SELECT {key} AS entity_id, version, event_id, source_partition, source_offset, {content},
           true AS expected, NULL::numeric AS charges, NULL::numeric AS brought_forward
    FROM {table} WITH NO DATA;

-- name: forget_staged
-- Before the next messages.
DELETE FROM logged_{entity};

-- name: refused
-- Which messages of a part of the log were refused, and whether none of their letters was applied since. Those of a
-- former topic of the same name stand aside; one that was kept before these were has neither topic id nor digest.
SELECT source_offset, timestamp_ms, digest, bool_and(state <> 'applied')
FROM dead_letters
WHERE topic = %(topic)s AND partition = %(partition)s AND source_offset >= %(start)s AND source_offset < %(end)s
  AND (topic_id IS NULL OR topic_id = %(topic_id)s)
GROUP BY source_offset, timestamp_ms, digest;

-- name: compare
-- Hold each message against its entity's row. Suspect the row where it is gone, where the message's rank exceeds the row's,
-- or where they are one state and do not say the same; confirm the offset where the row is that very message. OFFSET 0
-- keeps a lookup by key a lookup, whatever the planner guesses of a temporary table.
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
SELECT coalesce(array_agg(source_offset) FILTER (WHERE same_state AND same_place AND (same_content OR amended)), '{{}}'),
       count(*) FILTER (WHERE same_state AND same_place AND amended AND NOT same_content)
FROM looked;

-- name: amended
-- Whether an invoice differs from its message only by what `backfill invoice-amounts` has made of it: its amount is what
-- its lines charge, and what they bring forward is kept apart.
coalesce((h.amount, coalesce(h.balance_brought_forward, 0)) = (m.charges, m.brought_forward)
         AND (h.meter_id, h.customer_id, h.currency, h.invoice_date, h.due_date, h.invoice_number, h.lines, h.voided)
             IS NOT DISTINCT FROM
             (m.meter_id, m.customer_id, m.currency, m.invoice_date, m.due_date, m.invoice_number, m.lines, m.voided),
         false)

-- name: confirm
-- Keep which offsets of a block are confirmed; a chunk covers whole blocks but for the ends of a range.
INSERT INTO log_blocks (run_id, entity, partition, block, confirmed)
VALUES (%(run_id)s, '{entity}', %(partition)s, %(block)s, %(confirmed)s::bit varying)
ON CONFLICT (run_id, entity, partition, block) DO UPDATE SET confirmed = excluded.confirmed;

-- name: next_rows
-- Where the next page of a table ends.
SELECT max({key}) FROM (SELECT {key} FROM {table} WHERE {key} > %(after)s ORDER BY {key} LIMIT %(size)s) page;

-- name: place_rows
-- Say of each row of a page what the log can say of it, and suspect those whose place it covers and nothing confirmed, or
-- whose place nobody can have read from: not below the log's end at the start, nor below a position as it is now. What
-- some group has stored of a former topic of the same name is no position in this log.
WITH ranges AS (
    SELECT * FROM unnest(%(partitions)s::integer[], %(lows)s::bigint[], %(ends)s::bigint[], %(highs)s::bigint[])
        AS r (partition, low_offset, end_offset, high_offset)
),
applied AS (
    SELECT partition, max(next_offset) AS next_offset FROM positions
    WHERE topic = %(topic)s AND (topic_id IS NULL OR %(topic_id)s::text IS NULL OR topic_id = %(topic_id)s)
    GROUP BY partition
),
placed AS (
    SELECT h.{key} AS entity_id, h.version, h.event_id, h.source_partition, h.source_offset,
           CASE WHEN h.source_partition IS NULL OR h.source_offset IS NULL THEN 'loaded'
                WHEN h.source_offset < 0
                     OR h.source_offset >= coalesce(greatest(r.high_offset, a.next_offset), 0) THEN 'suspected'
                WHEN h.source_offset < r.low_offset THEN 'expired'
                WHEN r.end_offset IS NULL OR h.source_offset >= r.end_offset THEN 'newer'
                WHEN b.confirmed THEN 'confirmed'
                ELSE 'suspected' END AS standing
    FROM {table} h
    LEFT JOIN ranges r ON r.partition = h.source_partition
    LEFT JOIN applied a ON a.partition = h.source_partition
    LEFT JOIN LATERAL (
        SELECT get_bit(k.confirmed, (h.source_offset %% %(block_size)s)::integer) = 1 AS confirmed
        FROM log_blocks k
        WHERE k.run_id = %(run_id)s AND k.entity = '{entity}' AND k.partition = h.source_partition
          AND k.block = h.source_offset / %(block_size)s AND h.source_offset >= 0
        OFFSET 0
    ) b ON true
    WHERE h.{key} > %(after)s AND h.{key} <= %(last)s
),
suspected AS (
    INSERT INTO log_suspects (
        run_id, entity, entity_id, noted_version, noted_event_id, noted_partition, noted_offset)
    SELECT %(run_id)s::uuid, '{entity}', entity_id, version, event_id, source_partition, source_offset
    FROM placed WHERE standing = 'suspected'
    ORDER BY entity_id
    ON CONFLICT ON CONSTRAINT log_suspects_once_a_run DO UPDATE SET
        noted_version = excluded.noted_version, noted_event_id = excluded.noted_event_id,
        noted_partition = excluded.noted_partition, noted_offset = excluded.noted_offset
)
SELECT standing, count(*) FROM placed GROUP BY standing;

-- name: suspect_sharers
-- Suspect every row whose place another row has, too: a message brings one entity. One statement over the whole table, for
-- no index knows places; it sorts what does not fit into memory on the server's disk.
WITH ranges AS (
    SELECT * FROM unnest(%(partitions)s::integer[], %(lows)s::bigint[], %(ends)s::bigint[])
        AS r (partition, low_offset, end_offset)
),
shared AS MATERIALIZED (
    SELECT h.source_partition, h.source_offset
    FROM {table} h JOIN ranges r ON r.partition = h.source_partition
    WHERE h.source_offset >= r.low_offset AND h.source_offset < r.end_offset
    GROUP BY h.source_partition, h.source_offset HAVING count(*) > 1
)
INSERT INTO log_suspects (run_id, entity, entity_id, noted_version, noted_event_id, noted_partition, noted_offset)
SELECT %(run_id)s::uuid, '{entity}', h.{key}, h.version, h.event_id, h.source_partition, h.source_offset
FROM {table} h JOIN shared USING (source_partition, source_offset)
ORDER BY h.{key}
ON CONFLICT ON CONSTRAINT log_suspects_once_a_run DO UPDATE SET
    noted_version = excluded.noted_version, noted_event_id = excluded.noted_event_id,
    noted_partition = excluded.noted_partition, noted_offset = excluded.noted_offset;

-- name: any_suspect
-- Whether anything is suspected.
SELECT FROM log_suspects WHERE run_id = %(run_id)s LIMIT 1;

-- name: note_winners
-- Keep of each suspected row what the greatest message of its entity says.
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

-- name: next_suspects
-- Where the next page of suspected rows ends.
SELECT max(suspect_id) FROM (
    SELECT suspect_id FROM log_suspects
    WHERE run_id = %(run_id)s AND suspect_id > %(after)s ORDER BY suspect_id LIMIT %(size)s) page;

-- name: read_suspects
-- Suspected rows as they are now, and what the log says of each; every value as PostgreSQL writes it in JSON.
SELECT s.entity_id,
       (SELECT jsonb_object_agg(key, value) FROM jsonb_each_text(s.content)),
       (SELECT jsonb_object_agg(key, value) FROM jsonb_each_text(to_jsonb(h))),
       (s.noted_version, s.noted_event_id, s.noted_partition, s.noted_offset)
       IS NOT DISTINCT FROM (h.version, h.event_id, h.source_partition, h.source_offset)
FROM log_suspects s
LEFT JOIN LATERAL (SELECT * FROM {table} t WHERE t.{key} = s.entity_id OFFSET 0) h ON true
WHERE s.run_id = %(run_id)s AND s.entity = '{entity}' AND s.suspect_id > %(after)s AND s.suspect_id <= %(last)s
ORDER BY s.entity_id;

-- name: to_replay
-- The next findings that a message can mend, in the order of the log: the suspects, their messages, and the meters that
-- the rows and the messages name.
SELECT s.entity, s.entity_id, s.source_partition, s.source_offset, s.suspect_id
FROM log_suspects s
WHERE s.run_id = %(run_id)s AND s.version IS NOT NULL AND s.suspect_id > %(after)s
  AND EXISTS (SELECT FROM drift d
              WHERE d.run_id = s.run_id AND d.entity = %(names)s::jsonb ->> s.entity AND d.entity_id = s.entity_id
                AND d.repaired_at IS NULL)
ORDER BY s.suspect_id LIMIT %(size)s;

-- name: meters_of_invoices
-- The meters that these invoices count at, or are marked at, and those of the payments that follow them.
SELECT meter_id FROM invoices WHERE invoice_id = ANY(%(ids)s) AND meter_id IS NOT NULL
UNION SELECT projected_meter_id FROM invoices WHERE invoice_id = ANY(%(ids)s) AND projected_meter_id IS NOT NULL
UNION SELECT projected_meter_id FROM payments
      WHERE invoice_id = ANY(%(ids)s) AND meter_id IS NULL AND projected_meter_id IS NOT NULL;

-- name: meters_of_payments
-- The same of payments, and of the invoices that they follow.
SELECT p.meter_id FROM payments p WHERE payment_id = ANY(%(ids)s) AND meter_id IS NOT NULL
UNION SELECT projected_meter_id FROM payments WHERE payment_id = ANY(%(ids)s) AND projected_meter_id IS NOT NULL
UNION SELECT i.meter_id FROM payments p JOIN invoices i USING (invoice_id)
      WHERE p.payment_id = ANY(%(ids)s) AND i.meter_id IS NOT NULL;

-- name: meters_of_assignments
-- The meters of these assignments.
SELECT meter_id FROM meter_assignments WHERE assignment_id = ANY(%(ids)s);

-- name: keep_meters
-- Keep with the run the meters whose balances its repair concerns.
INSERT INTO backfill_touched (run_id, entity, entity_id)
SELECT %(run_id)s, 'meter', unnest(%(meters)s::bigint[])
ON CONFLICT DO NOTHING;

-- name: kept_meters
-- The next of them.
SELECT entity_id FROM backfill_touched
WHERE run_id = %(run_id)s AND entity = 'meter' AND entity_id > %(after)s
ORDER BY entity_id LIMIT %(size)s;

-- name: count_unrepaired
-- How many rows of a run are still wrong.
SELECT count(*) FROM (SELECT DISTINCT entity, entity_id FROM drift WHERE run_id = %(run_id)s AND repaired_at IS NULL) left_;

-- name: forget_work
-- A run that has ended needs neither; its findings stay.
WITH blocks AS (DELETE FROM log_blocks WHERE run_id = %(run_id)s)
DELETE FROM log_suspects WHERE run_id = %(run_id)s;
