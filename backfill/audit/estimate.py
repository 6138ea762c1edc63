"""How long a run still compares, from the work that is done and the work that is left.

The work is counted in customers; a meter key of the second phase counts as a part of one, by the number of keys in a
chunk of each phase. The time is that of processes, without pauses, and includes the repairs made and the rests taken so
far. What is repaired at the end of a round, and later rounds, are known only once they are reached: then, and before
the first chunk is done, the time is unknown.
"""

from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from backfill.audit import check
from backfill.runs import workers
from backfill.runs.store import BEFORE_ALL_KEYS, Run


@dataclass(frozen=True, kw_only=True)
class Work:
    """What the first round compares: customers, and the meters that are looked through up to the greatest key."""

    customers: int
    meters: int
    last_meter: int

    def seconds_left(self, run: Run) -> float | None:
        """Estimate for how many seconds a run still compares; None where that is unknown."""
        if run.round > 1 or run.phase not in {"customers", "meters"}:
            return None
        passed = self.meters * run.cursor / max(self.last_meter, 1) if run.phase == "meters" else 0
        done = run.tally.customers + min(max(0.0, passed), self.meters) / check.WINDOW_ROWS
        left = self.customers + self.meters / check.WINDOW_ROWS - done
        return max(0.0, run.tally.seconds * left / done) if done else None


def work(connection: Connection[Any], run: Run) -> Work:
    """Count what a run compares in its first round."""
    named = run.selection.named
    return Work(
        customers=check.count_customers(connection, run.selection),
        meters=0 if named else check.count_meters(connection, BEFORE_ALL_KEYS),
        last_meter=check.last_meter(connection),
    )


def eta_seconds(connection: Connection[Any], run: Run) -> int | None:
    """Estimate for how many seconds a run still compares; None where no process carries it out, or that is unknown."""
    if run.state != "running" or run.phase not in {"customers", "meters"}:
        return None
    if not workers.count(connection, run.run_id):
        return None
    left = work(connection, run).seconds_left(run)
    return None if left is None else round(left)


def describe(seconds: float) -> str:
    """Describe a time that is left: `less than a minute`, `about 12 min`, `about 3 h 20 min`."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    hours, minutes = divmod(minutes, 60)
    return "about " + " ".join(f"{count} {unit}" for count, unit in ((hours, "h"), (minutes, "min")) if count)
