"""The table `backfill_runs`; the progress of a run's chunks is in `backfill.runs.chunks`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from psycopg import Connection, Cursor
from psycopg.types.json import Jsonb

from backfill.runs import workers
from backfill.runs.phases import COMPARING, PHASES, REBUILD, TRANSITIONS, Command, Phase, State
from backfill.runs.selection import Selection
from backfill.runs.tally import JSON, Tally
from events.contract.limits import BIGINT_MAX
from events.runtime.errors import InputError, StateError
from projector.database.statements import statements

SQL: Final = statements("backfill.runs", "runs.sql")
BEFORE_ALL_KEYS: Final = -BIGINT_MAX - 1
PART_OF: Final = "part_of"
"""The member of a run's options that holds the command whose part it is."""
COMMANDS_WITH_PARTS: Final = ("validate", "migrate")
RESUMED_WITHIN: Final = timedelta(days=1)  # since a check was last active: its end says that everything was compared


@dataclass(frozen=True, kw_only=True)
class Run:
    """One execution of a command; chunks were made for the keys of its phase up to and including `cursor`."""

    run_id: UUID
    command: Command
    state: State
    options: Mapping[str, Any]
    phase: Phase
    cursor: int
    tally: Tally
    error: str | None
    started_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    round: int = 1
    touched_xid: int | None = None

    @property
    def dry(self) -> bool:
        """Whether it only reports what it would do."""
        return bool(self.options.get("dry_run"))

    @property
    def repairs(self) -> bool:
        """Whether it repairs what it finds."""
        return not self.dry and "repair-meters" in PHASES[self.command]

    @property
    def chunk_size(self) -> int | None:
        """Keys in one chunk, where the user chose it."""
        size = self.options.get("chunk_size")
        return None if size is None else int(size)

    @property
    def selection(self) -> Selection:
        """What it is limited to."""
        return Selection.of(self.options)

    @property
    def part_of(self) -> str | None:
        """The command that a person typed, where another one began this run as a part of its work."""
        command = self.options.get(PART_OF)
        return command if command in COMMANDS_WITH_PARTS else None

    @property
    def is_complete(self) -> bool:
        """Whether everything was compared."""
        return self.state == "finished" and not self.tally.failed and self.selection.whole

    @property
    def matched_nothing(self) -> bool:
        """Whether none of the customers and meters that were named exists."""
        return self.selection.named and not (self.tally.customers or self.tally.meters)

    @property
    def title(self) -> str:
        """The command as it was typed."""
        return f"{self.command} --dry-run" if self.dry else self.command

    @property
    def resume_command(self) -> str:
        """The command that resumes it."""
        if PHASES[self.command] == ("done",):
            return f"backfill {self.title}"
        return f"backfill {self.title} --resume {self.run_id}"

    def next_phase(self) -> "Run":
        """Return the run before the first key of the next phase."""
        phases = PHASES[self.command] if self.round == 1 else REBUILD
        left = [phase for phase in phases if phase in COMPARING or not self.dry]
        return replace(self, phase=left[left.index(self.phase) + 1], cursor=BEFORE_ALL_KEYS)


def begin(connection: Connection[Any], command: Command, options: Mapping[str, Any]) -> Run:
    """Create a run and join it."""
    start = {"phase": PHASES[command][0], "cursor": BEFORE_ALL_KEYS, "tally": _json(Tally())}
    run = _run(connection.execute(SQL["create_run"], {"command": command, "options": Jsonb(dict(options)), **start}))
    workers.join_run(connection, run.run_id)
    return run


def resume(connection: Connection[Any], command: Command, run_id: str, *, dry: bool) -> Run:
    """Resume a run that did not finish, or join it while other processes carry it out.

    Raises:
        InputError: there is no such run, or it belongs to another command.
        StateError: it is finished or cancelled.

    """
    run = find(connection, run_id)
    if (run.command, run.dry) != (command, dry):
        raise InputError(f"--resume {run_id}: that run is a {run.title}; use `{run.resume_command}`")
    if "running" not in TRANSITIONS[run.state]:
        raise StateError(f"--resume {run_id}: that run is {run.state}; start a new one with `backfill {run.title}`")
    if command == "drift-check" and datetime.now(UTC) - run.updated_at > RESUMED_WITHIN:
        raise StateError(
            f"--resume {run_id}: it was last active too long ago; start a new one with `backfill {run.title}`"
        )
    workers.join_run(connection, run.run_id)
    try:
        run = find(connection, run_id)
        return run if _is_shared(connection, run) else change_state(connection, run, "running")
    except StateError:
        run = find(connection, run_id)
        if not _is_shared(connection, run):
            raise
        return run


