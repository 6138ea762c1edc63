"""Ids, times, moments and shares as people type them."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from events.contract.types import BIGINT_MAX
from events.runtime.errors import InputError

UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
SECONDS_MAX: Final = 366 * 86_400


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


def moment(option: str, text: str | None) -> datetime | None:
    """Read a moment: so long ago, or a date and a time with its offset.

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
        raise InputError(f"{option} {text}: not a moment, as 24h (ago) or 2026-01-31T08:00+03:00")
    return read.astimezone(UTC)


def ids(option: str, given: Sequence[int] | None) -> Sequence[int]:
    """Read ids of customers or meters.

    Raises:
        InputError: one of them cannot be an id.

    """
    for key in given or ():
        if not 1 <= key <= BIGINT_MAX:
            raise InputError(f"{option} {key}: not an id; those are 1 to {BIGINT_MAX}")
    return sorted({*(given or ())})


def fraction(option: str, text: str | None) -> float | None:
    """Read a share, as 5% or 0.5%.

    Raises:
        InputError: it is none, or not more than nothing and at most all.

    """
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,4})?%", text) or not 0 < float(text[:-1]) <= 100:  # noqa: PLR2004
        raise InputError(f"{option} {text}: not a share, as 5% or 0.5%")
    return float(text[:-1]) / 100
