"""What keeps a bad deployment from emptying a topic into the dead letters: too many refused messages stop the consumer.

Counts messages in the order they are read, whatever batches they come in. Two limits: refused messages in a row, and
their share of the last messages. Both remember across restarts, by the dead letters that stand open right before each
position: a supervisor that starts a stopped consumer again and again lets no further run of refused messages through.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from events.contract.types import TopicPartition
from projector.database.statements import statements
from projector.errors import TooManyRefused
from projector.positions.store import Position

WINDOW_MESSAGES: Final = 10_000  # what the share is a share of
SEEN_MIN: Final = 1_000  # fewer messages have no share worth acting on
LATE: Final = "refused-by-database"  # found while a batch is applied, after it was let through

DEAD_LETTERS: Final = statements("projector.dead_letters", "dead_letters.sql")


@dataclass(frozen=True, kw_only=True)
class BreakerHistory:
    """Dead letters that are open right before the positions of a consumer's partitions.

    Args:
        seen: messages before those positions, as many as the share looks back on.
        refused: open dead letters among them, by reason.
        run: those that no accepted message follows on their partition.

    """

    seen: int
    refused: Mapping[str, int]
    run: int


@dataclass
class Breaker:
    """Counts what is read; `run_max` of 0 and `share_max` of 1 are no limits."""

    run_max: int
    share_max: float
    _run: int = 0
    _refused: int = 0
    _window: deque[str | None] = field(default_factory=lambda: deque(maxlen=WINDOW_MESSAGES))

    @property
    def share(self) -> float:
        """What part of the messages it looks back on was refused."""
        return self._refused / len(self._window) if self._window else 0.0

    def restore(self, history: BreakerHistory) -> None:
        """Begin where the consumer before us ended; only the first call counts."""
        if self._window:
            return
        refused = [reason for reason, count in history.refused.items() for _ in range(count)][:WINDOW_MESSAGES]
        accepted = min(history.seen, WINDOW_MESSAGES) - len(refused)
        self._window.extend([None] * accepted)
        self._window.extend(refused)
        self._refused, self._run = len(refused), history.run

    def observe(self, reasons: Iterable[str | None]) -> None:
        """Count messages in order: None for an accepted one, else why it is refused.

        Raises:
            TooManyRefused: at the first message beyond a limit; nothing of its batch should be applied.

        """
        batch = list(reasons)
        if not self._refused and not any(batch):  # nearly always, and three times as fast
            self._window.extend(batch)
            self._run = 0 if batch else self._run
            return
        for reason in batch:
            if len(self._window) == WINDOW_MESSAGES:
                self._refused -= self._window[0] is not None
            self._window.append(reason)
            if reason is None:
                self._run = 0
            else:
                self._run += 1
                self._refused += 1
                self._require_few()

    def observe_late(self, refused: int) -> None:
        """Count messages, already observed as accepted, that PostgreSQL refused; they are dead letters by now.

        Raises:
            TooManyRefused: as above, by share alone, since it is not known which ones followed each other.

        """
        if refused:
            latest = [at for at in range(len(self._window) - 1, -1, -1) if self._window[at] is None][:refused]
            for at in latest:
                self._window[at] = LATE
            self._refused += len(latest)
            self._require_few()

    def _require_few(self) -> None:
        seen = len(self._window)
        if self.run_max and self._run > self.run_max:
            said = f"{self._run:,} messages in a row were refused, more than PROJECTOR_REFUSED_RUN_MAX={self.run_max}"
        elif seen >= SEEN_MIN and self.share > self.share_max:
            said = (
                f"{self._refused:,} of the last {seen:,} messages were refused, a share beyond "
                f"PROJECTOR_REFUSED_SHARE_MAX={self.share_max:g}"
            )
        else:
            return
        [(reason, count)] = Counter(reason for reason in self._window if reason).most_common(1)
        raise TooManyRefused(
            f"stopped: {said}, most of them {reason} ({count:,}); the batch at hand is not applied and will be read "
            "again: run a version or setting that accepts them, or let them become dead letters with "
            "PROJECTOR_REFUSED_RUN_MAX=0 PROJECTOR_REFUSED_SHARE_MAX=1; `projector dead-letters list` shows what is "
            "open, and what is retried or discarded there no longer counts"
        )


def read_history(connection: Connection, positions: Mapping[TopicPartition, Position]) -> BreakerHistory:
    """Read what a consumer that starts at these positions should remember."""
    places = sorted(positions)
    each = WINDOW_MESSAGES // max(1, len(places))
    parameters = {
        "topics": [topic for topic, _ in places],
        "partitions": [partition for _, partition in places],
        "offsets": [positions[place].next_offset for place in places],
        "topic_ids": [positions[place].topic_id for place in places],
        "share_depth": each,
        "run_depth": WINDOW_MESSAGES,
    }
    rows = list(connection.exec_driver_sql(DEAD_LETTERS["count_open_before"], parameters))
    return BreakerHistory(
        seen=sum(min(each, position.next_offset) for position in positions.values()),
        refused={reason: refused for reason, refused, _ in rows if refused},
        run=sum(run for _, _, run in rows),
    )
