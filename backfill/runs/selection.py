"""What a run is limited to: some customers, some meters, a sample, or what the stream changed since a point in time.

A limited run proves nothing about the rest: neither `projector status` nor the end of an alert counts it as complete.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Final

from psycopg import Cursor

from backfill.runs.in_effect import PARTS
from events.runtime.errors import StateError
from events.runtime.moments import written
from projector.database.statements import statements

SQL: Final = statements("backfill.runs", "selection.sql", **PARTS)
KEY: Final = "selection"
"""The member of a run's options that holds it; absent where everything is compared."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """All parts that are given have to hold; `customers` and `meters` together are one part."""

    customers: Sequence[int] = ()
    meters: Sequence[int] = ()
    since: datetime | None = None
    sample: float | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Selection":
        """Read it from a run's options, which a stolen role may have written: it becomes part of a printed command.

        Raises:
            StateError: it is no selection.

        """
        try:
            return cls._of(**dict(options.get(KEY) or {}))
        except (TypeError, ValueError):
            raise StateError("the run's options hold no selection that `backfill` could have written") from None

    @classmethod
    def _of(
        cls,
        customers: Sequence[Any] = (),
        meters: Sequence[Any] = (),
        since: str | None = None,
        sample: float | None = None,
    ) -> "Selection":
        return cls(
            customers=tuple(int(customer) for customer in customers),
            meters=tuple(int(meter) for meter in meters),
            since=datetime.fromisoformat(since) if since else None,
            sample=float(sample) if sample else None,
        )

    @property
    def whole(self) -> bool:
        """Whether nothing is left out."""
        return not any(vars(self).values())

    @property
    def options(self) -> dict[str, Any]:
        """What a run's row keeps of it."""
        if self.whole:
            return {}
        given = {name: value for name, value in vars(self).items() if value}
        return {KEY: {**given, "since": self.since.isoformat()} if self.since else given}

    @property
    def named(self) -> bool:
        """Whether customers or meters are given by their ids."""
        return bool(self.customers or self.meters)

    def parameters(self, cursor: Cursor[Any]) -> dict[str, Any]:
        """Say what a statement that pages through customers or meters is given; null leaves all.

        A meter takes the customers along whose sums it is part of, as they are in the cursor's snapshot.
        """
        owners = self._owners(cursor) if self.meters else set()
        return {
            "customers": sorted({*self.customers, *owners}) if self.named else None,
            "selected_meters": list(self.meters) if self.named else None,
            "since": self.since,
            "sample": self.sample,
        }

    def _owners(self, cursor: Cursor[Any]) -> set[int]:
        return {customer_id for (customer_id,) in cursor.execute(SQL["owners"], {"meters": list(self.meters)})}

    @property
    def arguments(self) -> list[str]:
        """What to type for it."""
        named = [f"--customer {customer}" for customer in self.customers] + [
            f"--meter {meter}" for meter in self.meters
        ]
        sample = [f"--sample {self.sample:.4%}".replace(".0000%", "%")] if self.sample else []
        return [*named, *sample, *([f"--since {self.since.isoformat()}"] if self.since else [])]

    def described(self, zone: tzinfo) -> str:
        """Say it in a few words."""
        parts = [f"customer {customer}" for customer in self.customers]
        parts += [f"meter {meter}" for meter in self.meters]
        words = [", ".join(parts)] if parts else []
        if self.sample:
            words.append(f"a sample of {self.sample:.4%}".replace(".0000%", "%"))
        if self.since:
            words.append(f"changed since {written(self.since, zone)}")
        return "; ".join(words)
