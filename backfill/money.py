"""Money as people of the deployment's country read it."""

from decimal import Decimal

from babel.numbers import format_currency, get_currency_precision

LOCALE = "en"
PLACES = 2  # the projection keeps two decimals in any currency


def money(amount: Decimal, currency: str) -> str:
    """Write an amount as `KES 5,250.00`."""
    if not amount.is_finite():
        return f"{currency} {amount}"
    places = max(PLACES, get_currency_precision(currency))
    return format_currency(amount, currency, f"¤¤ #,##0.{'0' * places}", locale=LOCALE, currency_digits=False)


def signed(amount: Decimal, currency: str) -> str:
    """Write a difference with its sign: `+KES 5,250.00`."""
    if amount == 0 or not amount.is_finite():
        return money(amount, currency)
    return f"{'+' if amount > 0 else '-'}{money(abs(amount), currency)}"
