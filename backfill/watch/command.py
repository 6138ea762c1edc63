"""`backfill drift-check` as it was typed: once, or as a service."""

from collections.abc import Sequence
from dataclasses import replace

from backfill.alerts.alerting import Alerting
from backfill.alerts.channels import STDOUT, addresses
from backfill.execution.runner import Request
from backfill.watch.service import Plan, once, serve
from events.runtime import logs
from events.runtime.errors import InputError
from events.runtime.option_values import seconds
from events.runtime.settings import load


def drift_check(request: Request, *, every: str | None, cover_within: str | None, alert: Sequence[str]) -> int:
    """Check as asked; return the exit code."""
    settings = load()
    logs.configure(settings)
    plan = _plan(request, every, cover_within)
    to = addresses(settings, alert)
    request = replace(request, suppress_stdout=any(address.name == STDOUT for address in to))
    alerting = Alerting(settings, to)
    return serve(settings, request, plan, alerting) if plan else once(settings, request, alerting)


def _plan(request: Request, every: str | None, cover_within: str | None) -> Plan | None:
    if not every and not cover_within:
        return None
    if every and cover_within:
        raise InputError("--every and --cover-within cannot be combined: choose one")
    if request.resume or request.report.output:
        option = "--resume" if request.resume else "--output"
        raise InputError(f"{option} applies to a single run: leave out --every and --cover-within")
    if request.selection.since:
        raise InputError("--since applies to a single run: leave out --every and --cover-within")
    if every:
        return Plan(seconds=seconds("--every", every), rolling=False)
    if not request.selection.whole:
        raise InputError("--cover-within covers everything: leave out the options that limit it, or use --every")
    if request.tuning.workers > 1:
        raise InputError("--cover-within spreads its work over the time given: leave out --workers")
    return Plan(seconds=seconds("--cover-within", cover_within or ""), rolling=True)
