"""Money is printed as a billing team reads it."""

from decimal import Decimal

import pytest

from backfill.reports.money import money, signed


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("5250", "KES 5,250.00"),
        ("0", "KES 0.00"),
        ("0.01", "KES 0.01"),
        ("-12.5", "-KES 12.50"),
        ("9999999999999999.99", "KES 9,999,999,999,999,999.99"),
        ("NaN", "KES NaN"),
    ],
)
def test_amounts(amount: str, text: str) -> None:
    assert money(Decimal(amount), "KES") == text


@pytest.mark.parametrize(("amount", "text"), [("7", "+KES 7.00"), ("-7", "-KES 7.00"), ("0", "KES 0.00")])
def test_differences_are_signed(amount: str, text: str) -> None:
    assert signed(Decimal(amount), "KES") == text


def test_another_currency() -> None:
    assert money(Decimal("1234.5"), "USD") == "USD 1,234.50"
