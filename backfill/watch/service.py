"""The drift check as a service: a check at a fixed interval, or a rolling check that is spread evenly over a time.

A round is a run like any other: it takes the check lock, compares, reports, and sends alerts. A round that fails is
logged and tried again. Only a failure of the first round ends the program, because then a setting or a service is
wrong. SIGTERM and SIGINT end the service after the current chunk, with exit code 0. A rolling check keeps its position
in its run, so a restart resumes the round.
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
from backfill.reports import output, verdict
from backfill.runs import check_lock
from backfill.runs import store as runs
from backfill.runs.session import ready, session
from backfill.runs.stopping import asked_to_stop
from backfill.runs.store import Run
from backfill.throttle import pace
from backfill.throttle.pace import EvenPacing, Pace
from backfill.watch.checker_metrics import CheckerMetrics
from events.runtime.console import say
from events.runtime.errors import ServiceUnavailableError, StateError
from events.runtime.moments import written
from events.runtime.settings import Settings

AGAIN_SECONDS: Final = 60.0  # until a failed round is tried again, unless the next one is due sooner
ALERT_APART: Final = 10  # times the duration of the last one: it reads all findings, which may be many
ALERT_SECONDS: Final = 5.0  # between two times, during a run, at which alerts are decided
ROUNDS_MISSED: Final = 2  # intervals after which coverage is behind: one whole check was missed
STALE_PERIODS: Final = 2  # an interrupted round of a rolling check that is older is not resumed

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """When everything is compared: started every `seconds`, or `rolling`, spread evenly over that time."""

    seconds: float
    rolling: bool

    @property
    def promised_seconds(self) -> float:
        """The greatest age of the last comparison of everything."""
        return self.seconds if self.rolling else self.seconds * ROUNDS_MISSED

    @property
    def round_seconds(self) -> float:
        """The time from the start of one round to the start of the next."""
        return self.seconds * pace.ROUND_FRACTION if self.rolling else self.seconds

    @property
    def options(self) -> dict[str, Any]:
        """The options stored with a round: `projector status` reads them, and a restart finds its round by them."""
        return {"cover_within" if self.rolling else "every": self.seconds, "promised_seconds": self.promised_seconds}


def once(settings: Settings, request: Request, alerting: Alerting) -> int:
    """Check once, as from cron, and send alerts; return the exit code."""
    with alert_on_failure(alerting):
        return execute(settings, request, run_ended=alerting.run_ended)


def serve(settings: Settings, request: Request, plan: Plan, alerting: Alerting) -> int:
    """Check round after round until a signal stops it; return the exit code."""
    metrics = CheckerMetrics(settings)
    with metrics.served(), asked_to_stop(settings.shutdown_seconds) as asked:
        stop = metrics.beating(asked)
        service = _Service(settings, request, plan, alerting, stop, metrics)
        with alert_on_failure(alerting):
            service.round()
        while not stop():
            pace.rest(service.due - monotonic(), stop)
            if not stop():
                service.next_round()
        metrics.heartbeat.manager.stopping()
    return EXIT_CLEAN


class _Service:
    """What outlives a round: when the next one is due, when the service started, and how its rounds went."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a service has
        self,
        settings: Settings,
        request: Request,
        plan: Plan,
        alerting: Alerting,
        stop: Callable[[], bool],
        metrics: CheckerMetrics,
    ) -> None:
        self._settings = settings
        self._request = request
        self._plan = plan
        self._alerting = alerting
        self._stop = stop
        self._metrics = metrics
        self._since = datetime.now(UTC)
        self._compared = False  # whether a round of this process is complete
        self._failed = False  # whether the last round was not completed
        self.due = 0.0

    def next_round(self) -> None:
        """Run a round; log a failure and be due again soon."""
        try:
            self.round()
        except check_lock.AnotherChecksError as error:
            _log.warning("drift check postponed", reason=str(error))
            outcome = "postponed"
        except (ServiceUnavailableError, StateError) as error:
            _log.error("drift check failed", reason=str(error))
            self._alerting.check_failed(error)
            outcome = "failed"
        else:
            return
        self._metrics.ended(outcome)
        self._failed = True
        self.due = monotonic() + min(self._plan.seconds, AGAIN_SECONDS)

    def round(self) -> None:
        """Compare everything once, or resume the round that was interrupted."""
        with ready(self._settings) as engine, session(engine) as connection:
            check_lock.claim(connection, zone=self._settings.zone)
            self._metrics.begun()
            if self._failed:
                self._alert_on_coverage(connection, None)
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
                    pace=lambda halted: Pace([*chosen, *pacing], halted, self._metrics.rests),
                    others=[lambda: session(engine)] * (0 if pacing else self._request.tuning.workers - 1),
                )
            if run.state != "finished" and not self._stop():
                raise StateError(f"run {run.run_id} was {run.state} by another process before it was complete")
            self._show(connection, run)
            self._compared, self._failed = self._compared or run.state == "finished", False
            self._alert_on_coverage(connection, run)
            self._alerting.run_ended(connection, run)
        if run.state == "finished":
            self._metrics.ended("partial" if run.tally.failed else "complete")
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
        """Return the chunk size of a rolling check, whose chunks are spread over its time."""
        return run.chunk_size if self._plan.rolling else None

    def _between(self, connection: Connection[Any], run: Run) -> Callable[[Run], None]:
        """Return what is called between chunks: it sends the alerts that cannot wait for the end."""
        alerted, findings, took = monotonic(), run.tally.findings, 0.0

        def between(run: Run) -> None:
            nonlocal alerted, findings, took
            began, found_more = monotonic(), self._plan.rolling and run.tally.findings > findings
            if (found_more or began - alerted > ALERT_SECONDS) and began - alerted >= took * ALERT_APART:
                self._alert_on_coverage(connection, run)
                if self._plan.rolling:
                    self._alerting.during_run(connection, run)
                alerted, findings = monotonic(), run.tally.findings
                took = alerted - began

        return between

    def _alert_on_coverage(self, connection: Connection[Any], run: Run | None) -> None:
        """Alert if coverage is behind; a check with a selection promises none, and resolves no such alert.

        This comes after a round, whatever happened before it, or where it takes long or the one before failed. Until
        the service's first round is complete, or has taken longer than promised, nothing is raised or resolved.
        """
        if self._request.selection.whole and (self._compared or self._is_late(self._since)):
            self._alerting.coverage(connection, run, self._behind(connection))

    def _behind(self, connection: Connection[Any]) -> str:
        """Say when everything was last compared, if that is longer ago than promised."""
        last = runs.last_compared(connection)
        compared_at = last or self._since
        if not self._is_late(compared_at):
            return ""
        what = "Everything was last compared" if last else "Not everything has been compared yet; the service started"
        promised = timedelta(seconds=round(self._plan.promised_seconds))
        return f"{what} at {written(compared_at, self._settings.zone)}; promised within {promised}."

    def _is_late(self, moment: datetime) -> bool:
        return (datetime.now(UTC) - moment).total_seconds() > self._plan.promised_seconds

    def _show(self, connection: Connection[Any], run: Run) -> None:
        if self._request.suppress_stdout:
            return
        how = self._request.report
        if how.format is not ReportFormat.TABLE or run.tally.drifted:
            output.write_report(self._settings, connection, run, how, None)
        else:
            zone = self._settings.zone
            say(f"{written(datetime.now(UTC), zone)} {verdict.sentence(run, zone=zone)}")
        sys.stdout.flush()
