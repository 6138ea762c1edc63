"""Ids, durations, points in time and percentages as people type them."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from events.contract.types import BIGINT_MAX
from events.runtime.errors import InputError

UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
SECONDS_MAX: Final = 366 * 86_400


def seconds(option: str, text: str) -> float:
    """Read a duration such as 90s, 5m, 24h, 7d or 1h30m.

    Raises:
        InputError: it is not one, or not between a second and a year.

    """
    if not re.fullmatch(r"([0-9]{1,9}[smhd])+", text):
        raise InputError(f"{option} {text}: not a duration such as 90s, 5m, 24h or 1h30m")
    total = sum(int(number) * UNIT_SECONDS[unit] for number, unit in re.findall(r"([0-9]+)([smhd])", text))
    if not 1 <= total <= SECONDS_MAX:
        raise InputError(f"{option} {text}: must be between a second and a year")
    return float(total)


def moment(option: str, text: str | None) -> datetime | None:
    """Read a point in time: a duration ago, or a date and a time with an offset.

    Raises:
        InputError: it is neither.

    """
    if text is None:
        return None
    if re.fullmatch(r"([0-9]{1,9}[smhd])+", text):
        return datetime.now(UTC) - timedelta(seconds=seconds(option, text))
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        read = None
    if read is None or read.tzinfo is None:
        raise InputError(f"{option} {text}: not a point in time such as 24h (ago) or 2026-01-31T08:00+03:00")
    return read.astimezone(UTC)


def ids(option: str, given: Sequence[int] | None) -> Sequence[int]:
    """Read ids of customers or meters.

    Raises:
        InputError: one of them cannot be an id.

    """
    for key in given or ():
        if not 1 <= key <= BIGINT_MAX:
            raise InputError(f"{option} {key}: not an id; ids are 1 to {BIGINT_MAX}")
    return sorted({*(given or ())})


def fraction(option: str, text: str | None) -> float | None:
    """Read a percentage such as 5% or 0.5% as a fraction.

    Raises:
        InputError: it is not one, or not more than 0% and at most 100%.

    """
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,4})?%", text) or not 0 < float(text[:-1]) <= 100:  # noqa: PLR2004
        raise InputError(f"{option} {text}: not a percentage such as 5% or 0.5%")
    return float(text[:-1]) / 100
