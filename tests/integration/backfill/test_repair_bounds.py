"""However much a repair drags in, no more is held at once than consumers may wait for."""

from typing import Any

import pytest
from psycopg import Connection, Cursor
from sqlalchemy import Engine

from backfill.audit import repair
from backfill.execution.pool import run_pool
from backfill.runs import store as runs
from backfill.runs.selection import Selection
from backfill.runs.session import session
from backfill.runs.store import Run
from tests.integration.backfill.test_many_meters import LANDLORD

MOST = 3


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Record how many meters and customers each repair held."""
    held, recompute = list[tuple[int, int]](), repair.recompute

    def recorded(cursor: Cursor[Any]) -> object:
        result: object = recompute(cursor)
        counts = "SELECT (SELECT count(DISTINCT meter_id) FROM scope), (SELECT count(DISTINCT customer_id) FROM {})"
        meters, customers = cursor.execute(counts.format("affected_customers").encode()).fetchone() or (0, 0)
        held.append((meters, customers))
        return result

    monkeypatch.setattr(repair, "recompute", recorded)
    monkeypatch.setattr(repair, "ENTITIES_MAX", MOST)
    return held


@pytest.mark.parametrize("customers", [(5,), (1, 2, 5, 6)])
def test_a_customer_who_is_shown_very_many_meters_of_others_is_repaired_a_part_at_a_time(
    database: Connection[Any], engine: Engine, held: list[tuple[int, int]], customers: tuple[int, ...]
) -> None:
    """A run that is limited to the customer has found none of those meters drifted."""
    database.execute(LANDLORD)
    database.execute("UPDATE meter_balances SET customer_id = 5 WHERE meter_id <= 8")
    database.execute("UPDATE customer_balances SET balance = balance + 1 WHERE customer_id = 5")
    run = _carried_out(engine, {"dry_run": False, **Selection(customers=customers).options})
    assert (run.state, run.tally.unrepaired, run.tally.failed) == ("finished", 0, 0)
    assert len(held) > 1
    _expect_bounds(held)
    assert not _carried_out(engine, {"dry_run": True}).tally.drifted


def test_marks_that_drag_in_other_meters_make_chunks_smaller(
    database: Connection[Any], engine: Engine, held: list[tuple[int, int]]
) -> None:
    database.execute("UPDATE invoices SET meter_id = (meter_id + 3) % 11 + 1 WHERE invoice_id <= 11")
    run = _carried_out(engine, {"dry_run": False})
    assert (run.state, run.tally.unrepaired, run.tally.failed) == ("finished", 0, 0)
    _expect_bounds(held)
    assert not _carried_out(engine, {"dry_run": True}).tally.drifted


def test_a_single_meter_that_drags_in_more_is_repaired_all_the_same(
    database: Connection[Any], engine: Engine, held: list[tuple[int, int]]
) -> None:
    database.execute("UPDATE invoices SET meter_id = invoice_id % 11 + 1 WHERE meter_id = 4")
    database.execute("UPDATE invoices SET meter_id = 4 WHERE invoice_id IN (1, 2, 3, 5, 6, 7)")
    run = _carried_out(engine, {"dry_run": False})
    assert (run.state, run.tally.unrepaired, run.tally.failed) == ("finished", 0, 0)
    assert max(meters for meters, _ in held) > MOST
    assert not _carried_out(engine, {"dry_run": True}).tally.drifted


def _carried_out(engine: Engine, options: dict[str, Any]) -> Run:
    with session(engine) as connection:
        return run_pool(connection, runs.begin(connection, "rebuild", options), stop=lambda: False)


def _expect_bounds(held: list[tuple[int, int]]) -> None:
    assert max(meters for meters, _ in held) <= MOST
    assert max(customers for _, customers in held) <= MOST
