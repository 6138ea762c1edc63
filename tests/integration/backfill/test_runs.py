"""A run survives its process, pauses when asked to, and tells what failed."""

import signal
from typing import Any
from uuid import UUID

import pytest
from psycopg import Connection
from sqlalchemy import Engine

from backfill.execution.pool import run_pool
from backfill.execution.worker import CHUNK_ENDS, process_chunk
from backfill.runs import chunks
from backfill.runs import store as runs
from backfill.runs.drift import findings
from backfill.runs.phases import TRANSITIONS, Command
from backfill.runs.session import session
from backfill.runs.stopping import asked_to_stop
from backfill.runs.store import Run
from events.runtime.errors import InputError, StateError
from tests.integration.backfill.conftest import Audit

OPTIONS = {"dry_run": False, "chunk_size": 1}


@pytest.mark.parametrize("command", ["drift-check", "rebuild"])
def test_a_run_killed_after_any_chunk_goes_on_to_the_same_report(
    database: Connection[Any], engine: Engine, command: Command
) -> None:
    for table in ("meter_balances", "customer_balances"):
        database.execute(f"UPDATE {table} SET total_billed = total_billed + 1")
    findings = _findings(database, _killed_and_resumed(engine, "drift-check", every=1000))
    assert len(findings) > 20
    assert _findings(database, _killed_and_resumed(engine, command, every=1)) == findings
    run = _killed_and_resumed(engine, "drift-check", every=1000)
    assert bool(_findings(database, run)) == (command == "drift-check")


def test_a_signal_pauses_after_the_chunk_at_hand(database: Connection[Any], engine: Engine) -> None:
    with session(engine) as connection:
        run = runs.begin(connection, "drift-check", OPTIONS)
        with asked_to_stop() as stop:
            signal.raise_signal(signal.SIGTERM)
            paused = run_pool(connection, run, stop=stop, watch=lambda _: None)
        assert (paused.state, paused.tally.customers) == ("paused", 0)
    with session(engine) as connection:
        run = runs.resume(connection, "drift-check", str(run.run_id), dry=False)
        assert _to_the_end(connection, run).tally.customers == 6
    assert database.execute("SELECT state FROM backfill_runs").fetchall() == [("finished",)]


def test_a_chunk_that_fails_is_told_and_the_others_go_on(
    database: Connection[Any], audit: Audit, capsys: pytest.CaptureFixture[str]
) -> None:
    _refuse_findings_of(database, meter_id=5)
    database.execute("UPDATE meter_balances SET total_billed = 0 WHERE meter_id IN (1, 5, 9)")
    run, found = audit()
    assert {each.entity_id for each in found} == {1, 9}
    assert (run.state, run.tally.failed) == ("finished", 1)
    (failed,) = run.tally.failures
    assert (failed.phase, failed.first, failed.last) == ("customers", 3, 3)
    assert "not today" in failed.reason
    assert "chunk failed" in "".join(capsys.readouterr())


def test_a_value_that_cannot_be_stored_fails_alone(database: Connection[Any], audit: Audit) -> None:
    """Two amounts whose sum is beyond NUMERIC(18,2): found, told, not repaired; its neighbours are."""
    big = "INSERT INTO invoices (invoice_id, meter_id, amount, currency, invoice_date) VALUES"
    database.execute(f"{big} (801, 3, 9e15, 'KES', '2026-01-01'), (802, 3, 9e15, 'KES', '2026-01-01')")
    database.execute("UPDATE meter_balances SET total_billed = 0 WHERE meter_id IN (1, 2, 4, 5)")
    run, found = audit("rebuild")
    assert {each.entity_id for each in found if each.entity == "meter" and each.repaired} == {1, 2, 4, 5}
    assert {each.entity_id for each in found if each.entity == "meter" and not each.repaired} == {3}
    assert (run.state, run.tally.failed) == ("finished", 1)
    assert "overflow" in run.tally.failures[0].reason
    assert {each.entity_id for each in audit()[1] if each.entity == "meter"} == {3}


def test_nothing_to_compare_is_clean(engine: Engine) -> None:
    with session(engine) as connection:
        run = _to_the_end(connection, runs.begin(connection, "rebuild", OPTIONS))
    assert (run.state, run.tally.customers, run.tally.meters) == ("finished", 0, 0)


def test_what_cannot_be_resumed_is_refused_in_a_line(engine: Engine) -> None:
    with session(engine) as connection:
        finished = _to_the_end(connection, runs.begin(connection, "drift-check", OPTIONS))
        held = runs.begin(connection, "drift-check", OPTIONS)
        with session(engine) as other:
            with pytest.raises(StateError, match="is finished; start a new one"):
                runs.resume(other, "drift-check", str(finished.run_id), dry=False)
            with pytest.raises(InputError, match="that run is a drift-check"):
                runs.resume(other, "rebuild", str(held.run_id), dry=False)
            with pytest.raises(InputError, match="there is no such run"):
                runs.resume(other, "rebuild", str(UUID(int=7)), dry=False)
            with pytest.raises(InputError, match="not a run's id"):
                runs.resume(other, "rebuild", "yesterday's", dry=False)


def test_a_run_ended_by_another_process_stops(database: Connection[Any], engine: Engine) -> None:
    """Cancelled while its second chunk is done: that one is counted as well, and no further one is begun."""

    def cancel(run: Run) -> None:
        if run.tally.customers == 1:
            database.execute("UPDATE backfill_runs SET state = 'cancelled'")

    with session(engine) as connection:
        run = runs.begin(connection, "drift-check", OPTIONS)
        ended = run_pool(connection, run, stop=lambda: False, watch=cancel)
    assert (ended.state, ended.tally.customers) == ("cancelled", 2)
    assert database.execute("SELECT count(*) FROM backfill_chunks").fetchone() == (0,)


def test_states_change_along_the_table_only(engine: Engine) -> None:
    with session(engine) as connection:
        run = _to_the_end(connection, runs.begin(connection, "drift-check", OPTIONS))
        for state in TRANSITIONS:
            with pytest.raises(StateError, match="cannot become"):
                runs.change_state(connection, run, state)


def _to_the_end(connection: Connection[Any], run: Run) -> Run:
    return run_pool(connection, run, stop=lambda: False, watch=lambda _: None)


def _killed_and_resumed(engine: Engine, command: Command, *, every: int) -> Run:
    """Carry a run out, losing the process after so many chunks, without a goodbye."""
    with session(engine) as connection:
        run = runs.begin(connection, command, OPTIONS)
    while True:
        with session(engine) as connection:
            run = runs.resume(connection, command, str(run.run_id), dry=False)
            for _ in range(every):
                if run.phase == "done":
                    return _to_the_end(connection, run)
                run = chunks.ensure_chunk(connection, run, size=1, chunk_ends=CHUNK_ENDS)
                if run.phase != "done":
                    process_chunk(connection, run)


def _findings(database: Connection[Any], run: Run) -> list[tuple[Any, ...]]:
    rows = findings(database, run, None)
    return [row[:8] for row in rows]


def _refuse_findings_of(database: Connection[Any], *, meter_id: int) -> None:
    database.execute(
        f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF new.entity_id = {meter_id} THEN"
        " RAISE 'not today'; END IF; RETURN new; END $$;"
        " CREATE TRIGGER refuse BEFORE INSERT ON drift FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
