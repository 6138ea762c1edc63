"""The commands of runs, their phases in order, and the states between which a run moves."""

from collections.abc import Mapping
from typing import Final, Literal

Command = Literal[
    "drift-check",
    "rebuild",
    "meter-balances",     # a rebuild of every meter, and of the sums that it is part of
    "customer-balances",  # a rebuild of every customer, and of the meters that history assigns to it
    "payment-meter-ids",
    "invoice-amounts",
    "migrate",
    "restore",
    "verify-log",         # history against Kafka, as far back as the log reaches
]  # fmt: skip
State = Literal["running", "paused", "failed", "cancelled", "finished"]
Phase = Literal[
    # a run that repairs, repairs in each of the first two what its other chunks have nothing to do with
    "customers",         # compare customers, and the meters that history assigns to them
    "meters",            # compare the meters that history assigns to no customer
    "repair-meters",     # repair what is left of the meters that were found drifted, and compare them once more
    "repair-customers",  # the same of customers
    # of `verify-log`: see backfill/verify_log/verify.py
    "log", "rows-invoices", "rows-payments", "rows-assignments", "rows-customers", "places", "winners", "verdicts",
    "done",
]  # fmt: skip

TRANSITIONS: Final[Mapping[State, Mapping[State, str]]] = {
    "running": {
        "finished": "every chunk was processed; those that failed are listed in the tally",
        "paused": "the last process of the run got SIGTERM or SIGINT; its current chunks were finished or given up",
        "failed": "an error outside any chunk, a repair that did not hold, or drift that kept coming",
        "cancelled": "`backfill runs cancel`; the current chunks were finished",
        "running": "--resume, to share the run, or after its process was killed or lost its connection",
    },
    "paused": {"running": "--resume", "cancelled": "`backfill runs cancel`"},
    "failed": {"running": "--resume, once the cause is removed", "cancelled": "`backfill runs cancel`"},
    "cancelled": {},
    "finished": {},
}
"""Each state, the states that may follow it, and what causes the transition."""

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
"""The phases of each command; a dry run leaves out those that repair. The later rounds of a run that repairs have the
phases of a rebuild (`backfill.runs.rounds`). A migration step without phases pages through history by itself and is
simply run again: it no longer finds what it has done.
"""
COMPARING: Final[frozenset[Phase]] = frozenset({"customers", "meters", *VERIFY})
