"""History, projection, positions, dead letters, runs, drift and alerts."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

HISTORY = """
CREATE TABLE invoices (
    invoice_id              bigint PRIMARY KEY,
    version                 bigint NOT NULL DEFAULT 1,
    event_id                text COLLATE "C" NOT NULL DEFAULT '',
    meter_id                bigint,
    customer_id             bigint,
    amount                  numeric(18,2) NOT NULL,
    balance_brought_forward numeric(18,2),
    currency                text NOT NULL,
    invoice_date            date NOT NULL,
    due_date                date,
    invoice_number          text,
    lines                   jsonb,
    voided                  boolean NOT NULL DEFAULT false,
    source_partition        integer,
    source_offset           bigint,
    projected_amount        numeric(18,2) NOT NULL DEFAULT 0,
    projected_meter_id      bigint,
    CONSTRAINT invoices_counted_nowhere_counts_nothing CHECK (projected_meter_id IS NOT NULL OR projected_amount = 0)
);
CREATE INDEX invoices_counted ON invoices (meter_id, invoice_date) INCLUDE (amount, invoice_id)
    WHERE NOT voided AND meter_id IS NOT NULL;
CREATE INDEX invoices_voided ON invoices (meter_id) INCLUDE (invoice_id)
    WHERE voided AND meter_id IS NOT NULL;
CREATE INDEX invoices_projected_elsewhere ON invoices (projected_meter_id)
    WHERE projected_meter_id IS NOT NULL AND (voided OR meter_id IS DISTINCT FROM projected_meter_id);

CREATE TABLE payments (
    payment_id              bigint PRIMARY KEY,
    version                 bigint NOT NULL DEFAULT 1,
    event_id                text COLLATE "C" NOT NULL DEFAULT '',
    meter_id                bigint,
    customer_id             bigint,
    invoice_id              bigint,
    amount                  numeric(18,2) NOT NULL,
    currency                text NOT NULL,
    paid_at                 timestamptz NOT NULL,
    method                  text,
    reference               text,
    reversed                boolean NOT NULL DEFAULT false,
    allocated_meter_id      bigint,
    source_partition        integer,
    source_offset           bigint,
    projected_amount        numeric(18,2) NOT NULL DEFAULT 0,
    projected_meter_id      bigint,
    CONSTRAINT payments_counted_nowhere_counts_nothing CHECK (projected_meter_id IS NOT NULL OR projected_amount = 0)
);
CREATE INDEX payments_counted ON payments (meter_id, paid_at) INCLUDE (amount)
    WHERE NOT reversed AND meter_id IS NOT NULL;
CREATE INDEX payments_by_invoice ON payments (invoice_id)
    WHERE meter_id IS NULL AND invoice_id IS NOT NULL;
CREATE INDEX payments_allocated ON payments (allocated_meter_id)
    WHERE meter_id IS NULL AND allocated_meter_id IS NOT NULL;
CREATE INDEX payments_projected_elsewhere ON payments (projected_meter_id, paid_at)
    WHERE projected_meter_id IS NOT NULL AND (reversed OR meter_id IS DISTINCT FROM projected_meter_id);

CREATE TABLE meter_assignments (
    assignment_id           bigint PRIMARY KEY,
    version                 bigint NOT NULL DEFAULT 1,
    event_id                text COLLATE "C" NOT NULL DEFAULT '',
    meter_id                bigint NOT NULL,
    customer_id             bigint NOT NULL,
    assigned_at             timestamptz NOT NULL,
    unassigned_at           timestamptz,
    active                  boolean NOT NULL DEFAULT true,
    source_partition        integer,
    source_offset           bigint
);
CREATE INDEX meter_assignments_active ON meter_assignments (meter_id, assigned_at DESC, assignment_id DESC)
    INCLUDE (customer_id) WHERE active;
CREATE INDEX meter_assignments_by_customer ON meter_assignments (customer_id) INCLUDE (meter_id, active);

