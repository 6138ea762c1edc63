"""What one run does, chosen by its seed alone: traffic, consumers, and the faults that befall them, in order."""

import random
from dataclasses import dataclass
from typing import Final

from events.simulate.options import Options

PROTOCOLS: Final = ("range", "cooperative-sticky", "consumer")
TABLES: Final = (
    "positions", "dead_letters", "invoices", "payments", "meter_assignments", "customers", "meter_balances",
    "customer_balances",
)  # fmt: skip
"""What a batch writes, in its order: each is a point to be held at."""

KINDS: Final = {
    # of a consumer
    "kill": 5,
    "pause": 5,
    "kill at": 4,
    "pause at": 3,
    "terminate at": 3,
    "reset at": 3,
    # of an auditor
    "kill auditor": 3,
    "pause auditor": 2,
    "kill auditor at": 2,
    # of connections to PostgreSQL
    "terminate": 4,
    "hang": 3,
    "reset": 3,
    "trickle": 2,
    "away": 2,
    # of PostgreSQL
    "kill backend": 3,
    "kill postgres": 4,
    "fill disk": 3,
    # of connections to Kafka
    "hang kafka": 2,
    "reset kafka": 3,
    "trickle kafka": 1,
    "away kafka": 2,
    # of Kafka
    "kill kafka": 1,
    "restart kafka": 1,
    # of its logs
    "truncate": 1,
    "recreate": 2,
    # of the group
    "storm": 4,
    "add partitions": 3,
    "redeliver": 4,
    # of a hand, beside assignment traffic
    "edit totals": 2,
    "edit owners": 2,
    "edit marks": 2,
}
"""Every kind of fault, and its weight: what takes a broker's start is rarer."""
HOSTILE_SHARE: Final = 0.25
"""Of runs whose programs meet hostile defaults; drawn apart, so that what a seed was before it still is."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that goes wrong.

    Args:
        after: the share of the round's messages that are applied before it happens, where they are within a moment.
        victim: which consumer, session or topic, modulo how many there are.
        table: what is held where the kind ends in `at`.
        seconds: how long it lasts, where it lasts.
        overlaps: whether it lasts through the next fault as well.

    """

    kind: str
    after: float
    victim: int
    table: str
    seconds: float
    overlaps: bool

    def __str__(self) -> str:
        """Write it for people."""
        until = "through the next" if self.overlaps else f"{self.seconds:.1f} s"
        return f"{self.kind:<16} victim {self.victim:<2} table {self.table:<17} after {self.after:.0%}, {until}"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One run."""

    seed: int
    protocol: str
    consumers: int
    partitions: int
    batch_events_max: int
    chunk_size: int
    workers: int  # of an auditor
    traffic: Options
    poison: float  # broken events for each sound one
    faults: tuple[Fault, ...]
    hostile: bool = False  # whether programs work as a role, and in an environment, whose every default is hostile

    def __str__(self) -> str:
        """Write it for people, with how to have it once more."""
        return "\n".join([
            f"FAULT_SEED={self.seed} make test-faults   does this again:",
            f"  {self.consumers} consumers by {self.protocol}, {self.partitions} partitions",
            f"  batches of at most {self.batch_events_max}, chunks of {self.chunk_size} by {self.workers} workers",
            f"  {self.traffic}, {self.poison:.0%} poison{', hostile defaults' if self.hostile else ''}",
            *(f"  {number} {fault}" for number, fault in enumerate(self.faults, 1)),
        ])  # fmt: skip


def plan(seed: int) -> Plan:
    """Draw a run."""
    draw = random.Random(f"faults {seed}")
    return Plan(
        seed=seed,
        protocol=draw.choice(PROTOCOLS),
        consumers=draw.randint(1, 3),
        partitions=draw.randint(1, 3),
        batch_events_max=draw.choice((3, 20, 100, 20_000)),
        chunk_size=draw.choice((3, 10, 1000)),
        workers=draw.choice((1, 3)),
        traffic=Options(
            seed=seed,
            customers=draw.choice((10, 40, 100)),
            meters=draw.choice((15, 80)),
            months=3,
            voids=0.1,
            duplicates=draw.choice((0.0, 0.2)),
            shuffle=draw.choice((0.0, 0.3, 1.0)),
        ),
        poison=draw.choice((0.0, 0.03, 0.1)),
        faults=tuple(_fault(draw) for _ in range(draw.randint(2, 4))),
        hostile=random.Random(f"session defaults {seed}").random() < HOSTILE_SHARE,
    )


def _fault(draw: random.Random) -> Fault:
    [kind] = draw.choices(list(KINDS), list(KINDS.values()))
    return Fault(
        kind=kind,
        after=draw.random(),
        victim=draw.randrange(12),
        table=draw.choice(TABLES),
        seconds=draw.choice((0.1, 0.5, 1.0, 2.5)),
        overlaps=draw.random() < 0.3,
    )
