"""An accident at any layer of any program never looks like a result: 70, or 2 where it has a name; not 0, not 1."""

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from psycopg import Connection

from backfill.execution import worker
from events.runtime import boundary, logs
from events.runtime import settings as settings_module
from tests.integration.backfill import history

Program = Callable[..., int]
CHECK: Final = ("backfill", "drift-check", "--chunk-size", "2")
LAYERS: Final = (
    "backfill.watch.command.load", "backfill.runs.session.make_engine", "projector.database.connections.prepare",
    "backfill.runs.session.identity.require", "backfill.runs.session.plain", "backfill.runs.check_lock.claim",
    "backfill.runs.store.begin", "backfill.runs.workers.join_run", "backfill.throttle.governor.transaction_ms",
    "backfill.execution.progress.shown", "backfill.runs.chunks.ensure_chunk", "backfill.runs.chunks.claim",
    "backfill.audit.comparison.tally_customers", "backfill.runs.chunks.finish_chunk",
    "backfill.runs.chunks.collect_finished",
    "backfill.reports.text_report.read", "backfill.reports.text_report.print_report",
    "backfill.execution.runner.exit_code",
)  # fmt: skip
"""What a check calls, from its settings to its verdict."""
OTHERS: Final[Mapping[str, str]] = {
    "backfill rebuild": "backfill.runs.session.plain",
    "backfill rebuild --dry-run": "backfill.audit.comparison.tally_customers",
    "backfill meter-balances": "backfill.audit.comparison.tally_customers",
    "backfill customer-balances": "backfill.runs.chunks.finish_chunk",
    "backfill payment-meter-ids": "backfill.runs.store.begin",
    "backfill invoice-amounts": "backfill.runs.store.advance",
    "backfill validate": "backfill.audit.comparison.tally_customers",
    "backfill migrate --yes --skip-validation": "backfill.migration.migrate.back_up",
    "backfill restore 00000000-0000-0000-0000-000000000000 --yes": "backfill.runs.store.find",
    "backfill explain --meter 1": "backfill.explain.explain.state",
    "backfill explain --customer 1": "backfill.explain.customer.snapshot",
    "backfill runs": "backfill.runs.store.recent",
    "backfill runs show 00000000-0000-0000-0000-000000000000": "backfill.runs.store.find",
    "backfill runs cancel 00000000-0000-0000-0000-000000000000": "backfill.runs.store.find",
    "backfill drift-check --every 5m": "backfill.reports.verdict.sentence",
    "projector init": "projector.deployment.schema.upgrade",
    "projector run --until-caught-up": "projector.database.revision.require_current",
    "projector status": "projector.database.revision.current",
    "projector status --meter 1": "projector.status.trust.read",
    "projector positions show": "projector.database.revision.current",
    "projector dead-letters list": "projector.dead_letters.listing.print_list",
    "projector dead-letters retry --all": "projector.consume.merge.prepare",
    "projector sandbox env": "projector.sandbox.sandbox.at",
    "projector demo": "projector.demo.run.throwaway",
    "events simulate": "events.simulate.traffic.simulate",
    "events schema": "events.contract.schema.schemas",
    "events publish /dev/null": "events.publish.Sender",
}


