"""What was applied, in events."""

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Final

from events.contract.types import Entity
from events.runtime.totals import Totals
from events.runtime.wording import agree, counted
from projector.consume.conflicts import NAMED_MAX


@dataclass(frozen=True, kw_only=True)
class Applied(Totals):
    """What one or more transactions did, in events; the first of the conflicts are named."""

    events: int = 0
    applied: int = 0
    refused: int = 0
    conflicts: int = 0
    first_conflicts: tuple[str, ...] = ()
    by_entity: Counter[Entity] = field(default_factory=Counter, compare=False)
    """Of those applied."""

    def __add__(self, other: "Applied") -> "Applied":
        """Add up, keeping the first conflicts."""
        total = super().__add__(other)
        return replace(total, first_conflicts=total.first_conflicts[:NAMED_MAX])

    @property
    def stale(self) -> int:
        """Duplicates, and versions lower than one that was applied before."""
        return self.events - self.applied - self.refused

    @property
    def counts(self) -> dict[str, int]:
        """Return the numbers by name."""
        return {
            "events": self.events, "applied": self.applied, "refused": self.refused, "conflicts": self.conflicts,
            "stale": self.stale,
        }  # fmt: skip

    def __str__(self) -> str:
        """Describe it; what is zero is left out, except how many were read and applied."""
        parts = [f"{counted(self.events, 'message')} read, {self.applied:,} applied"]
        parts += [f"{self.stale:,} duplicate or superseded"] * bool(self.stale)
        parts += [f"{self.refused:,} refused as {agree(self.refused, 'a dead letter', 'dead letters')}"] * bool(
            self.refused
        )
        parts += [f"{counted(self.conflicts, 'conflict')}"] * bool(self.conflicts)
        return ", ".join(parts)


NOTHING: Final = Applied()
