"""`backfill runs`: the list, and what ends a run for good."""

import json
import re
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import Connection
from sqlalchemy import Engine

from backfill.execution.pool import run_pool
from backfill.runs import store as runs
from backfill.runs import workers
from backfill.runs.session import session
from backfill.runs.store import Run
from backfill.runs.tally import JSON, Tally
from tests.conftest import RunCommand

OPTIONS = {"dry_run": False, "chunk_size": 1}


def test_who_lists_runs_sees_whole_ids_and_whether_anybody_is_at_them(
    engine: Engine, environment: dict[str, str], run_command: RunCommand
) -> None:
    with session(engine) as connection:
        run = runs.begin(connection, "rebuild", OPTIONS)
        listed = run_command("backfill", "runs", env=environment).stdout
        assert str(run.run_id) in listed
        local = run.started_at.astimezone(ZoneInfo("Africa/Nairobi"))
        assert "Runs (times in Africa/Nairobi)" in listed
        assert f"{local:%Y-%m-%d %H:%M:%S}" in listed
        assert "no process is running it" not in listed
    for width in ("80", "120", "160"):
        listed = run_command("backfill", "runs", env={**environment, "COLUMNS": width}).stdout
        assert f"`backfill rebuild --resume {run.run_id}`" in listed, "the command can be copied"
        assert "no process is running it;" in " ".join(re.sub("[│┃]", " ", listed).split())


def test_how_long_a_run_still_compares_is_told_while_a_process_is_at_it(
    database: Connection[Any], environment: dict[str, str], run_command: RunCommand
) -> None:
    def told(run: Run) -> tuple[int | None, int | None]:
        [listed] = json.loads(run_command("backfill", "runs", "--format", "json", env=environment).stdout)
        arguments = ("backfill", "runs", "show", str(run.run_id))
        shown = json.loads(run_command(*arguments, "--format", "json", env=environment).stdout)
        return listed["eta_seconds"], shown["eta_seconds"]

    run = runs.begin(database, "rebuild", OPTIONS)
    assert told(run) == (None, None), "nothing is compared yet"
    tally = JSON.dump_json(Tally(customers=2, seconds=600.0)).decode()
    database.execute("UPDATE backfill_runs SET tally = %s", [tally])
    # of 6 customers and 11 meters, of which five count as one customer, 2 are done in ten minutes
    assert told(run) == (round(600 * 6.2 / 2), round(600 * 6.2 / 2))
    for arguments, words in (
        (("runs",), "about 31 min left to compare"),
        (("runs", "show", str(run.run_id)), "Time left to compare: about 31 min."),
    ):
        printed = run_command("backfill", *arguments, env=environment).stdout
        assert words in " ".join(re.sub("[│┃]", " ", printed).split())
    with workers.leave(database, run.run_id):
        pass
    assert told(run) == (None, None), "no process is at it"


def test_a_cancelled_run_is_not_gone_on_with(
    database: Connection[Any], environment: dict[str, str], run_command: RunCommand
) -> None:
    run = runs.begin(database, "rebuild", OPTIONS)
    cancelled = run_command("backfill", "runs", "cancel", str(run.run_id), env=environment)
    assert cancelled.exit_code == 0, cancelled.stderr
    assert cancelled.stdout == f"rebuild {run.run_id} is cancelled; its 1 process will stop after the current chunk\n"
    assert run_pool(database, run, stop=lambda: False).state == "cancelled"
    for arguments, line in {
        ("rebuild", "--resume", str(run.run_id)): "that run is cancelled; start a new one with `backfill rebuild`",
        ("runs", "cancel", str(run.run_id)): "is cancelled and cannot become cancelled",
    }.items():
        refused = run_command("backfill", *arguments, env=environment)
        assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
        assert line in refused.stderr