@pytest.fixture
def program(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Program:
    """Run a program in this process; return its exit code."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(logs, "_configure", lambda **_: None)  # loggers would keep this test's standard error

    def run(*words: str) -> int:
        settings_module.load.cache_clear()
        monkeypatch.setattr(sys, "argv", list(words))
        with pytest.raises(SystemExit) as ended:
            boundary.run(words[0], import_module(f"{words[0]}.cli").app)
        assert isinstance(ended.value.code, int)
        return ended.value.code

    return run


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("layer", LAYERS)
def test_a_check_that_met_an_accident_says_neither_clean_nor_drift(
    program: Program, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], layer: str
) -> None:
    for error in (RuntimeError("boom"), SystemExit(0), SystemExit(1), MemoryError()):
        with monkeypatch.context() as patch:
            patch.setattr(layer, _raising(error))
            assert program(*CHECK) == boundary.EXIT_DEFECT, error
        assert "backfill: internal error, exit code 70: " in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr(layer, _raising(psycopg.errors.UndefinedColumn("boom")))
        assert program(*CHECK) in {2, boundary.EXIT_DEFECT}
    assert program(*CHECK) == 0


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("command", OTHERS)
def test_no_command_takes_an_accident_for_a_result(
    program: Program, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("PROJECTOR_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    if "positions" in command or "status" in command:
        monkeypatch.setattr("events.runtime.kafka.admin", lambda *_, **__: None)
        monkeypatch.setattr("projector.kafka_log.partitions.describe_partitions", lambda *_: {})
    monkeypatch.setattr(OTHERS[command], _raising(RuntimeError("boom")))
    assert program(*command.split()) == boundary.EXIT_DEFECT


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("error", [RuntimeError("boom"), SystemExit(0)])
def test_a_helper_that_dies_ends_the_run_with_its_own_code(
    program: Program, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    at_work = worker.run_worker

    def only_here(*given: Any, **named: Any) -> Any:  # noqa: ANN401 - handed on
        if threading.current_thread() is not threading.main_thread():
            raise error
        return at_work(*given, **named)

    monkeypatch.setattr("backfill.execution.pool.run_worker", only_here)
    assert program(*CHECK, "--workers", "2") == boundary.EXIT_DEFECT


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("tally", '{"drifted_meters": "none"}'),
        ("tally", "[]"),
        ("tally", '{"heads": 1}'),
        ("options", '{"selection": {"heads": [1]}}'),
        ("options", '{"chunk_size": "few"}'),
    ],
)
def test_a_run_that_a_hand_has_edited_is_no_result(
    program: Program, database: Connection[Any], column: str, value: str
) -> None:
    assert program(*CHECK) == 0
    database.execute(
        f"UPDATE backfill_runs SET state = 'paused', phase = 'customers', {column} = %s".encode(), (value,)
    )
    (run_id,) = database.execute("SELECT run_id::text FROM backfill_runs").fetchone() or ("",)
    assert program(*CHECK[:2], "--resume", run_id) in {2, boundary.EXIT_DEFECT}


@pytest.mark.usefixtures("database")
def test_a_report_that_cannot_be_written_is_neither(
    program: Program, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    for where in ("backfill.reports.csv_report.print_rows", "pathlib.Path.replace"):
        with monkeypatch.context() as patch:
            patch.setattr(where, _raising(full))
            assert program(*CHECK, "--format", "csv", "--output", str(tmp_path / "report.csv")) == 2
        [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("backfill: ")]
        assert "report.csv: No space left on device; the findings are kept" in line
        assert list(tmp_path.iterdir()) == []


def test_a_validation_that_did_not_compare_all_is_neither(
    program: Program, database: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("backfill.audit.comparison.tally_customers", _raising(psycopg.errors.RaiseException("not today")))
        assert program("backfill", "validate", "--check", "totals") == 2
    database.execute(
        "CREATE FUNCTION cancel() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.state = 'cancelled'; RETURN NEW; END $$;"
        "CREATE TRIGGER cancel BEFORE UPDATE ON backfill_runs FOR EACH ROW WHEN (NEW.phase <> 'customers')"
        " EXECUTE FUNCTION cancel()"
    )
    assert program("backfill", "validate", "--check", "totals") == 3


@pytest.mark.usefixtures("database")
def test_nobody_compared_is_no_clean_run(program: Program) -> None:
    for command in ("drift-check", "rebuild", "rebuild --dry-run"):
        assert program("backfill", *command.split(), "--customer", "987654321") == 2


@pytest.mark.parametrize("form", ["table", "json"])
def test_a_reader_that_leaves_before_the_verdict_has_seen_none(
    database: Connection[Any], environment: dict[str, str], form: str
) -> None:
    """There is drift, and whoever reads the report has gone before its first word."""
    database.execute("UPDATE meter_balances SET total_billed = 0 WHERE meter_id = 1")
    reading, writing = os.pipe()
    os.close(reading)
    command = [str(Path(sys.executable).parent / "backfill"), "drift-check", "--format", form]
    done = subprocess.run(command, env=environment, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert done.returncode == boundary.EXIT_PIPE
    assert b"Traceback" not in done.stderr


def _raising(error: BaseException) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.fixture
def database(engine: Any) -> Iterator[Connection[Any]]:  # noqa: ANN401 - SQLAlchemy's
    """Fill the database with a history and its projection."""
    pooled = engine.raw_connection()
    connection = pooled.driver_connection
    connection.autocommit = True
    history.write(connection)
    yield connection
    pooled.invalidate()
