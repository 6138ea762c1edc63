"""Rounds: what is compared once more, when a run has to go on, when it gives up, and what it says."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from psycopg import Connection
from sqlalchemy import Engine

from backfill.execution.worker import CHUNK_ENDS, process_chunk
from backfill.exit_codes import exit_code
from backfill.reports import verdict
from backfill.runs import chunks
from backfill.runs import store as runs
from backfill.runs.rounds import ROUNDS_MAX
from backfill.runs.session import session
from backfill.runs.store import Run
from events.runtime.errors import WorkFailedError
from tests.conftest import RunCommand
from tests.integration.backfill.conftest import Audit
from tests.integration.backfill.rebuilding import EDIT, OPTIONS, rebuild, resumed


def test_a_clean_run_compares_nothing_again_where_nothing_was_touched(database: Connection[Any], audit: Audit) -> None:
    run, _ = audit("rebuild")
    assert (run.round, run.tally.customers, run.tally.compared_again) == (2, 6, 0)
    assert verdict.sentence(run).startswith(
        "No drift: every balance agrees with history. 6 customers and 11 meters compared with history"
    )
    for command, dry in (("rebuild", True), ("drift-check", False)):
        database.execute(EDIT.format(1))
        assert audit(command, dry_run=dry)[0].round == 1  # type: ignore[arg-type]


def test_what_was_repaired_is_compared_again_and_counted_apart(database: Connection[Any], audit: Audit) -> None:
    database.execute("UPDATE meter_balances SET total_billed = total_billed + 1 WHERE meter_id IN (1, 11)")
    first, _ = audit()
    run, found = audit("rebuild")
    counted = {name: value for name, value in vars(first.tally).items() if name not in {"seconds", "repaired"}}
    assert {**vars(run.tally), **counted} == {**vars(run.tally), "compared_again": 0}
    assert (run.tally.compared_again, run.tally.found_again, run.tally.repaired) == (6, 0, 2)
    assert all(each.repaired for each in found)
    assert "all repaired and compared again. 2 rounds: the last found nothing among what was" in verdict.sentence(run)


@pytest.mark.parametrize("since", ["before the run", "while it runs"])
def test_what_a_transaction_wrote_that_was_under_way_is_seen_whenever_it_began(
    database: Connection[Any], connect: Callable[[], Connection[Any]], engine: Engine, audit: Audit, since: str
) -> None:
    """It commits once the row was compared; a row's time of change is that of the transaction's beginning."""
    writer, began = connect(), list[str]()

    def write() -> None:
        writer.execute("BEGIN")
        writer.execute(EDIT.format(1) + " RETURNING updated_at")
        began.append(since)

    def between(run: Run) -> None:
        if run.round == 1 and not began and run.cursor >= 4:
            write()
        elif began and run.phase == "meters" and writer.info.transaction_status.name == "INTRANS":
            writer.execute("COMMIT")

    if since == "before the run":
        write()
    run = rebuild(engine, between)
    assert (run.state, run.round, run.tally.found_again, run.tally.drifted) == ("finished", 3, 1, 1)
    assert "3 rounds: later rounds found 1 more, the last found nothing" in verdict.sentence(run)
    assert audit()[1] == []
    assert database.execute("SELECT round, repaired_at IS NULL FROM drift").fetchall() == [(2, False)]


def test_a_run_gives_up_where_drift_keeps_coming_and_resumed_goes_on_with_one_more_round(
    database: Connection[Any], engine: Engine, audit: Audit
) -> None:
    edited: list[int] = []

    def between(run: Run) -> None:
        if run.phase == "meters" and run.round not in edited:
            database.execute(EDIT.format(1))  # which was compared in this round already
            edited.append(run.round)

    database.execute(EDIT.format(3))
    said = f"drift keeps coming: 1 meter was found in round {ROUNDS_MAX} and repaired; somebody"
    with pytest.raises(WorkFailedError, match=said):
        rebuild(engine, between)
    assert edited == list(range(1, ROUNDS_MAX + 1))
    ended = resumed(engine, database)
    assert (ended.state, ended.round) == ("finished", ROUNDS_MAX + 1)
    assert audit()[1] == []


def test_an_endless_edit_ends_the_command_in_one_line(
    database: Connection[Any], environment: dict[str, str], run_command: RunCommand
) -> None:
    """A trigger edits a meter whenever a round is over."""
    database.execute(EDIT.format(1))
    database.execute(
        "CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF new.round > old.round THEN {EDIT.format(1)}; END IF;"
        " RETURN new; END $$;"
        " CREATE TRIGGER again BEFORE UPDATE ON backfill_runs FOR EACH ROW EXECUTE FUNCTION again()"
    )
    stopped = run_command("backfill", "rebuild", env=environment)
    assert (stopped.exit_code, stopped.stdout) == (1, "")
    assert "stopped: drift keeps coming: 1 meter was found in round 3" in stopped.stderr
    shown = json.loads(run_command("backfill", "runs", "--format", "json", env=environment).stdout)
    assert [(run["state"], run["rounds"]) for run in shown] == [("failed", 4)]


def test_a_failed_chunk_ends_the_run_with_the_round_at_hand(database: Connection[Any], audit: Audit) -> None:
    database.execute("ALTER TABLE drift ADD CONSTRAINT not_five CHECK (entity_id <> 5)")
    database.execute("UPDATE meter_balances SET invoice_count = 0 WHERE meter_id IN (1, 5)")
    run, _ = audit("rebuild")
    assert (run.state, run.round, run.tally.failed, exit_code(run)) == ("finished", 1, 1, 1)


def test_a_worker_that_slept_through_a_round_finds_no_chunk_of_its_own(engine: Engine, audit: Audit) -> None:
    audit()
    with session(engine) as connection:
        asleep = chunks.ensure_chunk(connection, runs.begin(connection, "rebuild", OPTIONS), 2, CHUNK_ENDS)
        run = asleep
        while run.round == 1:
            process_chunk(connection, run)
            run = chunks.ensure_chunk(connection, run, 2, CHUNK_ENDS)
        with connection.transaction():
            connection.execute(
                "INSERT INTO backfill_chunks (run_id, round, phase, after_key, last_key) VALUES (%s, 2, %s, 0, 9)",
                [run.run_id, asleep.phase],
            )
        assert process_chunk(connection, asleep) is None


def test_a_run_from_before_there_were_rounds_compares_everything_again(
    database: Connection[Any], engine: Engine
) -> None:
    """All but customer 6, of whom no row tells anything."""

    def forget(_: Run) -> None:
        database.execute("UPDATE backfill_runs SET round_xid = NULL")

    run = rebuild(engine, forget)
    assert (run.state, run.round, run.tally.customers, run.tally.compared_again) == ("finished", 2, 6, 26)
