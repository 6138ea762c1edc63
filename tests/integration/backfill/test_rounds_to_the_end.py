"""Rounds of a run that is limited, or whose repair the database suppresses: what is said, and that it ends."""

from typing import Any

import pytest
from psycopg import Connection
from sqlalchemy import Engine

from backfill.exit_codes import exit_code
from backfill.runs.rounds import ROUNDS_MAX
from backfill.runs.store import Run
from events.runtime.errors import WorkFailedError
from tests.integration.backfill.conftest import Audit
from tests.integration.backfill.rebuilding import EDIT, allow, rebuild, resumed, suppress


def test_a_repair_that_the_database_suppresses_is_never_called_one(
    database: Connection[Any], engine: Engine, audit: Audit
) -> None:
    """It wrote nothing, so no row tells that customer 1 was touched; that of customer 2 was repaired beside it."""
    database.execute("UPDATE customer_balances SET balance = balance + 5 WHERE customer_id IN (1, 2)")
    suppress(database)
    said = f"the repair does not hold: 1 customer still differs in round {ROUNDS_MAX}; something undoes it"
    with pytest.raises(WorkFailedError, match=said):
        audit("rebuild")
    shown = database.execute("SELECT entity_id, repaired_at IS NULL FROM drift ORDER BY entity_id").fetchall()
    assert shown == [(1, True), (2, False)]
    allow(database)
    ended = resumed(engine, database)
    assert (ended.state, exit_code(ended), ended.round, ended.tally.unrepaired) == ("finished", 0, ROUNDS_MAX + 2, 0)
    assert audit()[1] == []


@pytest.mark.parametrize("selection", [{}, {"meters": [1]}, {"since": "2020-01-01T00:00:00+00:00"}])
def test_what_could_not_be_repaired_is_compared_again_whether_it_was_touched_or_not(
    database: Connection[Any], engine: Engine, selection: dict[str, object]
) -> None:
    """By the second round it has come right by itself, and customer 1 is nobody's in a run limited to its meter."""
    database.execute("UPDATE meter_balances SET total_billed = total_billed + 5 WHERE meter_id = 1")
    database.execute("UPDATE customer_balances SET balance = balance + 5 WHERE customer_id = 1")
    suppress(database)
    seen: list[tuple[int, bool]] = []

    def between(run: Run) -> None:
        if run.round == 2 and not seen:
            seen.extend(
                database.execute("SELECT count(*), bool_and(repaired_at IS NULL) FROM drift WHERE entity = 'customer'")
            )
            allow(database)

    run = rebuild(engine, between, selection=selection) if selection else rebuild(engine, between)
    assert [unrepaired for count, unrepaired in seen if count] == [True]
    assert (run.state, exit_code(run), run.round, run.tally.unrepaired) == ("finished", 0, 3, 0)
    assert database.execute("SELECT count(*) FROM drift WHERE repaired_at IS NULL").fetchall() == [(0,)]


def test_a_limited_run_puts_right_whom_it_summed_anew(database: Connection[Any], engine: Engine, audit: Audit) -> None:
    """Customer 2 had meter 1; its own meter 4 is damaged, and so its sum would be once it is taken anew."""
    database.execute(
        "INSERT INTO meter_assignments (assignment_id, meter_id, customer_id, assigned_at, active)"
        " VALUES (400, 1, 2, '2025-01-01', false)"
    )
    for meter in (1, 4, 9):
        database.execute(f"UPDATE meter_balances SET total_billed = total_billed + 500 WHERE meter_id = {meter}")
    run = rebuild(engine, lambda _: None, selection={"meters": [1]})
    assert (run.state, run.tally.failed, exit_code(run)) == ("finished", 0, 0)
    assert {(each.entity, each.entity_id) for each in audit()[1]} == {("meter", 9)}


def damage_everyone(database: Connection[Any]) -> None:
    """Let every row be off, and give each customer a meter that was once another's: a chain over all of them."""
    for key, (meter, former) in enumerate([(1, 2), (3, 3), (5, 4), (7, 5)], 900):
        database.execute(
            "INSERT INTO meter_assignments (assignment_id, meter_id, customer_id, assigned_at, active)"
            " VALUES (%s, %s, %s, '2020-01-01', false)",
            [key, meter, former],
        )
    database.execute("UPDATE meter_balances SET payment_count = payment_count + 1")
    database.execute("UPDATE customer_balances SET balance = balance + 1")


@pytest.mark.parametrize(
    "selection", [{"customers": [1]}, {"meters": [1, 2]}, {"customers": [1], "since": "2020-01-01T00:00:00+00:00"}]
)
def test_a_limited_run_goes_on_as_long_as_it_comes_upon_what_it_did_not_know(
    database: Connection[Any], engine: Engine, audit: Audit, selection: dict[str, object]
) -> None:
    """Each round finds the meters of one customer more, whose sum the one before took anew; nobody edits."""
    damage_everyone(database)
    run = rebuild(engine, lambda _: None, selection=selection)
    assert (run.state, exit_code(run)) == ("finished", 0)
    assert run.round > ROUNDS_MAX + 1
    left = {(each.entity, each.entity_id) for each in audit()[1]}
    assert not left & {(entity, key) for entity in ("meter", "customer") for key in (1, 2)}


def test_a_limited_run_gives_up_where_drift_keeps_coming(database: Connection[Any], engine: Engine) -> None:
    edited: list[int] = []

    def between(run: Run) -> None:
        if run.phase == "meters" and run.round not in edited:
            database.execute(EDIT.format(1))
            edited.append(run.round)

    database.execute(EDIT.format(1))
    with pytest.raises(WorkFailedError, match="drift keeps coming: 1 meter was found in round 3"):
        rebuild(engine, between, selection={"customers": [1]})


def test_a_limited_run_that_is_resumed_follows_what_it_comes_upon(
    database: Connection[Any], engine: Engine, audit: Audit
) -> None:
    """The repair of customer 1 is suppressed until then, and everybody whom the run leads to is off, too."""
    damage_everyone(database)
    suppress(database)
    with pytest.raises(WorkFailedError, match="the repair does not hold: 1 customer still differs"):
        rebuild(engine, lambda _: None, selection={"customers": [1]})
    allow(database)
    ended = resumed(engine, database)
    assert (ended.state, exit_code(ended), ended.tally.unrepaired) == ("finished", 0, 0)
    assert database.execute("SELECT count(*) FROM drift WHERE repaired_at IS NULL").fetchall() == [(0,)]
    assert ("customer", 1) not in {(each.entity, each.entity_id) for each in audit()[1]}