CREATE TABLE customers (
    customer_id             bigint PRIMARY KEY,
    version                 bigint NOT NULL DEFAULT 1,
    event_id                text COLLATE "C" NOT NULL DEFAULT '',
    name                    text NOT NULL,
    source_partition        integer,
    source_offset           bigint
);
"""

PROJECTION = """
CREATE TABLE meter_balances (
    meter_id                bigint PRIMARY KEY,
    customer_id             bigint,
    total_billed            numeric(18,2) NOT NULL DEFAULT 0,
    total_paid              numeric(18,2) NOT NULL DEFAULT 0,
    balance                 numeric(18,2) NOT NULL
        GENERATED ALWAYS AS (greatest(total_billed - total_paid, 0)) STORED,
    overpayment             numeric(18,2) NOT NULL
        GENERATED ALWAYS AS (greatest(total_paid - total_billed, 0)) STORED,
    invoice_count           bigint NOT NULL DEFAULT 0,
    payment_count           bigint NOT NULL DEFAULT 0,
    last_invoice_date       date,
    last_payment_at         timestamptz,
    updated_at              timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
CREATE INDEX meter_balances_by_customer ON meter_balances (customer_id) WHERE customer_id IS NOT NULL;

CREATE TABLE customer_balances (
    customer_id             bigint PRIMARY KEY,
    balance                 numeric(18,2) NOT NULL DEFAULT 0,
    overpayment             numeric(18,2) NOT NULL DEFAULT 0,
    total_billed            numeric(18,2) NOT NULL DEFAULT 0,
    total_paid              numeric(18,2) NOT NULL DEFAULT 0,
    active_meters           bigint NOT NULL DEFAULT 0,
    updated_at              timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
"""

STREAM = """
CREATE TABLE positions (
    group_id                text NOT NULL,
    topic                   text NOT NULL,
    partition               integer NOT NULL,
    next_offset             bigint NOT NULL,
    topic_id                text,
    conflicts               bigint NOT NULL DEFAULT 0,
    updated_at              timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (group_id, topic, partition)
);

CREATE TABLE dead_letters (
    dead_letter_id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic                   text NOT NULL,
    partition               integer NOT NULL,
    source_offset           bigint NOT NULL,
    timestamp_ms            bigint NOT NULL,
    reason                  text NOT NULL,
    detail                  text NOT NULL,
    key                     bytea,
    value                   bytea,
    headers                 jsonb NOT NULL DEFAULT '[]',
    refused_at              timestamptz NOT NULL DEFAULT now(),
    state                   text NOT NULL DEFAULT 'open',
    closed_at               timestamptz,
    closed_by               text,
    closed_why              text,
    attempts                integer NOT NULL DEFAULT 0,
    CONSTRAINT dead_letters_once_a_message UNIQUE (topic, partition, source_offset, timestamp_ms),
    CONSTRAINT dead_letters_state CHECK (state IN ('open', 'applied', 'discarded'))
);
CREATE INDEX dead_letters_open ON dead_letters (reason, dead_letter_id) WHERE state = 'open';
"""

AUDIT = """
CREATE TABLE backfill_runs (
    run_id                  uuid PRIMARY KEY,
    command                 text NOT NULL,
    state                   text NOT NULL,
    options                 jsonb NOT NULL DEFAULT '{}',
    phase                   text NOT NULL DEFAULT 'customers',
    cursor                  bigint NOT NULL DEFAULT 0,
    tally                   jsonb NOT NULL DEFAULT '{}',
    error                   text,
    started_at              timestamptz NOT NULL DEFAULT now(),
    updated_at              timestamptz NOT NULL DEFAULT now(),
    finished_at             timestamptz
);
CREATE INDEX backfill_runs_recent ON backfill_runs (started_at DESC);

CREATE TABLE drift (
    drift_id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id                  uuid NOT NULL REFERENCES backfill_runs ON DELETE CASCADE,
    entity                  text NOT NULL,
    entity_id               bigint NOT NULL,
    column_name             text NOT NULL,
    recorded                text,
    expected                text,
    difference              numeric,
    cause                   text NOT NULL,
    evidence                jsonb NOT NULL DEFAULT '{}',
    found_at                timestamptz NOT NULL DEFAULT now(),
    repaired_at             timestamptz,
    CONSTRAINT drift_entity CHECK (entity IN ('meter', 'customer')),
    CONSTRAINT drift_once_a_run UNIQUE (run_id, entity, entity_id, column_name)
);
CREATE INDEX drift_of_entity ON drift (entity, entity_id);

CREATE TABLE alerts (
    alert_id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id                  uuid,
    cause                   text NOT NULL,
    state                   text NOT NULL,
    digest                  text NOT NULL,
    document                json NOT NULL,
    delivered_to            text[] NOT NULL DEFAULT '{}',
    raised_at               timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT alerts_state CHECK (state IN ('raised', 'changed', 'over'))
);
CREATE INDEX alerts_of_cause ON alerts (cause, alert_id DESC);
"""


def upgrade() -> None:
    """Create everything; the connection's search_path names the schema."""
    for statements in (HISTORY, PROJECTION, STREAM, AUDIT):
        op.execute(statements)
