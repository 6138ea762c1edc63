-- name: create_staging
-- Run once for each connection: the tables that a batch is copied to, and those that pass results between its statements.
-- Every commit empties them. A staged row of version 0 has no content: it makes the merge lock the row with that key (see
-- projector.consume.merge).
CREATE TEMP TABLE staged_invoices ON COMMIT DELETE ROWS AS
    SELECT invoice_id, version, event_id, meter_id, customer_id, amount, balance_brought_forward, currency,
           invoice_date, due_date, invoice_number, lines, voided, source_partition, source_offset
    FROM invoices WITH NO DATA;
CREATE TEMP TABLE staged_payments ON COMMIT DELETE ROWS AS
    SELECT payment_id, version, event_id, meter_id, customer_id, invoice_id, amount, currency,
           paid_at, method, reference, reversed, source_partition, source_offset
    FROM payments WITH NO DATA;
CREATE TEMP TABLE staged_assignments ON COMMIT DELETE ROWS AS
    SELECT assignment_id, version, event_id, meter_id, customer_id, assigned_at, unassigned_at, ended,
           source_partition, source_offset
    FROM meter_assignments WITH NO DATA;
CREATE TEMP TABLE staged_customers ON COMMIT DELETE ROWS AS
    SELECT customer_id, version, event_id, name, source_partition, source_offset
    FROM customers WITH NO DATA;
-- One row for each contribution that a meter lost or gained by the merge of history.
CREATE TEMP TABLE changes (
    meter_id           bigint NOT NULL,
    billed             numeric NOT NULL DEFAULT 0,
    paid               numeric NOT NULL DEFAULT 0,
    invoices           integer NOT NULL DEFAULT 0,
    payments           integer NOT NULL DEFAULT 0,
    gained_invoice_date date,
    lost_invoice_date  date,
    gained_paid_at     timestamptz,
    lost_paid_at       timestamptz,
    assignee           bigint,              -- the customer of an assignment of this meter that changed
    reassigned         boolean NOT NULL DEFAULT false
) ON COMMIT DELETE ROWS;
-- The meters of `changes`, locked: their customer and their figures before and after.
CREATE TEMP TABLE touched_meters (
    meter_id           bigint NOT NULL,
    is_new             boolean NOT NULL,
    old_customer_id    bigint,
    new_customer_id    bigint,
    old_balance        numeric,
    old_overpayment    numeric,
    old_billed         numeric,
    old_paid           numeric,
    new_balance        numeric NOT NULL,
    new_overpayment    numeric NOT NULL,
    new_billed         numeric NOT NULL,
    new_paid           numeric NOT NULL
) ON COMMIT DELETE ROWS;
