"""Decides which alerts to send, given what was found and the last alert of each cause. Pure.

Each cause gets one alert when it appears, one when it changes, one when it is resolved; none while it stays the same.
"""

from collections.abc import Iterator, Mapping, Set
from typing import NamedTuple

from backfill.alerts.alert import Found, State


class LastAlert(NamedTuple):
    """The last alert of one cause, and the run that raised it."""

    state: State
    found: Found
    run_id: str | None = None


def decide(
    found: Mapping[str, Found], last_alerts: Mapping[str, LastAlert], settled: Set[str]
) -> Iterator[tuple[State, Found]]:
    """Yield alerts to send; only causes in `settled` were fully checked, so only those can shrink or resolve."""
    for cause in sorted(found.keys() | last_alerts.keys()):
        now, before = found.get(cause), last_alerts.get(cause)
        is_open = before is not None and before.state != "resolved"
        if now and not is_open:
            yield "raised", now
        elif now and before and cause in settled and now.digest != before.found.digest:
            yield "changed", now
        elif not now and before and is_open and cause in settled:
            yield "resolved", before.found
