"""Stops a consumer if too many messages are refused, so that a bad deployment does not turn a topic into dead letters.

Messages are counted in the order in which they are read, whatever batches they are in. There are two limits: refused
messages in a row, and the share of refused ones among the last messages. Both survive a restart, because a consumer
that starts counts the dead letters that are open right before its positions: a supervisor that restarts a stopped
consumer again and again lets no further run of refused messages through.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from psycopg import Connection

from events.contract.types import TopicPartition
from projector.consume.dead_letters import count_open_before
from projector.errors import TooManyRefusedError
from projector.kafka_log.position_check import Position

WINDOW_MESSAGES: Final = 10_000  # the share is taken over so many
SEEN_MIN: Final = 1_000  # a share of fewer messages says little
LATE: Final = "refused-by-database"  # by PostgreSQL, after the message was counted as accepted


@dataclass(frozen=True, kw_only=True)
class BreakerHistory:
    """Dead letters that are open right before the positions of a consumer's partitions.

    Args:
        seen: messages before those positions, at most as many as the window holds.
        refused: open dead letters among them, by reason.
        run: those that no accepted message follows on their partition.

    """

    seen: int
    refused: Mapping[str, int]
    run: int


@dataclass
class Breaker:
    """Counts messages; a `run_max` of 0 and a `share_max` of 1 are no limits."""

    run_max: int
    share_max: float
    _run: int = 0
    _refused: int = 0
    _window: deque[str | None] = field(default_factory=lambda: deque(maxlen=WINDOW_MESSAGES))

    @property
    def share(self) -> float:
        """The share of refused messages in the window."""
        return self._refused / len(self._window) if self._window else 0.0

    def restore(self, history: BreakerHistory) -> None:
        """Continue with the counts of the consumer before; only the first call has an effect."""
        if self._window:
            return
        refused = [reason for reason, count in history.refused.items() for _ in range(count)][:WINDOW_MESSAGES]
        accepted = min(history.seen, WINDOW_MESSAGES) - len(refused)
        self._window.extend([None] * accepted)
        self._window.extend(refused)
        self._refused, self._run = len(refused), history.run

    def observe(self, reasons: Iterable[str | None]) -> None:
        """Count messages in order: None for an accepted one, otherwise the reason why it is refused.

        Raises:
            TooManyRefusedError: at the first message beyond a limit; nothing of its batch may be applied.

        """
        batch = list(reasons)
        if not self._refused and not any(batch):  # the usual case, three times as fast
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
        """Count messages that were counted as accepted and then refused by PostgreSQL; they are dead letters by now.

        Raises:
            TooManyRefusedError: by share only, because it is unknown whether they were consecutive.

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
            limit = f"PROJECTOR_REFUSED_RUN_MAX={self.run_max}"
            exceeded = f"{self._run:,} messages in a row were refused, more than {limit}"
        elif seen >= SEEN_MIN and self.share > self.share_max:
            exceeded = (
                f"{self._refused:,} of the last {seen:,} messages were refused, a share beyond "
                f"PROJECTOR_REFUSED_SHARE_MAX={self.share_max:g}"
            )
        else:
            return
        [(reason, count)] = Counter(reason for reason in self._window if reason).most_common(1)
        raise TooManyRefusedError(
            f"stopped: {exceeded}, most of them {reason} ({count:,}); the current batch is not applied and will be "
            "read again: run a version or setting that accepts them, or let them become dead letters with "
            "PROJECTOR_REFUSED_RUN_MAX=0 PROJECTOR_REFUSED_SHARE_MAX=1; `projector dead-letters list` shows the open "
            "ones, and those that are retried or discarded no longer count"
        )


def read_history(connection: Connection[Any], positions: Mapping[TopicPartition, Position]) -> BreakerHistory:
    """Read what a consumer that starts at these positions continues with."""
    depth = WINDOW_MESSAGES // max(1, len(positions))
    counts = count_open_before(connection, positions, share_depth=depth, run_depth=WINDOW_MESSAGES)
    return BreakerHistory(
        seen=sum(min(depth, position.next_offset) for position in positions.values()),
        refused={reason: refused for reason, refused, _ in counts if refused},
        run=sum(run for _, _, run in counts),
    )
