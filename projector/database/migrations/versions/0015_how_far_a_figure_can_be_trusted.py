"""How far each balance can be trusted, as functions that a report joins: nothing is written to the balances for it.

A run that has finished with no chunk failed has compared every meter and customer that it covers. So when a row was
last compared follows from the runs; whether it was written since follows from the row's `xmin`, which tells that for
every writer, whenever it commits (`written_since` in `backfill/audit/chunk_keys.sql` says more).

The functions run with the rights of the caller, and bind the tables when they are created, whatever the caller's
`search_path` is. Each is one SELECT, so the planner reads what a statement asks for: one meter through its key.
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

COMPLETE = """
ALTER TABLE backfill_runs ADD COLUMN complete boolean GENERATED ALWAYS AS (
    command IN ('drift-check', 'rebuild') AND state = 'finished' AND tally -> 'failed' = '0') VIRTUAL;
"""

LAST_VERIFIED = """
CREATE FUNCTION last_verified_run() RETURNS TABLE (
    run_id uuid, started_at timestamptz, finished_at timestamptz, round_xid bigint)
LANGUAGE sql STABLE BEGIN ATOMIC
    SELECT r.run_id, r.started_at, r.finished_at, r.round_xid
    FROM backfill_runs r
    WHERE r.verified
    ORDER BY r.started_at DESC
    LIMIT 1;
END;
COMMENT ON FUNCTION last_verified_run() IS 'The newest run that compared everything.';
"""

BY_NAME = """
CREATE FUNCTION compared_by_name() RETURNS TABLE (
    entity text, entity_id bigint, run_id uuid, started_at timestamptz, finished_at timestamptz, round_xid bigint)
LANGUAGE sql STABLE BEGIN ATOMIC
    SELECT DISTINCT ON (k.entity, named.id::bigint)
           k.entity, named.id::bigint, r.run_id, r.started_at, r.finished_at, r.round_xid
    FROM backfill_runs r
    CROSS JOIN (VALUES ('meter', 'meters'), ('customer', 'customers')) AS k (entity, member)
    CROSS JOIN LATERAL jsonb_path_query(
        r.options -> 'selection' -> k.member,
        '$[*] ? (@.type() == "number" && @ >= 1 && @ <= 9223372036854775807 && @.floor() == @)') AS named (id)
    WHERE r.complete AND NOT r.options -> 'selection' ?| ARRAY['since', 'sample']
      AND r.started_at > coalesce((SELECT v.started_at FROM last_verified_run() v), '-infinity')
    ORDER BY k.entity, named.id::bigint, r.started_at DESC;
END;
COMMENT ON FUNCTION compared_by_name() IS
    'Meters and customers that a run was limited to by id since the newest run that compared everything, and which.';
"""

OPEN = """
CREATE INDEX drift_recent ON drift (found_at);
CREATE FUNCTION open_findings() RETURNS TABLE (
    entity text, entity_id bigint, cause text, findings bigint, amount numeric, run_id uuid)
LANGUAGE sql STABLE BEGIN ATOMIC
    WITH latest AS (
        -- OFFSET 0: for the few rows that are new, and not a join with all that was ever found
        SELECT DISTINCT ON (d.entity, d.entity_id, d.column_name)
               d.entity, d.entity_id, d.column_name, d.cause, d.difference, d.run_id, d.found_at
        FROM drift d
        LEFT JOIN compared_by_name() n ON n.entity = d.entity AND n.entity_id = d.entity_id
        WHERE d.found_at >= coalesce((SELECT v.started_at FROM last_verified_run() v), '-infinity')
          AND d.found_at >= coalesce(n.started_at, '-infinity')
          AND NOT EXISTS (SELECT FROM drift later
                          WHERE later.entity = d.entity AND later.entity_id = d.entity_id
                            AND later.repaired_at >= d.found_at OFFSET 0)
        ORDER BY d.entity, d.entity_id, d.column_name, d.found_at DESC
    )
    SELECT l.entity, l.entity_id, l.cause, count(*),
           coalesce(max(abs(l.difference)) FILTER (
               WHERE l.column_name IN ('total_billed', 'total_paid', 'balance', 'overpayment')), 0),
           (array_agg(l.run_id ORDER BY l.found_at DESC))[1]
    FROM latest l
    GROUP BY l.entity, l.entity_id, l.cause;
END;
COMMENT ON FUNCTION open_findings() IS
    'Findings that nothing has repaired, found since the newest run began that compared what they are about.
The amount is the largest difference among the money columns, because those of one row describe the same money.';
"""

TRUST = """
CREATE FUNCTION {entity}_trust() RETURNS TABLE (
    {entity}_id bigint, applied_at timestamptz, verified_at timestamptz, verified_by uuid, changed_since boolean,
    finding_cause text, finding_amount numeric, finding_run_id uuid)
LANGUAGE sql STABLE BEGIN ATOMIC
    SELECT b.{entity}_id, b.updated_at, c.started_at, c.run_id,
           CASE WHEN c.round_xid IS NULL OR b.updated_at > c.finished_at THEN true
                WHEN age((c.round_xid::text::xid8)::xid) < 0 THEN true      -- of another server
                WHEN age(b.xmin) < 0 THEN b.updated_at >= c.started_at     -- of long ago, or of this very moment
                ELSE age(b.xmin) <= age((c.round_xid::text::xid8)::xid) END,
           f.cause, f.amount, f.run_id
    FROM {entity}_balances b
    LEFT JOIN last_verified_run() v ON true
    LEFT JOIN compared_by_name() n ON n.entity = '{entity}' AND n.entity_id = b.{entity}_id
    CROSS JOIN LATERAL (SELECT coalesce(n.run_id, v.run_id), coalesce(n.started_at, v.started_at),
                               coalesce(n.finished_at, v.finished_at), coalesce(n.round_xid, v.round_xid))
        AS c (run_id, started_at, finished_at, round_xid)
    LEFT JOIN (SELECT DISTINCT ON (o.entity_id) o.entity_id, o.cause, o.amount, o.run_id
               FROM open_findings() o
               WHERE o.entity = '{entity}'
               ORDER BY o.entity_id, o.amount DESC, o.cause) f ON f.entity_id = b.{entity}_id;
END;
COMMENT ON FUNCTION {entity}_trust() IS
    'Of each {entity}: as of when its balance is applied, when it was last compared and by which run, whether its row
was written since, and the open finding with the largest amount.';
"""

FUNCTIONS = ("last_verified_run()", "compared_by_name()", "open_findings()", "meter_trust()", "customer_trust()")


def upgrade() -> None:
    """Add the column, which is computed when it is read, and the functions.

    Runs that store findings wait while the index is built: seconds for a million findings.
    """
    for statements in (COMPLETE, LAST_VERIFIED, BY_NAME, OPEN):
        op.execute(statements)
    for entity in ("meter", "customer"):
        op.execute(TRUST.format(entity=entity))
    op.execute(f"REVOKE ALL ON FUNCTION {', '.join(FUNCTIONS)} FROM PUBLIC")
