"""`backfill drift-check` as it was typed: once, or always on."""

import re
from collections.abc import Sequence
from typing import Final

from backfill.alerts.addresses import STDOUT, addresses
from backfill.alerts.alerting import Alerting
from backfill.execute import Request
from backfill.money import threshold
from backfill.watch import Plan, once, serve
from events import logs
from events.console import Format
from events.errors import InputError
from events.settings import load

UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
SECONDS_MAX: Final = 366 * 86_400


def drift_check(  # noqa: PLR0913 - one option each
    *,
    chunk_size: int,
    resume: str | None,
    every: str | None,
    cover_within: str | None,
    alert: Sequence[str],
    significant: str,
    form: Format,
) -> int:
    """Check as asked; return the exit code."""
    settings = load()
    logs.configure(settings)
    plan = _plan(every, cover_within, resume)
    to = addresses(settings, alert)
    request = Request(
        command="drift-check",
        chunk_size=chunk_size,
        resume=resume,
        significant=threshold(significant),
        format=form,
        silent=any(address.name == STDOUT for address in to),
    )
    alerting = Alerting(settings, to)
    return serve(settings, request, plan, alerting) if plan else once(settings, request, alerting)


def _plan(every: str | None, cover_within: str | None, resume: str | None) -> Plan | None:
    if not every and not cover_within:
        return None
    if every and cover_within:
        raise InputError("--every and --cover-within are two ways to watch: choose one")
    if resume:
        raise InputError("--resume goes on with one run: leave out --every and --cover-within")
    if every:
        return Plan(seconds=seconds("--every", every), rolling=False)
    return Plan(seconds=seconds("--cover-within", cover_within or ""), rolling=True)


def seconds(option: str, text: str) -> float:
    """Read a time such as 90s, 5m, 24h, 7d or 1h30m.

    Raises:
        InputError: it is none, or not between a second and a year.

    """
    if not re.fullmatch(r"([0-9]{1,9}[smhd])+", text):
        raise InputError(f"{option} {text}: not a time, as 90s, 5m, 24h or 1h30m")
    total = sum(int(number) * UNIT_SECONDS[unit] for number, unit in re.findall(r"([0-9]+)([smhd])", text))
    if not 1 <= total <= SECONDS_MAX:
        raise InputError(f"{option} {text}: has to be between a second and a year")
    return float(total)
