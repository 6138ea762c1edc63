"""Its dates and the clock say whether an assignment is in effect; an `active` that says otherwise is drift."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest
from sqlalchemy import Engine

from backfill.runs.session import session
from events.runtime.settings import Settings
from tests.conftest import WaitUntil
from tests.property.auditor import Auditor
from tests.support.examples import assigned, invoice
from tests.support.interleaving import PATIENCE_SECONDS, Held
from tests.support.merge_harness import MergeHarness, day, disagreement, set_clock

EVENTS: Final = [
    assigned(1, 1, 7, unassigned_at=day(-1)),
    assigned(2, 1, 8, assigned_at=day(-1)),
    assigned(3, 2, 7),
    assigned(4, 3, 7, "unassigned"),
    *(invoice(n, n, "10.00") for n in (1, 2, 3)),
]
AFTER_THE_CHANGES: Final = 4  # statements of a move of the clock
WAITING: Final = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    " AND position('FROM assignment_clock FOR SHARE' IN query) > 0"
)
EDITS: Final[dict[str, tuple[str, dict[int, str], set[int]]]] = {
    "one that has not begun": ("active = true WHERE assignment_id = 2", {1: "marks-edited"}, set()),
    "one that is in effect": ("active = false WHERE assignment_id = 3", {2: "marks-edited"}, set()),
    "one that ended without a date": ("active = true WHERE assignment_id = 4", {3: "marks-edited"}, set()),
    "each one": ("active = NOT active", dict.fromkeys((1, 2, 3), "marks-edited"), set()),
    "its begin": ("assigned_at = now() WHERE assignment_id = 3", {2: "assignment-edited"}, {2}),
    "its end": ("unassigned_at = '2026-01-02' WHERE assignment_id = 3", {2: "assignment-edited"}, {2}),
    "that it ended": ("ended = false WHERE assignment_id = 4", {3: "assignment-edited"}, {3}),
    "all that says so, together": (
        "active = false, ended = true WHERE assignment_id = 3", {}, {2}
    ),
    "nothing but what made it from the stream": ("ended = NULL WHERE assignment_id = 3", {}, set()),
}  # fmt: skip
"""By name: what is edited; the meters whose marks are found to differ, with the cause; those under another customer."""


@pytest.fixture
def auditor(engine: Engine, settings: Settings) -> Iterator[Auditor]:
    with session(engine) as connection:
        yield Auditor(engine, settings, connection)


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_is_found_with_its_cause_and_repaired(
    engine: Engine, harness: MergeHarness, auditor: Auditor, edit: str
) -> None:
    sql, marks, moved = EDITS[edit]
    set_clock(engine, -5)
    harness.apply(EVENTS)
    assert auditor.check().findings == 0
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE meter_assignments SET {sql}")
    auditor.check()
    found = auditor.found()
    assert {key for entity, key, column in found if (entity, column) == ("meter", "marks")} == marks.keys()
    assert {key for entity, key, column in found if (entity, column) == ("meter", "customer_id")} == moved
    assert {cause for cause, _ in auditor.marks()} == set(marks.values())
    for _, evidence in auditor.marks():
        assert [part["source"] for part in evidence["history"]] == ["assignments"]
    assert auditor.rebuild().unrepaired == 0
    assert auditor.check().findings == 0
    if not moved:
        harness.advance()
        assert auditor.check().findings == 0
        assert not disagreement(engine, EVENTS) or "NULL" in sql


def test_a_clock_that_was_moved_and_nothing_with_it_is_found(
    engine: Engine, harness: MergeHarness, auditor: Auditor
) -> None:
    """What is due is no drift while the clock stands; the drift is that it passed dates that did not take effect."""
    set_clock(engine, -5)
    harness.apply(EVENTS)
    assert auditor.check().findings == 0
    set_clock(engine, 0)
    auditor.check()
    assert {("meter", 1, "marks"), ("meter", 1, "customer_id")} <= auditor.found()
    assert auditor.rebuild().unrepaired == 0
    assert not disagreement(engine, EVENTS)


def test_a_repair_waits_for_the_clock_that_is_being_moved(
    engine: Engine, harness: MergeHarness, auditor: Auditor, wait_until: WaitUntil
) -> None:
    """And repairs another assignment at the clock as it is then."""
    set_clock(engine, -5)
    harness.apply(EVENTS)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE meter_assignments SET active = false WHERE assignment_id = 3")
    with ThreadPoolExecutor(2) as pool:
        moving = Held(pool, harness, None, AFTER_THE_CHANGES)
        assert moving.rests(engine) == "held"

        def let_go() -> None:
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as watcher:
                wait_until(lambda: watcher.exec_driver_sql(WAITING).scalar_one(), what="the repair to wait")
            moving.let_go()

        waited = pool.submit(let_go)
        assert auditor.rebuild().unrepaired == 0
        waited.result(PATIENCE_SECONDS)
        moving.result()
    assert auditor.check().findings == 0
    assert not disagreement(engine, EVENTS)
