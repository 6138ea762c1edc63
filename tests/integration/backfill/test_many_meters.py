"""Customers with very many meters: compared in slices that change nothing of the report, at a cost that is linear."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from psycopg import Connection, Cursor
from sqlalchemy import Engine

from backfill.audit import check, comparison
from backfill.execution.pool import run_pool
from backfill.migration import payment_meter_ids
from backfill.runs import chunks
from backfill.runs import store as runs
from backfill.runs.drift import findings
from backfill.runs.selection import Selection
from backfill.runs.session import session, snapshot
from backfill.runs.store import Run

LANDLORD: Final = """
UPDATE meter_assignments SET customer_id = 2 WHERE meter_id <= 8;
UPDATE meter_balances SET customer_id = 2 WHERE meter_id <= 8;
UPDATE customer_balances SET balance = 0, overpayment = 0, total_billed = 0, total_paid = 0, active_meters = 0
WHERE customer_id <= 4;
UPDATE customer_balances c SET balance = m.balance, overpayment = m.overpayment, total_billed = m.billed,
    total_paid = m.paid, active_meters = m.meters
FROM (SELECT sum(balance) AS balance, sum(overpayment) AS overpayment, sum(total_billed) AS billed,
             sum(total_paid) AS paid, count(*) AS meters FROM meter_balances WHERE customer_id = 2) m
WHERE c.customer_id = 2;
"""
"""Customer 2 has eight meters, 5 and 6 have two and none as before, the others none any more."""

DAMAGE: Final = """
UPDATE meter_balances SET total_billed = total_billed + meter_id WHERE meter_id IN (1, 3, 4, 6, 11);
UPDATE meter_balances SET customer_id = 5 WHERE meter_id IN (2, 7, 8);
UPDATE meter_balances SET customer_id = 2 WHERE meter_id = 9;
UPDATE invoices SET meter_id = 5 WHERE invoice_id = 15;
DELETE FROM payments WHERE payment_id = 7;
UPDATE customer_balances SET total_paid = total_paid + 1 WHERE customer_id IN (3, 6);
"""

SHOWN_ELSEWHERE: Final = """
INSERT INTO meter_assignments (assignment_id, meter_id, customer_id, assigned_at, active)
SELECT n, n, 1, '2026-01-01', true FROM generate_series(1, {0}) n;
INSERT INTO meter_balances (meter_id, customer_id) SELECT n, 2 FROM generate_series(1, {0}) n;
INSERT INTO invoices (invoice_id, meter_id, amount, currency, invoice_date, projected_meter_id, projected_amount)
SELECT n, n, 5, 'KES', '2026-01-01', n, 5 FROM generate_series(1, {0}) n;
INSERT INTO customer_balances (customer_id) VALUES (1), (2);
"""

READ: Final = """
SELECT sum(pg_stat_get_xact_tuples_returned(oid) + pg_stat_get_xact_tuples_fetched(oid))::bigint
FROM pg_class WHERE relkind IN ('r', 'i') AND relnamespace = 'billing'::regnamespace
"""
"""Rows and index entries that this transaction has read, of our tables."""


@pytest.fixture
def landlord(database: Connection[Any]) -> Connection[Any]:
    database.execute(LANDLORD)
    return database


@pytest.fixture(params=[(1, 1), (3, 2), (7, 3), (8, 100)], ids=lambda bounds: f"{bounds[0]}-{bounds[1]}")
def bounded(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let a statement be given so few meters, and so few be explained at once, from now on."""

    def bound() -> None:
        monkeypatch.setattr(comparison, "METERS_MAX", request.param[0])
        monkeypatch.setattr(comparison, "PAGE", request.param[1])

    return bound


def test_health_in_slices_is_no_drift(landlord: Connection[Any], bounded: Callable[[], None], engine: Engine) -> None:
    bounded()
    run = _audited(engine)
    assert not run.tally.drifted
    assert (run.tally.customers, run.tally.meters) == (6, 11)
    assert _findings(landlord, run) == []


@pytest.mark.parametrize("selection", [Selection(), Selection(customers=(2,)), Selection(meters=(6, 9, 11))], ids=str)
def test_slices_change_nothing_of_the_report(
    landlord: Connection[Any], bounded: Callable[[], None], engine: Engine, selection: Selection
) -> None:
    landlord.execute(DAMAGE)
    whole = _audited(engine, selection)
    bounded()
    sliced = _audited(engine, selection)
    assert _counts(sliced) == _counts(whole)
    assert _findings(landlord, sliced) == _findings(landlord, whole) != []


def test_a_run_in_slices_that_is_stopped_after_each_chunk_goes_on_to_the_same_report(
    landlord: Connection[Any], bounded: Callable[[], None], engine: Engine
) -> None:
    landlord.execute(DAMAGE)
    whole = _audited(engine)
    bounded()
    with session(engine) as connection:
        run = runs.begin(connection, "drift-check", {"dry_run": False})
    while run.state != "finished":
        with session(engine) as connection:
            run = runs.resume(connection, "drift-check", str(run.run_id), dry=False)
            run = run_pool(connection, run, stop=_after_one_chunk())
    assert _counts(run) == _counts(whole)
    assert _findings(landlord, run) == _findings(landlord, whole)


