"""The auditor as a test holds it: one connection, and runs whose chunks are as small as the histories."""

from typing import Any, Final

from psycopg import Connection
from sqlalchemy import Engine, text

from backfill.execution.runner import run_to_completion
from backfill.execution.worker import RunTuning
from backfill.runs import store as runs
from backfill.runs.phases import Command
from backfill.runs.tally import Tally
from events.runtime.settings import Settings
from tests.support.oracle import State
from tests.support.recorded import read_projection

CHUNK_SIZE: Final = 2


class Auditor:
    """Carries out checks and rebuilds, and reads what they found."""

    def __init__(self, engine: Engine, settings: Settings, connection: Connection[Any]) -> None:
        self._engine, self._settings, self._connection = engine, settings, connection

    def check(self) -> Tally:
        """Compare everything; change nothing."""
        return self._run("drift-check")

    def rebuild(self) -> Tally:
        """Compare and repair everything."""
        return self._run("rebuild")

    def recorded(self) -> State:
        """Read what the database says."""
        with self._engine.connect() as connection:
            return read_projection(connection)

    def found(self) -> set[tuple[str, int, str]]:
        """Read which columns the last run found to differ, as (entity, id, column)."""
        last = text(
            "SELECT entity, entity_id, column_name FROM drift"
            " WHERE run_id = (SELECT run_id FROM backfill_runs ORDER BY started_at DESC LIMIT 1)"
        )
        with self._engine.connect() as connection:
            return {(entity, key, column) for entity, key, column in connection.execute(last)}

    def marks(self) -> list[tuple[str, dict[str, Any]]]:
        """Read what the last run found of marks: cause and evidence."""
        last = text(
            "SELECT cause, evidence FROM drift WHERE column_name = 'marks'"
            " AND run_id = (SELECT run_id FROM backfill_runs ORDER BY started_at DESC LIMIT 1)"
        )
        with self._engine.connect() as connection:
            return [(cause, evidence) for cause, evidence in connection.execute(last)]

    def _run(self, command: Command) -> Tally:
        run = runs.begin(self._connection, command, {"dry_run": False, "chunk_size": CHUNK_SIZE})
        return run_to_completion(
            self._settings, self._connection, run, engine=self._engine, tuning=RunTuning(governed=False)
        ).tally
