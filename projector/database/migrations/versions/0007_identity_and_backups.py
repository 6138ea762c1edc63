"""What this deployment is; and copies of the balances, in tables that only the owner of the schema can make.

Copies used to be tables that `backfill migrate` made, in a schema in which its role could create whatever it liked,
such as a view under a copy's name that ran as whoever restored it. Now its role creates nothing anywhere. The rows of
a copy refer to its entry in `backups` without a foreign key: checking one for each row took more than twice the time
of the copy itself, and a row without an entry is never read.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

IDENTITY = """
CREATE TABLE deployment (
    only_one                boolean PRIMARY KEY DEFAULT true,
    currency                text NOT NULL,
    timezone                text NOT NULL,
    topic_prefix            text NOT NULL,
    kafka_cluster           text,
    changed_at              timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT deployment_is_one CHECK (only_one)
);
"""

BACKUPS = """
CREATE TABLE backups (
    run_id                  uuid PRIMARY KEY REFERENCES backfill_runs ON DELETE CASCADE,
    taken_at                timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE backup_meter_balances (
    run_id                  uuid NOT NULL,
    meter_id                bigint NOT NULL,
    customer_id             bigint,
    total_billed            numeric(18,2) NOT NULL,
    total_paid              numeric(18,2) NOT NULL,
    invoice_count           bigint NOT NULL,
    payment_count           bigint NOT NULL,
    last_invoice_date       date,
    last_payment_at         timestamptz,
    PRIMARY KEY (run_id, meter_id)
);
CREATE TABLE backup_customer_balances (
    run_id                  uuid NOT NULL,
    customer_id             bigint NOT NULL,
    balance                 numeric(18,2) NOT NULL,
    overpayment             numeric(18,2) NOT NULL,
    total_billed            numeric(18,2) NOT NULL,
    total_paid              numeric(18,2) NOT NULL,
    active_meters           bigint NOT NULL,
    PRIMARY KEY (run_id, customer_id)
);
"""


def upgrade() -> None:
    """Create the tables; `projector.deployment.schema.upgrade` then writes down what the deployment is."""
    for statements in (IDENTITY, BACKUPS):
        op.execute(statements)