def test_a_rebuild_in_slices_holds(landlord: Connection[Any], bounded: Callable[[], None], engine: Engine) -> None:
    landlord.execute(DAMAGE)
    bounded()
    with session(engine) as connection:
        run = run_pool(connection, runs.begin(connection, "rebuild", {"dry_run": False}), stop=_never)
    assert (run.state, run.tally.unrepaired, run.tally.failed) == ("finished", 0, 0)
    assert run.tally.repaired == run.tally.drifted > 0
    assert not _audited(engine).tally.drifted


@pytest.mark.parametrize("meters_max", [1, 2, 3, 8, 9, 100])
@pytest.mark.parametrize("size", [1, 2, 4, 100])
@pytest.mark.parametrize("hours", [None, 1, 1000])
def test_chunks_cover_each_customer_once_and_end_where_their_meters_are_enough(  # noqa: PLR0913, PLR0917
    landlord: Connection[Any],
    worker: Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
    meters_max: int,
    size: int,
    hours: int | None,
) -> None:
    landlord.execute("INSERT INTO customer_balances (customer_id) VALUES (7), (8), (9), (10)")
    landlord.execute("UPDATE customer_balances SET updated_at = now() - interval '1 day' WHERE customer_id IN (1, 8)")
    monkeypatch.setattr(comparison, "METERS_MAX", meters_max)
    since = None if hours is None else datetime.now(UTC) - timedelta(hours=hours)
    run = runs.begin(worker, "drift-check", Selection(since=since).options)
    rows = dict(landlord.execute("SELECT customer_id, count(*) FROM meter_assignments GROUP BY 1").fetchall())
    chunks = _chunks(worker, run, size)
    everybody = [customer for chunk in chunks for customer in chunk]
    untouched = {None: set[int](), 1: {1, 6, 8}, 1000: {6}}[hours]  # customer 6 has no row, and no meter any more
    assert everybody == sorted({*range(1, 11)} - untouched)
    for chunk in chunks:
        assert len(chunk) <= size
        held = [rows.get(customer, 0) for customer in chunk]
        assert sum(held) <= meters_max or max(held) > meters_max == sum(held[:-1]) + meters_max


def test_meters_shown_under_another_customer_are_explained_at_a_cost_that_is_linear(
    connect: Callable[[], Connection[Any]], worker: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "PAGE", 100)
    read = []
    for meters in (400, 800):
        database = connect()
        database.execute("TRUNCATE meter_assignments, meter_balances, invoices, customer_balances")
        database.execute(SHOWN_ELSEWHERE.format(meters))
        database.execute("ANALYZE")
        run = runs.begin(worker, "drift-check", {"dry_run": False})
        with snapshot(worker), worker.cursor() as cursor:
            before = _read(cursor)  # what the transactions before have read may not have been handed over yet
            share = check.compare_customers(cursor, run, [1, 2])
            assert share.drifted_meters == meters
            read.append(_read(cursor) - before)
        rows = database.execute(
            "SELECT count(*) FROM drift WHERE run_id = %s AND column_name = 'customer_id'", [run.run_id]
        )
        assert rows.fetchone() == (meters,)
    assert read[1] < read[0] * 3


def test_what_a_payers_meters_say_costs_no_more_where_they_are_many(
    connect: Callable[[], Connection[Any]], worker: Connection[Any]
) -> None:
    """Of any number of meters the first two are enough."""
    read, step = [], payment_meter_ids.STEP.statements
    database = connect()
    database.execute(
        "INSERT INTO payments (payment_id, customer_id, amount, currency, paid_at)"
        " SELECT n, 1, 5, 'KES', '2026-01-01' FROM generate_series(1, 20) n"
    )
    worker.execute(step.create)
    for meters in (500, 4000):
        database.execute("TRUNCATE meter_assignments")
        database.execute(SHOWN_ELSEWHERE.split(";", maxsplit=1)[0].format(meters))
        database.execute("VACUUM ANALYZE")
        with worker.transaction(), worker.cursor() as cursor:
            cursor.execute(step.decide, {"ids": list(range(1, 21))})
            assert cursor.execute(step.tally).fetchall() == [("first-meter", 20)]
            read.append(_read(cursor))
    assert read[1] < read[0] + 100


def _audited(engine: Engine, selection: Selection = Selection()) -> Run:  # noqa: B008 - frozen
    with session(engine) as connection:
        run = runs.begin(connection, "drift-check", {"dry_run": False, **selection.options})
        return run_pool(connection, run, stop=_never)


def _counts(run: Run) -> dict[str, Any]:
    return vars(replace(run.tally, seconds=0.0))


def _findings(connection: Connection[Any], run: Run) -> list[tuple[Any, ...]]:
    rows = findings(connection, run, None)
    return [row[:8] for row in rows]


def _chunks(worker: Connection[Any], run: Run, size: int) -> list[Sequence[int]]:
    found = list[Sequence[int]]()
    with worker.transaction(), worker.cursor() as cursor:
        for chunk in _ranges(cursor, run, size):
            found.append(check.customers(cursor, run, chunk))
    return found


def _ranges(cursor: Cursor[Any], run: Run, size: int) -> Iterator[chunks.Chunk]:
    while (end := check.next_customers_end(cursor, run, size)) is not None:
        assert end > run.cursor
        yield chunks.Chunk(phase="customers", state="open", after=run.cursor, last=end, tally=run.tally)
        run = replace(run, cursor=end)


def _read(cursor: Cursor[Any]) -> int:
    (rows,) = cursor.execute(READ.encode()).fetchone() or (0,)
    return int(rows)


def _after_one_chunk() -> Callable[[], bool]:
    looks = iter([False])
    return lambda: next(looks, True)


def _never() -> bool:
    return False
