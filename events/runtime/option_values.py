"""Values of options as people type them: durations, points in time, days and shares."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final

from events.runtime.errors import InputError

UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
SECONDS_MAX: Final = 366 * 86_400
DURATION: Final = re.compile(r"([0-9]{1,9}[smhd])+")
FRACTION: Final = re.compile(r"([0-9]{1,3}|[0-9]{0,3}\.[0-9]{1,15})(%?)")


def seconds(option: str, text: str) -> float:
    """Read a duration such as 90s, 5m, 24h, 7d or 1h30m.

    Raises:
        InputError: it is not a duration, or not between a second and a year.

    """
    if not DURATION.fullmatch(text):
        raise InputError(f"{option} {text}: not a duration such as 90s, 5m, 24h or 1h30m")
    total = sum(int(number) * UNIT_SECONDS[unit] for number, unit in re.findall(r"([0-9]+)([smhd])", text))
    if not 1 <= total <= SECONDS_MAX:
        raise InputError(f"{option} {text}: must be between a second and a year")
    return float(total)


def moment(option: str, text: str) -> datetime:
    """Read a point in time: a duration before now, or a date and a time with its offset.

    Raises:
        InputError: it is neither.

    """
    if DURATION.fullmatch(text):
        return datetime.now(UTC) - timedelta(seconds=seconds(option, text))
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        read = None
    if read is None or read.tzinfo is None:
        raise InputError(f"{option} {text}: not a point in time such as 24h (ago) or 2026-01-31T08:00+03:00")
    return read.astimezone(UTC)


def day(option: str, text: str) -> date:
    """Read a day such as 2026-01-31.

    Raises:
        InputError: it is not a day.

    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"{option} {text}: not a day such as 2026-01-31") from None


def fraction(option: str, text: str, *, zero: bool = False) -> float:
    """Read a share, as 0.05 or 5%.

    Args:
        option: whose value it is.
        text: what was typed.
        zero: whether a share of zero is allowed.

    Raises:
        InputError: it is not a share, or not between zero and one.

    """
    match = FRACTION.fullmatch(text)
    value = float(match[1]) / (100 if match[2] else 1) if match else -1.0
    if not 0 <= value <= 1 or (value == 0 and not zero):
        raise InputError(f"{option} {text}: not a share such as 0.05 or 5%")
    return value
