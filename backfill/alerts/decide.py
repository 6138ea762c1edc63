"""Which alerts what was found calls for, beside what was said before. Pure.

One of each cause when it appears; one when it is no longer the same; one when it is over; none while nothing changed.
"""

from collections.abc import Iterator, Mapping, Set
from typing import NamedTuple

from backfill.alerts.alert import Found, State


class LastAlert(NamedTuple):
    """The last alert of one cause, and the run it rested on."""

    state: State
    found: Found
    run_id: str | None = None


def decide(
    found: Mapping[str, Found], last_alerts: Mapping[str, LastAlert], settled: Set[str]
) -> Iterator[tuple[State, Found]]:
    """Name what has to be said; only of `settled` causes has all been seen, so that less or none of one means that."""
    for cause in sorted(found.keys() | last_alerts.keys()):
        now, before = found.get(cause), last_alerts.get(cause)
        is_open = before is not None and before.state != "resolved"
        if now and not is_open:
            yield "raised", now
        elif now and before and cause in settled and now.digest != before.found.digest:
            yield "changed", now
        elif not now and before and is_open and cause in settled:
            yield "resolved", before.found
