"""The drift check that is always on: a check every so often, or one that goes round for ever at an even pace.

A round is a run like any other: it claims the checker's lock, compares, reports, and has alerts said. A round that
fails is said and tried again; only the first one's failure ends the program, for then a setting or a service is wrong.
SIGTERM and SIGINT end the service after the chunk at hand, with exit code 0. A rolling check keeps its cursor in its
run, so that a restart goes on where the last one stopped.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Final

import structlog
from psycopg import Connection

from backfill.alerts.alerting import Alerting, alert_on_failure
from backfill.audit import check
from backfill.execution.pool import run_pool
from backfill.execution.runner import Request, brakes, execute, failure_written_down, record
from backfill.exit_codes import EXIT_CLEAN
from backfill.options import ReportFormat
from backfill.reports import output, text_report
from backfill.runs import check_lock
from backfill.runs import store as runs
from backfill.runs.session import ready, session
from backfill.runs.stopping import asked_to_stop
from backfill.runs.store import Run
from backfill.throttle import pace
from backfill.throttle.pace import EvenPacing, Pace
from events.runtime.console import say
from events.runtime.errors import ServiceUnavailable, StateError
from events.runtime.settings import Settings

AGAIN_SECONDS: Final = 60.0  # until a round that failed is tried again, where the next is not due before
JUDGE_APART: Final = 10  # times what the last look took: it reads all that was found, which may be very much
JUDGE_SECONDS: Final = 5.0  # between two looks, amid a run, at what there is to be alerted on
ROUNDS_MISSED: Final = 2  # of checks every so often, after which coverage is behind: a whole one was missed
STALE_PERIODS: Final = 2  # a rolling check's round that is older is not gone on with

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """When everything is compared: begun every `seconds`, or `rolling`, spread evenly over so many."""

    seconds: float
    rolling: bool

    @property
    def promised_seconds(self) -> float:
        """How long ago the last comparison of everything may have ended."""
        return self.seconds if self.rolling else self.seconds * ROUNDS_MISSED

    @property
    def round_seconds(self) -> float:
        """From the beginning of one round to that of the next."""
        return self.seconds * pace.ROUND_FRACTION if self.rolling else self.seconds

    @property
    def options(self) -> dict[str, Any]:
        """Say what a round's row keeps: `projector status` reads it, and a restart finds its round by it."""
        return {"cover_within" if self.rolling else "every": self.seconds, "promised_seconds": self.promised_seconds}


def once(settings: Settings, request: Request, alerting: Alerting) -> int:
    """Check once, as from cron, and have alerts said; return the exit code."""
    with alert_on_failure(alerting):
        return execute(settings, request, after=alerting.run_ended)


def serve(settings: Settings, request: Request, plan: Plan, alerting: Alerting) -> int:
    """Check round after round until a signal comes; return the exit code."""
    with asked_to_stop(settings.shutdown_seconds) as stop:
        service = _Service(settings, request, plan, alerting, stop)
        with alert_on_failure(alerting):
            service.round()
        while not stop():
            pace.rest(service.due - monotonic(), stop)
            if not stop():
                service.next_round()
    return EXIT_CLEAN


