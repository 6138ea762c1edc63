-- Messages as the rows that history should have, in temporary tables. In these statements {table}, {key}, {entity} and
-- {content} stand for one entity's table, its key, the name of its topic and the columns that an event decides;
-- {h_content} and {m_content} are those of the history row and of the message.

-- name: create_staging
-- Once in a session: the messages of a part of the log, as the rows that history should have. `expected` is false if
-- the message was refused and is still a dead letter. What an invoice's lines charge and bring forward is null if it
-- has no lines.
CREATE TEMP TABLE IF NOT EXISTS logged_{entity} ON COMMIT DELETE ROWS AS
    SELECT {key} AS entity_id, version, event_id, source_partition, source_offset, {content},
           true AS expected, NULL::numeric AS charges, NULL::numeric AS brought_forward
    FROM {table} WITH NO DATA;

-- name: in_effect
-- In {m_content}: whether the assignment of message `m` is in effect as of the clock.
NOT m.ended AND m.assigned_at <= (SELECT through FROM assignment_clock)
AND coalesce(m.unassigned_at > (SELECT through FROM assignment_clock), true)

-- name: clear_staged
-- Clear the table before the next messages.
DELETE FROM logged_{entity};
