"""What `meter_trust()` and `customer_trust()` say is what runs have proved, and no more."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
from psycopg import Connection
from psycopg.types.json import Jsonb
from sqlalchemy import Engine

from backfill.audit import check
from backfill.runs import store as runs
from backfill.runs.selection import Selection
from backfill.runs.session import session
from tests.integration.trust.conftest import Compare, Trust

Read = Callable[[str, int], Trust]
EDIT: Final = "UPDATE meter_balances SET total_billed = total_billed + 1000 WHERE meter_id = 3"
UNDO: Final = "UPDATE meter_balances SET total_billed = total_billed - 1000 WHERE meter_id = 3"
WRITE: Final = "UPDATE meter_balances SET updated_at = now() WHERE meter_id = 3"
PROVES_NOTHING: Final = (
    "state = 'paused'", "state = 'running'", "tally = jsonb_set(tally, '{failed}', '1')", "command = 'validate'",
    "options = options || '{\"selection\": {\"sample\": 1}}'",
    "options = options || '{\"selection\": {\"meters\": [3], \"since\": \"2026-01-01T00:00:00+00:00\"}}'",
    "options = options || '{\"selection\": {\"customers\": [2]}}'",
)  # fmt: skip
STRANGE: Final[tuple[object, ...]] = (
    {"selection": {"meters": "3"}}, {"selection": {"meters": ["3", None, {}, 3.5, -3, 1e300, [4]]}},
    {"selection": {"meters": {"3": 3}}}, {"selection": [3]}, {"selection": 3}, [3], 3,
)  # fmt: skip


def test_before_the_first_check_nothing_is_proven_and_after_it_everything_is(compare: Compare, trust: Read) -> None:
    before = trust("meter", 3)
    assert (before.verified_at, before.verified_by, before.changed_since) == (None, None, True)
    run = compare()
    for entity in ("meter", "customer"):
        found = trust(entity, 3)
        assert (found.verified_at, found.verified_by) == (run.started_at, run.run_id)
        assert not found.changed_since
        assert found[-3:] == (None, None, None)
    assert trust("meter", 3).applied_at == before.applied_at


@pytest.mark.parametrize("write", [EDIT, WRITE])
def test_a_row_that_is_written_counts_as_changed_whoever_wrote_it(
    database: Connection[Any], compare: Compare, trust: Read, write: str
) -> None:
    compare()
    database.execute(write.encode())
    assert trust("meter", 3).changed_since
    assert not trust("meter", 4).changed_since


def test_what_was_being_written_when_the_run_began_counts_as_changed(
    connect: Callable[[], Connection[Any]], database: Connection[Any], compare: Compare, trust: Read
) -> None:
    other = connect()
    with other.transaction():
        other.execute(WRITE)
        run = compare()
        assert not trust("meter", 3).changed_since, "nobody else sees the write yet"
    [(updated_at,)] = database.execute("SELECT updated_at FROM meter_balances WHERE meter_id = 3").fetchall()
    assert updated_at < run.started_at
    assert trust("meter", 3).changed_since


def test_a_transaction_that_has_asked_before_sees_what_was_written_since(
    connect: Callable[[], Connection[Any]], database: Connection[Any], compare: Compare, trust: Read
) -> None:
    """The server counts the ages of transactions from where the reader's first question was."""
    compare()
    with database.transaction():
        assert not trust("meter", 3).changed_since
        connect().execute(WRITE)
        assert trust("meter", 3).changed_since


def test_what_a_rebuild_repaired_is_proven_by_the_rebuild(
    database: Connection[Any], compare: Compare, trust: Read
) -> None:
    database.execute(EDIT)
    run = compare("rebuild")
    found = trust("meter", 3)
    assert found.applied_at > run.started_at, "it wrote the row"
    assert (found.verified_by, found.changed_since, found.finding_cause) == (run.run_id, False, None)


@pytest.mark.parametrize("limited", [{"meters": (3, 4)}, {"meters": (3,), "customers": (5,)}])
def test_a_run_on_a_meter_proves_that_meter_and_no_other(
    database: Connection[Any], compare: Compare, trust: Read, limited: dict[str, Any]
) -> None:
    whole = compare()
    database.execute("UPDATE meter_balances SET updated_at = now()")
    run = compare(selection=Selection(**limited))
    assert (trust("meter", 3).verified_by, trust("meter", 3).changed_since) == (run.run_id, False)
    assert (trust("meter", 11).verified_by, trust("meter", 11).changed_since) == (whole.run_id, True)
    assert trust("customer", 5).verified_by == (run if "customers" in limited else whole).run_id
    assert compare().run_id == trust("meter", 3).verified_by, "a whole run that began later is the newest"


@pytest.mark.parametrize("not_so", PROVES_NOTHING)
def test_a_run_that_did_not_compare_it_for_certain_proves_nothing(
    database: Connection[Any], compare: Compare, trust: Read, not_so: str
) -> None:
    whole, later = compare(), compare()
    database.execute(f"UPDATE backfill_runs SET {not_so} WHERE run_id = %s".encode(), (later.run_id,))
    assert trust("meter", 3).verified_by == whole.run_id


