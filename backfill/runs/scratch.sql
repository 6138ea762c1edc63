-- Temporary tables of one session, emptied by every commit.

-- name: create_scratch
-- The meters in question; the expected figures of meters; customers, recorded and expected; what evidence and repairs
-- rest on; and the findings.
CREATE TEMP TABLE IF NOT EXISTS scope (
    meter_id            bigint NOT NULL
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS expected_meters (
    meter_id            bigint NOT NULL,
    customer_id         bigint,
    total_billed        numeric NOT NULL,
    total_paid          numeric NOT NULL,
    balance             numeric NOT NULL,
    overpayment         numeric NOT NULL,
    invoice_count       bigint NOT NULL,
    payment_count       bigint NOT NULL,
    last_invoice_date   date,
    last_payment_at     timestamptz,
    contradicting_rows  bigint NOT NULL
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS compared_customers (
    customer_id             bigint NOT NULL,
    present                 boolean NOT NULL,
    balance                 numeric NOT NULL,
    overpayment             numeric NOT NULL,
    total_billed            numeric NOT NULL,
    total_paid              numeric NOT NULL,
    active_meters           bigint NOT NULL,
    expected_balance        numeric NOT NULL,
    expected_overpayment    numeric NOT NULL,
    expected_total_billed   numeric NOT NULL,
    expected_total_paid     numeric NOT NULL,
    expected_active_meters  bigint NOT NULL
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS counted_customers (
    customer_id             bigint NOT NULL,
    agrees                  boolean NOT NULL    -- its row with the number of meter rows that point at it
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS disagreements (
    source                  text NOT NULL,      -- invoices or payments
    row_id                  bigint NOT NULL,
    meter_id                bigint NOT NULL,    -- one row for the meter it counts at, one for that of its mark
    cause                   text NOT NULL,
    field                   text NOT NULL,
    shift                   numeric NOT NULL,   -- counted at this meter, less what the mark says
    row_shift               integer NOT NULL DEFAULT 0,  -- the same of rows: 1 where only counted, -1 where only marked
    mark                    text NOT NULL DEFAULT ''     -- the column of the mark that disagrees
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS marked (
    meter_id                bigint NOT NULL,
    total_billed            numeric NOT NULL,
    total_paid              numeric NOT NULL,
    invoice_count           bigint NOT NULL,
    payment_count           bigint NOT NULL,
    last_invoice_date       date,
    last_payment_at         timestamptz
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS affected_customers (
    customer_id             bigint NOT NULL
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS found (
    entity                  text NOT NULL,
    entity_id               bigint NOT NULL,
    column_name             text NOT NULL,
    recorded                text,
    expected                text,
    difference              numeric,
    cause                   text NOT NULL,
    evidence                jsonb NOT NULL
) ON COMMIT DELETE ROWS;
