"""Counts that add up: the totals of parts are the totals of the whole."""

from dataclasses import fields
from typing import TypeVar

Kind = TypeVar("Kind", bound="Totals")


class Totals:
    """A base for frozen dataclasses whose fields are all added one by one, by `+` and so by `sum`."""

    def __add__(self: Kind, other: Kind) -> Kind:
        """Add field by field."""
        names = [field.name for field in fields(self)]  # type: ignore[arg-type]  # each subclass is a dataclass
        return type(self)(**{name: getattr(self, name) + getattr(other, name) for name in names})
