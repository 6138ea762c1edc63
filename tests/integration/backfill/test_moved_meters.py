"""A damaged meter that consumers move while a rebuild is under way: whoever held it comes right, whenever it moved.

The consumer is the projector's own merge on a second connection; what it does, and between which two transactions of
the rebuild, is chosen here. Chunks have two customers each, so customers 5 and 6, and meters 9 and 10, come last.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from psycopg import Connection
from sqlalchemy import Engine

from backfill.execution.pool import run_pool
from backfill.exit_codes import exit_code
from backfill.runs import store as runs
from backfill.runs.session import session
from backfill.runs.store import Run
from events.runtime.settings import Settings
from tests.integration.backfill.conftest import Audit
from tests.support.examples import CloudEvent, assigned, invoice
from tests.support.merge_harness import MergeHarness

Batches = list[list[CloudEvent]]
Moment = Callable[[list[Run]], bool]
"""Told all that was watched of a run until now, says whether it is time."""

DAMAGE: Final = {
    "total": "UPDATE meter_balances SET total_billed = total_billed + 500 WHERE meter_id = {meter}",
    "count": "UPDATE meter_balances SET invoice_count = invoice_count + 1 WHERE meter_id = {meter}",
    "owner": "UPDATE meter_balances SET customer_id = 3 WHERE meter_id = {meter}",
    "no owner": "UPDATE meter_balances SET customer_id = NULL WHERE meter_id = {meter}",
    "row gone": "DELETE FROM meter_balances WHERE meter_id = {meter}",
    "mark": "UPDATE invoices SET projected_amount = projected_amount + 500 WHERE invoice_id = {meter};"
    "UPDATE meter_balances SET total_billed = total_billed + 500 WHERE meter_id = {meter}",
    "mark elsewhere": "UPDATE invoices SET projected_meter_id = 4 WHERE invoice_id = {meter};"
    "UPDATE meter_balances SET total_billed = total_billed + 7 WHERE meter_id = {meter}",
    "customer": "UPDATE customer_balances SET balance = balance + 150, active_meters = 7 WHERE customer_id = {owner}",
    "customer gone": "DELETE FROM customer_balances WHERE customer_id = {owner}",
}
"""What a hand does to meter 1 of customer 1, or to meter 9 of customer 5."""


def compared(watched: list[Run]) -> bool:
    """Between the comparison of the first chunk and its repair."""
    return len(watched) == 2


def first_repair(watched: list[Run]) -> bool:
    """Between the comparison of everything and the first repair of what was left to the end of the round."""
    return watched[-1].phase.startswith("repair")


def repaired(watched: list[Run]) -> bool:
    """Once the first chunk is repaired, before it is compared once more."""
    return len(watched) == 3


def repaired_at_the_end(watched: list[Run]) -> bool:
    """Once the first of what was left to the end of the round is repaired, before it is compared once more."""
    return sum(run.phase.startswith("repair") for run in watched) == 2


def amid(watched: list[Run]) -> bool:
    """Once customers 1 and 2 are compared, and before the others."""
    return len(watched) == 2


def moves(meter: int, owner: int, to: int) -> dict[str, Batches]:
    """List the ways in which a meter, whose assignment is 100 and its own number, changes hands."""
    key = 100 + meter
    ended = {"version": 2, "unassigned_at": "2026-02-01T00:00:00Z"}
    return {
        "by a new assignment": [
            [assigned(key, meter, owner, "unassigned", **ended),
             assigned(300, meter, to, assigned_at="2026-02-01T00:00:00Z")],
        ],
        "by an amended assignment": [[assigned(key, meter, to, version=2)]],
        "by an assignment amended to another meter": [[assigned(key, 11, owner, version=2)]],
        "to nobody": [[assigned(key, meter, owner, "unassigned", **ended)]],
        "twice": [[assigned(key, meter, 4, version=2)], [assigned(key, meter, to, version=3)]],
        "and back": [[assigned(key, meter, to, version=2)], [assigned(key, meter, owner, version=3)]],
        "while it is billed": [
            [assigned(key, meter, 4, version=2), invoice(meter, meter, "7.00", version=2)],
            [assigned(key, meter, to, version=3), invoice(900, meter, "80.00")],
        ],
    }  # fmt: skip


EVERY: Final = tuple(moves(1, 1, 6))
SOME: Final = ("by an amended assignment", "while it is billed")
PLAYED: Final = [
    (damage, moved) for damage in DAMAGE for moved in (EVERY if damage in {"total", "owner"} else SOME)
]  # fmt: skip
LEFT_TO_THE_END: Final = [(damage, moved) for damage, moved in PLAYED if not damage.startswith("customer")]
FORMER_CUSTOMER: Final = (
    "INSERT INTO meter_assignments (assignment_id, meter_id, customer_id, assigned_at, unassigned_at, active)"
    " VALUES (250, 1, 5, '2025-01-01', '2025-06-01', false)"
)
"""Customer 5, who is in another chunk, has had meter 1: so a repair of that meter is left to the end of the round."""
UNSEEN: Final = [
    (damage, moved)
    for damage in ("total", "count", "row gone", "mark elsewhere")
    for moved in ("by a new assignment", "twice", *SOME)
]


class Play:
    """A rebuild, and a consumer that applies batches at a chosen moment of it."""

    def __init__(self, engine: Engine, harness: MergeHarness, audit: Audit) -> None:
        self._engine, self._lane, self._audit = engine, harness, audit

    def rebuild(self, moment: Moment, batches: Batches, chunk_size: int = 2) -> Run:
        """Rebuild; the run has to have come by the moment."""
        watched: list[Run] = []
        left = list(batches)

        def between(run: Run) -> None:
            watched.append(run)
            if left and moment(watched):
                while left:
                    self._lane.apply(left.pop(0))

        with session(self._engine) as connection:
            run = runs.begin(connection, "rebuild", {"dry_run": False, "chunk_size": chunk_size})
            run = run_pool(connection, run, stop=lambda: False, watch=between)
        assert not left, [(each.phase, each.cursor) for each in watched]
        return run

    def require_right(self, run: Run) -> None:
        """See that the run said that all is well, and that it is."""
        assert (run.state, run.tally.failed, exit_code(run)) == ("finished", 0, 0)
        assert self._audit()[1] == []


@pytest.fixture
def play(database: Connection[Any], engine: Engine, settings: Settings, audit: Audit) -> Iterator[Play]:
    harness = MergeHarness(engine, settings)
    assert database.info.dbname == harness.connection.info.dbname
    yield Play(engine, harness, audit)
    harness.close()


@pytest.mark.parametrize(("damage", "moved"), PLAYED)
def test_moved_between_its_comparison_and_its_repair(
    database: Connection[Any], play: Play, damage: str, moved: str
) -> None:
    database.execute(DAMAGE[damage].format(meter=1, owner=1))
    play.require_right(play.rebuild(compared, moves(1, 1, 6)[moved]))


@pytest.mark.parametrize(("damage", "moved"), LEFT_TO_THE_END)
def test_moved_between_the_comparison_of_everything_and_its_repair(
    database: Connection[Any], play: Play, damage: str, moved: str
) -> None:
    database.execute(FORMER_CUSTOMER)
    database.execute(DAMAGE[damage].format(meter=1, owner=1))
    play.require_right(play.rebuild(first_repair, moves(1, 1, 6)[moved]))


@pytest.mark.parametrize("moved", SOME)
@pytest.mark.parametrize("damage", ["total", "owner", "mark", "customer"])
def test_moved_after_its_repair_and_before_the_end(
    database: Connection[Any], play: Play, damage: str, moved: str
) -> None:
    database.execute(DAMAGE[damage].format(meter=1, owner=1))
    play.require_right(play.rebuild(repaired, moves(1, 1, 6)[moved]))


@pytest.mark.parametrize("moved", SOME)
@pytest.mark.parametrize("damage", ["total", "owner", "mark"])
def test_moved_after_its_repair_at_the_end_of_the_round(
    database: Connection[Any], play: Play, damage: str, moved: str
) -> None:
    database.execute(FORMER_CUSTOMER)
    database.execute(DAMAGE[damage].format(meter=1, owner=1))
    play.require_right(play.rebuild(repaired_at_the_end, moves(1, 1, 6)[moved]))


@pytest.mark.parametrize(("damage", "moved"), UNSEEN)
def test_moved_to_a_customer_that_was_compared_already(
    database: Connection[Any], play: Play, damage: str, moved: str
) -> None:
    """Neither its former customer's chunk nor its new one's has it, when they are compared."""
    database.execute(DAMAGE[damage].format(meter=9, owner=5))
    play.require_right(play.rebuild(amid, moves(9, 5, 1)[moved]))


def test_moved_unseen_to_a_customer_that_is_summed_anew_with_it(database: Connection[Any], play: Play) -> None:
    """That customer differs after its repair, and all of its chunk: nobody undoes that, the meter is what is wrong."""
    database.execute(DAMAGE["customer"].format(meter=1, owner=1))
    database.execute(DAMAGE["total"].format(meter=9, owner=5))
    run = play.rebuild(amid, moves(9, 5, 1)["by an amended assignment"], chunk_size=1)
    assert run.round == 3
    play.require_right(run)
