"""Amounts as they are printed for people."""

from decimal import Decimal

from babel.numbers import format_currency, get_currency_precision

from events.runtime.errors import InputError

LOCALE = "en"
PLACES = 2  # the projection keeps two decimals in any currency


def money(amount: Decimal, currency: str) -> str:
    """Format an amount as `KES 5,250.00`."""
    if not amount.is_finite():
        return f"{currency} {amount}"
    places = max(PLACES, get_currency_precision(currency))
    return format_currency(amount, currency, f"¤¤ #,##0.{'0' * places}", locale=LOCALE, currency_digits=False)


def signed(amount: Decimal, currency: str) -> str:
    """Format a difference with its sign: `+KES 5,250.00`."""
    if amount == 0 or not amount.is_finite():
        return money(amount, currency)
    return f"{'+' if amount > 0 else '-'}{money(abs(amount), currency)}"


def threshold(text: str) -> Decimal:
    """Read the amount above which a change is significant.

    Raises:
        InputError: it is not an amount, or it is negative.

    """
    try:
        amount = Decimal(text)
    except ArithmeticError:
        raise InputError(f"--significant {text}: not an amount such as 100 or 99.50") from None
    if not amount.is_finite() or amount < 0:
        raise InputError(f"--significant {text}: must be zero or more")
    return amount
