"""`backfill payment-meter-ids`: payments that name no meter are allocated to the one that they most likely belong to.

A payment takes its invoice's meter; else its customer's only active meter; else the first meter that the customer has
had, to be reviewed; else it stays unallocated. The meter is written to `allocated_meter_id`, which survives later
versions of the payment that still name no meter, and is overridden by one that does.
"""

from typing import Final

from backfill.migration.step import Outcome, Statements, Step
from backfill.runs.in_effect import PARTS
from projector.database.statements import statements

SQL: Final = statements("backfill.migration", "payment_meter_ids.sql", **PARTS)

STEP: Final = Step(
    command="payment-meter-ids",
    title="Payments Without a Meter of Their Own",
    noun="payments",
    outcomes={
        "invoice": Outcome("count at their invoice's meter"),
        "already": Outcome("were allocated before"),
        "only-meter": Outcome("allocated to the customer's only active meter", changes=True),
        "first-meter": Outcome("allocated to the customer's first meter, for review", changes=True, listed=True),
        "no-meter": Outcome("unallocated: the customer has had no meter yet", listed=True),
        "no-customer": Outcome("unallocated: neither the payment nor its invoice names a customer", listed=True),
    },
    statements=Statements(
        create=SQL["create_allocations"],
        next_keys=SQL["next_payments"],
        decide=SQL["decide_allocations"],
        tally=SQL["count_allocations"],
        to_review=SQL["list_allocations"],
        to_change=SQL["payments_to_allocate"],
        scope=SQL["scope_allocations"],
        lock=SQL["lock_allocations"],
        clear=SQL["clear_allocations"],
        change=SQL["allocate"],
    ),
)
