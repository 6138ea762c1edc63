"""Whether an assignment is in effect is compared as of the clock, wherever that stands, and while it is being moved."""

from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest
from sqlalchemy import Engine

from tests.conftest import WaitUntil
from tests.integration.verify_log.conftest import Logged
from tests.support.examples import assigned, invoice
from tests.support.interleaving import PATIENCE_SECONDS, Held
from tests.support.merge_harness import MergeHarness, day, set_clock

pytestmark = pytest.mark.usefixtures("environment")

LONG_AGO: Final = day(-99)
FRIDAY: Final = day(-1)
EVENTS: Final = [
    assigned(1, 42, 7, assigned_at=LONG_AGO, unassigned_at=FRIDAY),
    assigned(2, 42, 8, assigned_at=FRIDAY),
    assigned(3, 43, 7, "unassigned", assigned_at=LONG_AGO),
    assigned(4, 44, 7, assigned_at=day(9)),
    *(invoice(key, 41 + key, "10.00") for key in (1, 2, 3)),
]
WITH_THE_CLOCK: Final = 2  # statements of a move of the clock, until it holds the clock and has changed nothing else
WAITING: Final = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    " AND position('FROM assignment_clock FOR SHARE' IN query) > 0"
)


def test_before_and_after_the_clock_has_moved_history_agrees_with_the_log(logged: Logged, engine: Engine) -> None:
    set_clock(engine, -5)
    logged.apply(*EVENTS)
    assert logged.verify().found == set()
    harness = MergeHarness(engine, logged.settings, begin=False)
    harness.advance()
    harness.close()
    assert logged.sql("SELECT assignment_id FROM meter_assignments WHERE active") == [(2,)]
    assert logged.verify().found == set()
    logged.sql("UPDATE meter_assignments SET active = NOT active")
    assert logged.verify().found == {
        ("assignment", key, "active", recorded, expected, "history-edited")
        for key in (1, 2, 3, 4)
        for recorded, expected in [("false", "true") if key == 2 else ("true", "false")]
    }
    assert logged.verify(repair=True).exit_code == 0
    assert not logged.disagreement()


def test_a_replay_and_a_move_of_the_clock_wait_for_each_other_in_one_order(
    logged: Logged, engine: Engine, wait_until: WaitUntil
) -> None:
    """The row that is replayed is due: whoever has the clock changes it first."""
    set_clock(engine, -5)
    logged.apply(*EVENTS)
    logged.sql("UPDATE meter_assignments SET customer_id = 9 WHERE assignment_id = 2")
    harness = MergeHarness(engine, logged.settings, begin=False)
    with ThreadPoolExecutor(2) as pool:
        moving = Held(pool, harness, None, WITH_THE_CLOCK)
        assert moving.rests(engine) == "held"

        def let_go() -> None:
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as watcher:
                wait_until(lambda: watcher.exec_driver_sql(WAITING).scalar_one(), what="the replay to wait")
            moving.let_go()

        waited = pool.submit(let_go)
        repaired = logged.verify(repair=True)
        waited.result(PATIENCE_SECONDS)
        moving.result()
    harness.close()
    assert repaired.exit_code == 0, repaired.document
    assert not logged.disagreement()
