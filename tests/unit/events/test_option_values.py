"""What people type for an option is read the same by every program."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest

from events.runtime.errors import InputError
from events.runtime.option_values import SECONDS_MAX, day, fraction, moment, seconds


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5%", 0.05),
        ("0.5%", 0.005),
        ("0.05", 0.05),
        (".05", 0.05),
        ("1", 1),
        ("100%", 1),
        ("1.0", 1),
        ("0.00001", 1e-5),
    ],
)
def test_a_share_is_a_fraction_or_a_percentage(text: str, value: float) -> None:
    assert fraction("--sample", text) == pytest.approx(value)
    assert fraction("--poison", text, zero=True) == pytest.approx(value)


@pytest.mark.parametrize("text", ["0", "0%", "0.0"])
def test_a_share_of_nothing_is_one_where_it_makes_sense(text: str) -> None:
    assert fraction("--poison", text, zero=True) == 0
    with pytest.raises(InputError, match=r"^--sample 0.*: not a share such as 0\.05 or 5%$"):
        fraction("--sample", text)


@pytest.mark.parametrize(
    "text",
    ["", "%", "5", "101%", "-1%", "-0.1", "nan", "inf", "1e-3", "five", "5 %", "\N{ARABIC-INDIC DIGIT FIVE}%", "1.2.3"],
)
def test_what_is_no_share(text: str) -> None:
    with pytest.raises(InputError, match="not a share"):
        fraction("--poison", text, zero=True)


def test_a_day_a_duration_and_a_time() -> None:
    assert day("--start", "2026-01-31") == date(2026, 1, 31)
    assert seconds("--every", "1h30m") == 5400
    assert seconds("--every", "366d") == SECONDS_MAX
    assert moment("--since", "2026-01-31T08:00+03:00") == datetime(2026, 1, 31, 5, tzinfo=UTC)
    before = datetime.now(UTC)
    assert before <= moment("--since", "24h") + timedelta(hours=24) <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("read", "text", "reason"),
    [
        (day, "2026-02-30", "not a day"),
        (day, "tomorrow", "not a day"),
        (seconds, "5", "not a duration"),
        (seconds, "0s", "between a second and a year"),
        (seconds, "367d", "between a second and a year"),
        (moment, "2026-01-31T08:00", "not a point in time"),
        (moment, "yesterday", "not a point in time"),
    ],
)
def test_what_is_none_of_them(read: Callable[[str, str], object], text: str, reason: str) -> None:
    with pytest.raises(InputError, match=f"^--option {text}: .*{reason}"):
        read("--option", text)