def find(connection: Connection[Any], run_id: str) -> Run:
    """Read one run.

    Raises:
        InputError: there is none of this id.

    """
    try:
        known = UUID(run_id)
    except ValueError:
        raise InputError(f"{run_id}: not a run's id; `backfill runs` lists them") from None
    cursor = connection.execute(SQL["find_run"], {"run_id": known})
    if not cursor.rowcount:
        raise InputError(f"{run_id}: there is no such run; `backfill runs` lists them")
    return _run(cursor)


def recent(connection: Connection[Any], limit: int) -> list[Run]:
    """Read the latest runs, latest first."""
    cursor = connection.execute(SQL["recent_runs"], {"limit": limit})
    return [_of_row(cursor, row) for row in cursor]


def running(connection: Connection[Any], command: Command) -> list[Run]:
    """Read the runs of a command that are running, or were when their processes were killed."""
    cursor = connection.execute(SQL["running_runs"], {"command": command})
    return [_of_row(cursor, row) for row in cursor]


def unfinished_cycle(connection: Connection[Any], age_max: float) -> str | None:
    """Find the latest cycle of a rolling check, if it has not ended and is at most so many seconds old."""
    row = connection.execute(SQL["unfinished_cycle"], {"age_max": age_max}).fetchone()
    return str(row[0]) if row else None


def last_compared(connection: Connection[Any]) -> datetime | None:
    """Read when the newest run that compared everything ended; None where there was none."""
    row = connection.execute(SQL["last_compared"]).fetchone()
    return row[0] if row else None


def lock(cursor: Cursor[Any], run: Run) -> Run:
    """Lock a run's row up to the end of the transaction; the time since the last lock is added to the run's own."""
    return _run(cursor.execute(SQL["lock_run"], {"run_id": run.run_id}))


def advance(cursor: Cursor[Any], run: Run) -> Run:
    """Store a run's phase, cursor, round and tally.

    Raises:
        StateError: the run is no longer running.

    """
    position = {"phase": run.phase, "cursor": run.cursor, "round": run.round, "tally": _json(run.tally)}
    row = cursor.execute(SQL["advance_run"], {"run_id": run.run_id, **position}).fetchone()
    if row is None:
        raise StateError(f"run {run.run_id} is no longer running: another process ended it")
    return replace(run, touched_xid=row[0])


def change_state(connection: Connection[Any], run: Run, state: State, error: str | None = None) -> Run:
    """Move a run along an edge of `TRANSITIONS`.

    Raises:
        StateError: there is no such edge, or another process changed the state first.

    """
    if state not in TRANSITIONS[run.state]:
        raise StateError(f"run {run.run_id} is {run.state} and cannot become {state}")
    ended = state in {"finished", "failed", "cancelled"}
    values = {"run_id": run.run_id, "known": run.state, "state": state, "error": error, "ended": ended}
    changed = connection.execute(SQL["change_state"], values)
    if not changed.rowcount:
        raise StateError(f"run {run.run_id} is no longer {run.state}: another process changed it")
    return _run(changed)


def _is_shared(connection: Connection[Any], run: Run) -> bool:
    """Tell whether other processes carry out the run as well."""
    return run.state == "running" and workers.count(connection, run.run_id) > 1


def _json(tally: Tally) -> str:
    return JSON.dump_json(tally).decode()


def _run(cursor: Cursor[Any]) -> Run:
    return _of_row(cursor, cursor.fetchone() or ())


def _of_row(cursor: Cursor[Any], row: tuple[Any, ...]) -> Run:
    values = dict(zip((column.name for column in cursor.description or ()), row, strict=True))
    return Run(**{**values, "tally": JSON.validate_python(values["tally"])})