class _Service:
    """What outlives a round: when the next is due, and since when somebody watches."""

    def __init__(
        self, settings: Settings, request: Request, plan: Plan, alerting: Alerting, stop: Callable[[], bool]
    ) -> None:
        self._settings = settings
        self._request = request
        self._plan = plan
        self._alerting = alerting
        self._stop = stop
        self._since = datetime.now(UTC)
        self.due = 0.0

    def next_round(self) -> None:
        """Do a round; where it fails say so, and be due again soon."""
        try:
            self.round()
        except check_lock.AnotherChecksError as error:
            _log.warning("drift check put off", reason=str(error))
        except (ServiceUnavailable, StateError) as error:
            _log.error("drift check failed; tried again", reason=str(error))
            self._alerting.check_failed(error)
        else:
            return
        self.due = monotonic() + min(self._plan.seconds, AGAIN_SECONDS)

    def round(self) -> None:
        """Compare everything once, or go on with the round that was under way."""
        with ready(self._settings) as engine, session(engine) as connection:
            check_lock.claim(connection)
            self._tell_coverage(connection, None)
            run = self._begun(connection)
            ends_at = run.started_at + timedelta(seconds=self._plan.round_seconds)
            self.due = monotonic() + (ends_at - datetime.now(UTC)).total_seconds()
            with (
                failure_written_down(self._settings, connection, run),
                brakes(self._settings, engine, self._request.tuning) as chosen,
            ):
                pacing = [EvenPacing(connection, run, size, ends_at)] if (size := self._size(run)) else []
                run = run_pool(
                    connection,
                    run,
                    stop=self._stop,
                    watch=self._between(connection, run),
                    pace=lambda halted: Pace([*chosen, *pacing], halted),
                    others=[lambda: session(engine)] * (0 if pacing else self._request.tuning.workers - 1),
                )
            if run.state != "finished" and not self._stop():
                raise StateError(f"run {run.run_id} was {run.state} by another process before it was done")
            self._show(connection, run)
            self._tell_coverage(connection, run)
            self._alerting.run_ended(connection, run)
        record(run)

    def _begun(self, connection: Connection[Any]) -> Run:
        asked = {**self._request.options, **(self._plan.options if self._request.selection.whole else {})}
        if not self._plan.rolling:
            return runs.begin(connection, "drift-check", asked)
        if unfinished := runs.unfinished_cycle(connection, self._plan.seconds * STALE_PERIODS):
            return runs.resume(connection, "drift-check", unfinished, dry=False)
        most = self._request.chunk_size or pace.SIZE_MAX
        everybody = check.count_customers(connection, self._request.selection)
        size = pace.chunk_size(everybody, self._plan.round_seconds, most)
        return runs.begin(connection, "drift-check", {**asked, "chunk_size": size})

    def _size(self, run: Run) -> int | None:
        """Tell how many keys the chunks of a rolling check have, which are spread over its time."""
        return run.chunk_size if self._plan.rolling else None

    def _between(self, connection: Connection[Any], run: Run) -> Callable[[Run], None]:
        """Return what is done between chunks: alert on what cannot wait for the end."""
        judged, findings, took = monotonic(), run.tally.findings, 0.0

        def between(run: Run) -> None:
            nonlocal judged, findings, took
            began, found_more = monotonic(), self._plan.rolling and run.tally.findings > findings
            if (found_more or began - judged > JUDGE_SECONDS) and began - judged >= took * JUDGE_APART:
                self._tell_coverage(connection, run)
                if self._plan.rolling:
                    self._alerting.during_run(connection, run)
                judged, findings = monotonic(), run.tally.findings
                took = judged - began

        return between

    def _tell_coverage(self, connection: Connection[Any], run: Run | None) -> None:
        """Say whether coverage is behind; a check of a part promises none, and ends no alert of one that does."""
        if self._request.selection.whole:
            self._alerting.coverage(connection, run, self._behind(connection))

    def _behind(self, connection: Connection[Any]) -> str:
        """Say how long ago everything was last compared, where that is longer than promised."""
        last = runs.last_compared(connection)
        compared_at = last or self._since
        late = datetime.now(UTC) - compared_at
        if late.total_seconds() <= self._plan.promised_seconds:
            return ""
        what = "Everything was last compared" if last else "Nothing was ever compared as a whole; the watch began"
        promised = timedelta(seconds=round(self._plan.promised_seconds))
        return f"{what} at {compared_at:%Y-%m-%d %H:%M:%S} UTC; promised is within {promised}."

    def _show(self, connection: Connection[Any], run: Run) -> None:
        if self._request.silent:
            return
        how = self._request.report
        if how.format is not ReportFormat.TABLE or run.tally.drifted:
            output.write_report(self._settings, connection, run, how, None)
        else:
            line = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC {text_report.sentence(run)}"
            say(line)
        sys.stdout.flush()
