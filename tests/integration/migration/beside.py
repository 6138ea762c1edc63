"""A step and a consumer's batch on the same rows, the first of them held after the statement a test chooses."""

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, cast

from psycopg import Connection
from sqlalchemy import Engine

from backfill.migration.step import Options, Step, walk
from tests.integration.migration.conftest import Drift
from tests.support.examples import CloudEvent
from tests.support.interleaving import NEVER, play
from tests.support.merge_harness import MergeHarness, empty

STATEMENTS_MAX: Final = 60  # no step with one chunk, and no batch, runs more


class StandIn(Protocol):
    """What is held in a harness's place."""

    connection: Connection[Any]

    def apply(self, _events: Sequence[CloudEvent], /) -> None:
        """Do its work; it reads no events."""


class StepLane:
    """A step, held as `tests.support.interleaving` holds a consumer's batch."""

    def __init__(self, connection: Connection[Any], step: Step) -> None:
        self.connection, self._step = connection, step

    def apply(self, _events: Sequence[CloudEvent]) -> None:
        """Do the step in one chunk."""
        for share in walk(self.connection, self._step, Options(chunk_size=1000), lambda: False):
            assert share.failure is None, share.failure


def play_everywhere(
    engine: Engine,
    harness: MergeHarness,
    step: StandIn,
    events: tuple[list[CloudEvent], list[CloudEvent]],
    drift: Drift,
) -> None:
    """Hold the batch, then the step, after every statement; let the other come; both have to end exact."""
    before, batch = events
    stand_in = cast("MergeHarness", step)
    roles: list[Callable[[int], tuple[Any, Any]]] = [
        lambda point: ((harness, batch, point), (stand_in, [], NEVER)),
        lambda point: ((stand_in, [], point), (harness, batch, NEVER)),
    ]
    for number, role in enumerate(roles):
        for point in range(1, STATEMENTS_MAX + 1):
            empty(engine)
            harness.begin()
            harness.apply(before)
            met, came = play(engine, *role(point))
            wrong = drift()
            assert not wrong, f"role {number}, {met} after statement {point}, the other was {came}: {wrong}"
            if met == "done":  # it has no more statements
                break
        else:
            raise AssertionError("there are more statements than were held")
