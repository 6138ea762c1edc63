"""What a run can be: the commands, their phases in order, and the states between which a run moves."""

from collections.abc import Mapping
from typing import Final, Literal

Command = Literal[
    "drift-check",
    "rebuild",
    "meter-balances",     # a rebuild: every meter, and the sums that it is part of
    "customer-balances",  # a rebuild of every customer, and of the meters that history assigns to it
    "payment-meter-ids",
    "invoice-amounts",
    "migrate",
    "restore",
    "verify-log",         # history against Kafka, as far as it reaches
]  # fmt: skip
State = Literal["running", "paused", "failed", "cancelled", "finished"]
Phase = Literal[
    "customers",         # compare customers, and the meters that history assigns to them
    "meters",            # compare the meters that history assigns to nobody
    "repair-meters",     # repair the meters that were found drifted, and compare them once more
    "repair-customers",  # repair the customers that were found drifted, and compare them once more
    # of `backfill.log`, which says what they are
    "log", "rows-invoices", "rows-payments", "rows-assignments", "rows-customers", "places", "winners", "verdicts",
    "done",
]  # fmt: skip

TRANSITIONS: Final[Mapping[State, Mapping[State, str]]] = {
    "running": {
        "finished": "every chunk was done; those that failed are listed in the tally",
        "paused": "SIGTERM or SIGINT came to the last process at it; the chunks at hand were finished or given up",
        "failed": "an error outside any chunk ended it, a repair that did not hold, or drift that kept coming",
        "cancelled": "`backfill runs cancel`; the chunks at hand were finished",
        "running": "--resume, to share it, or after its process was killed or lost its connection",
    },
    "paused": {"running": "--resume", "cancelled": "`backfill runs cancel`"},
    "failed": {"running": "--resume, once the cause is gone", "cancelled": "`backfill runs cancel`"},
    "cancelled": {},
    "finished": {},
}
"""Each state, the states that may follow it, and what makes them."""

REBUILD: Final[tuple[Phase, ...]] = ("customers", "meters", "repair-meters", "repair-customers", "done")
VERIFY: Final[tuple[Phase, ...]] = (
    "log", "rows-invoices", "rows-payments", "rows-assignments", "rows-customers", "places", "winners", "verdicts",
    "done",
)  # fmt: skip
PHASES: Final[Mapping[Command, tuple[Phase, ...]]] = {
    "drift-check": ("customers", "meters", "done"),
    "rebuild": REBUILD,
    "meter-balances": REBUILD,
    "customer-balances": ("customers", "repair-meters", "repair-customers", "done"),
    "payment-meter-ids": ("done",),
    "invoice-amounts": ("done",),
    "migrate": ("done",),
    "restore": ("done",),
    "verify-log": VERIFY,
}
"""The phases of each command; a dry run leaves out those that repair. A run that repairs goes through those of a
rebuild again in its later rounds (`backfill.runs.rounds`). A migration step that has none pages through history by
itself and is simply run again: what it did it does not find any more."""
COMPARING: Final[frozenset[Phase]] = frozenset({"customers", "meters", *VERIFY})