@pytest.mark.parametrize("options", STRANGE)
def test_strange_options_of_a_run_break_nothing_and_prove_nothing(
    database: Connection[Any], compare: Compare, trust: Read, options: object
) -> None:
    whole, later = compare(), compare()
    database.execute(
        "UPDATE backfill_runs SET command = CASE WHEN %(options)s ? 'selection' THEN command ELSE 'validate' END, "
        "options = %(options)s, round_xid = -5 WHERE run_id = %(run)s",
        {"options": Jsonb(options), "run": later.run_id},
    )
    assert trust("meter", 3).verified_by == whole.run_id


def test_a_finding_is_open_until_it_is_repaired(database: Connection[Any], compare: Compare, trust: Read) -> None:
    database.execute(EDIT)
    database.execute("UPDATE customer_balances SET balance = balance + 7 WHERE customer_id = 5")
    run = compare()
    assert trust("meter", 3)[-3:] == ("projection-edited", Decimal("1000.00"), run.run_id)
    assert trust("customer", 5)[-3:] == ("customer-sum-off", Decimal("7.00"), run.run_id)
    assert trust("meter", 4).finding_cause is None
    compare("rebuild", Selection(meters=(3,)))
    assert trust("meter", 3).finding_cause is None


def test_a_finding_that_a_newer_comparison_does_not_find_again_is_not_open(
    database: Connection[Any], compare: Compare, trust: Read
) -> None:
    database.execute(EDIT)
    run = compare()
    database.execute(UNDO)
    compare(selection=Selection(meters=(4,)))
    assert trust("meter", 3).finding_run_id == run.run_id
    compare(selection=Selection(meters=(3,)))
    assert trust("meter", 3).finding_cause is None


def test_of_several_causes_the_one_with_the_largest_amount_is_named(
    database: Connection[Any], compare: Compare, trust: Read
) -> None:
    database.execute(EDIT)
    database.execute("UPDATE payments SET amount = amount + 500 WHERE payment_id = 3")
    compare()
    [(causes,)] = database.execute(
        "SELECT count(*) FROM open_findings() WHERE entity = 'meter' AND entity_id = 3"
    ).fetchall()
    assert causes > 1
    assert trust("meter", 3).finding_amount == Decimal("1000.00")


def test_what_a_run_finds_after_a_newer_one_began_is_open(
    database: Connection[Any], compare: Compare, trust: Read, engine: Engine
) -> None:
    """A rolling check takes a day; a check by hand that began later, and saw less, closes nothing of it."""
    with session(engine) as connection:
        rolling = runs.begin(connection, "drift-check", {"dry_run": False})
        compare()
        database.execute(EDIT)
        with connection.transaction(), connection.cursor() as cursor:
            assert check.compare_customers(cursor, rolling, [2]).drifted
    assert trust("meter", 3).finding_run_id == rolling.run_id
    assert compare(selection=Selection(meters=(3,))).run_id == trust("meter", 3).finding_run_id


def test_a_run_of_another_server_does_not_say_that_nothing_was_written(
    database: Connection[Any], compare: Compare, trust: Read
) -> None:
    run = compare()
    database.execute("UPDATE backfill_runs SET round_xid = round_xid + 1000000")
    assert trust("meter", 3).changed_since, "its transaction ids are ahead of this server's"
    database.execute(WRITE)
    later = (
        "UPDATE backfill_runs SET round_xid = pg_current_xact_id()::text::bigint, finished_at = %s WHERE run_id = %s"
    )
    database.execute(later, (datetime.now(UTC) - timedelta(days=1), run.run_id))
    assert trust("meter", 3).changed_since, "the row was written after the run had ended"


def test_one_meter_is_read_through_keys(database: Connection[Any], compare: Compare) -> None:
    compare()
    database.execute("INSERT INTO meter_balances (meter_id) SELECT n FROM generate_series(1000, 20000) n")
    database.execute("ANALYZE")
    for statement in (
        "SELECT * FROM meter_trust() WHERE meter_id = 3",
        "SELECT * FROM meter_balances JOIN meter_trust() USING (meter_id) WHERE meter_id IN (3, 4)",
        "SELECT * FROM meter_balances m JOIN meter_trust() USING (meter_id) WHERE m.customer_id = 2",
    ):
        plan = "\n".join(line for (line,) in database.execute(f"EXPLAIN {statement}".encode()).fetchall())
        assert "Seq Scan on meter_balances" not in plan, plan
        assert "meter_balances_pkey" in plan, plan
        assert "Function Scan on meter_trust" not in plan, plan


def test_the_callers_search_path_does_not_matter(database: Connection[Any], compare: Compare) -> None:
    compare()
    (schema,) = database.execute("SELECT current_schema()").fetchone() or ("",)
    database.execute("SET search_path = public")
    found = database.execute(f"SELECT count(*) FROM {schema}.customer_trust() WHERE NOT changed_since".encode())
    assert found.fetchone() == (5,)
