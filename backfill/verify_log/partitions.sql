-- Rows by the place in the log that they name. In these statements {table}, {key}, {entity} and {content} stand for one
-- entity's table, its key, the name of its topic and the columns that an event decides; {h_content} and {m_content} are
-- those of the history row and of the message.

-- name: next_rows
-- The last key of the next page of a table.
SELECT max({key}) FROM (SELECT {key} FROM {table} WHERE {key} > %(after)s ORDER BY {key} LIMIT %(size)s) page;

-- name: place_rows
-- Classify the rows of a page by what the log can say about them. Suspected are rows whose place the log covers and
-- nothing confirmed, and rows whose place no consumer can have read: an offset not below the log's end at the start,
-- nor below a position as it is now. Positions that a group has in an earlier topic of the same name do not count.
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
-- Suspect every row whose place another row has too: a message carries one entity. One statement reads the whole table,
-- because no index has places; it sorts what does not fit into memory on the server's disk.
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
