"""From what a run found to alerts that are delivered, or tried again later.

1. Read the current drift and the last alert of each cause, and decide which alerts to send.
2. Store them, so that a process killed at this point sends them when it is started again.
3. Send each address the alerts that it has not got; an address that cannot be reached is logged and holds up nothing.

An address that took an alert just before the process was killed gets it a second time.
"""

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final, NamedTuple

import psycopg
import structlog
from psycopg import Connection

from backfill.alerts import dead_man, store
from backfill.alerts.alert import (
    CHECKER_FAILED,
    COVERAGE_BEHIND,
    OF_THE_CHECKER,
    Alert,
    Deployment,
    Found,
    State,
    compose,
    digest,
)
from backfill.alerts.channels import Address, UndeliveredError
from backfill.alerts.decide import LastAlert, decide
from backfill.runs.check_lock import AnotherChecksError
from backfill.runs.session import ready, session
from backfill.runs.store import Run
from events.runtime.errors import ProgramError, ServiceUnavailableError, StateError
from events.runtime.settings import Settings
from events.runtime.wording import counted
from projector.database.address import read_address
from projector.database.failures import describe_error

RUN_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
AGAIN_SECONDS: Final = 60.0  # between two attempts during one run to reach an address that failed

_log = structlog.get_logger()


class _Unwritten(NamedTuple):
    """An alert that was sent while the database was unavailable, and the addresses that took it."""

    alert: Alert
    reached: list[str]


class Alerting:
    """The alerts of one process."""

    def __init__(self, settings: Settings, addresses: Sequence[Address]) -> None:
        self._settings = settings
        self._addresses = addresses
        self._unwritten: _Unwritten | None = None
        self._again_at = 0.0

    def run_ended(self, connection: Connection[Any], run: Run) -> None:
        """Alert on the drift that a finished run found, and on chunks that could not be compared."""
        if run.state == "finished":
            failed = {CHECKER_FAILED: _failures(run)} if run.tally.failed else {}
            self._settle(connection, failed, {CHECKER_FAILED} if run.selection.whole else set(), run)
        self._drift(connection, run)
        self._deliver(connection)
        if run.is_complete:
            dead_man.call(self._settings)

    def during_run(self, connection: Connection[Any], run: Run) -> None:
        """Alert on new drift while a long run goes on; growing drift is reported at its end."""
        if self._drift(connection, run) or monotonic() > self._again_at:
            self._deliver(connection)

    def coverage(self, connection: Connection[Any], run: Run | None, behind: str) -> None:
        """Alert that not everything was compared within the promised time; resolved where `behind` is empty."""
        cause = COVERAGE_BEHIND
        found = {cause: Found(cause=cause, digest="behind", detail=behind)} if behind else {}
        if self._settle(connection, found, {cause}, run):
            self._deliver(connection)

    def check_failed(self, error: ProgramError) -> None:
        """Alert that a check failed altogether; once, to all addresses, while the database is unavailable."""
        if not self._addresses:
            return
        kind = type(error).__name__ if isinstance(error, ServiceUnavailableError) else RUN_ID.sub("", str(error))
        found = Found(cause=CHECKER_FAILED, digest=digest(kind), detail=str(error))
        try:
            with ready(self._settings) as engine, session(engine) as connection:
                self._settle(connection, {CHECKER_FAILED: found}, {CHECKER_FAILED}, None)
                self._deliver(connection)
        except (ProgramError, psycopg.Error):
            self._send_unwritten(found)

    def _drift(self, connection: Connection[Any], run: Run) -> bool:
        if not self._addresses:
            return False
        with _in_one_line(connection):
            found = store.open_drift(connection, run.run_id)
            if run.is_complete:
                settled: Set[str] = _settled(found.keys(), store.last_alerts(connection), run)
            else:
                settled = store.resolved_causes(connection)
        return self._settle(connection, found, settled, run)

    def _settle(
        self, connection: Connection[Any], found: Mapping[str, Found], settled: Set[str], run: Run | None
    ) -> bool:
        """Decide and store the alerts to send; return whether there are any."""
        if not self._addresses:
            return False
        with _in_one_line(connection), store.deciding(connection):
            self._write_what_was_sent(connection)
            decided = list(decide(found, store.last_alerts(connection), settled))
            for state, what in decided:
                store.save(connection, self._composed(what, state, run))
        return bool(decided)

    def _deliver(self, connection: Connection[Any]) -> None:
        """Send each address the alerts that it has not got."""
        self._again_at = monotonic() + AGAIN_SECONDS
        with _in_one_line(connection), store.delivering(connection) as alone:
            for address in self._addresses if alone else ():
                _deliver(connection, address)

    def _composed(self, found: Found, state: State, run: Run | None) -> Alert:
        whole = run is not None and run.is_complete
        run_id = run.run_id if run else None
        own = self._settings
        deployment = Deployment(read_address(own).place, own.schema_name, own.group_id, own.currency)
        return compose(found, state, run_id=run_id, whole=whole, deployment=deployment, at=store.now())

    def _send_unwritten(self, found: Found) -> None:
        if self._unwritten is None or self._unwritten.alert.digest != found.digest:
            self._unwritten = _Unwritten(self._composed(found, "raised", None), [])
        alert, reached = self._unwritten
        for address in self._addresses:
            if address.key not in reached and _sent(address, alert.document):
                reached.append(address.key)

    def _write_what_was_sent(self, connection: Connection[Any]) -> None:
        if self._unwritten:
            store.save(connection, self._unwritten.alert, self._unwritten.reached)
            self._unwritten = None


def _settled(found: Set[str], last_alerts: Mapping[str, LastAlert], run: Run) -> Set[str]:
    """Name the causes that a complete run fully checked, without those on which a later run has alerted since."""
    later = {
        cause for cause, last in last_alerts.items() if last.run_id and last.run_id > str(run.run_id)
    }  # ids grow with time
    return (found | last_alerts.keys()) - OF_THE_CHECKER - later


@contextmanager
def alert_on_failure(alerting: Alerting) -> Iterator[None]:
    """Alert when a check fails, unless it fails because another check is running."""
    try:
        yield
    except AnotherChecksError:
        raise
    except (ServiceUnavailableError, StateError) as error:
        alerting.check_failed(error)
        raise


def _deliver(connection: Connection[Any], address: Address) -> None:
    for alert_id, document in store.undelivered(connection, address.key):
        if not _sent(address, document):
            return
        store.mark_delivered(connection, alert_id, address.key)


def _sent(address: Address, document: Mapping[str, Any]) -> bool:
    try:
        address.send(document)
    except UndeliveredError as error:
        _log.warning("alert not delivered", address=address.name, reason=str(error))
        return False
    return True


@contextmanager
def _in_one_line(connection: Connection[Any]) -> Iterator[None]:
    """Describe what PostgreSQL refused in one line; a lost connection is reported by the caller."""
    try:
        yield
    except psycopg.Error as error:
        if connection.closed:
            raise
        raise StateError(f"alerts could not be stored: {describe_error(error)}") from None


def _failures(run: Run) -> Found:
    failures = run.tally.failures
    reasons = sorted({failure.reason for failure in failures})
    first = "; ".join(f"{each.phase} {each.keys}: {each.reason}" for each in failures[:3])
    detail = f"{counted(run.tally.failed, 'chunk')} could not be compared: {first}"
    return Found(cause=CHECKER_FAILED, digest=digest(*reasons), detail=detail)
