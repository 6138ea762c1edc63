"""What is compared: a meter's and a customer's figures, and what is known about why they differ.

Money is in the deployment's currency; dates are PostgreSQL's own text.
"""

from decimal import Decimal
from typing import Literal, NamedTuple

Source = Literal["invoices", "payments"]
Cause = Literal[
    "history-changed",    # a history row's amount, meter or void flag was changed outside the stream
    "history-moved",      # a history row was given to another meter outside the stream
    "history-added",      # a history row was inserted outside the stream
    "history-deleted",    # history rows that the projection counted are gone
    "marks-edited",       # what a history row says was last counted for it was changed, and the row itself was not
    "projection-edited",  # the projection's row itself was changed, or by a consumer that subtracted an edited mark
    "assignment-edited",  # an assignment was changed, added or deleted outside the stream
    "date-edited",        # a date alone differs: that of the latest history row or the projection's was changed
    "row-missing",        # the projection's row is gone
    "row-extra",          # the projection shows an entity of which history knows nothing
    "meter-drift",        # the customer's row is the sum of its meters' rows; those are what differs
    "customer-sum-off",   # the customer's row is not the sum of its meters' rows
    "history-edited",     # a history row is not what the log's messages amount to
    "history-missing",    # a history row is gone of which the log has a message
    "history-unknown",    # a history row comes, as it says, from where the log has no message of that entity
]  # fmt: skip


class MeterFigures(NamedTuple):
    """A row of `meter_balances`, but for its key."""

    customer_id: int | None
    total_billed: Decimal
    total_paid: Decimal
    balance: Decimal
    overpayment: Decimal
    invoice_count: int
    payment_count: int
    last_invoice_date: str | None
    last_payment_at: str | None


class CustomerFigures(NamedTuple):
    """A row of `customer_balances`, but for its key."""

    balance: Decimal
    overpayment: Decimal
    total_billed: Decimal
    total_paid: Decimal
    active_meters: int


class MeterDrift(NamedTuple):
    """A meter of which recorded differs from expected; `present` says whether it has a row at all.

    `contradicting_rows` of history count at it, or are marked at it, and are marked otherwise than they count.
    """

    meter_id: int
    present: bool
    recorded: MeterFigures
    expected: MeterFigures
    contradicting_rows: int = 0


class CustomerDrift(NamedTuple):
    """A customer of which recorded differs from expected."""

    customer_id: int
    present: bool
    recorded: CustomerFigures
    expected: CustomerFigures


class Disagreement(NamedTuple):
    """History rows of one meter that the projection counted otherwise than they count now.

    `rows`, `amount` (what they count now, less what was counted) and `row_shift` (the same of their number: 1 for a row
    that counts here and is marked elsewhere, -1 the other way round) cover all of them. `ids` names the first, and
    `amounts` and `row_shifts` say of those what each contributes. `mark` is the column of their marks that disagrees.
    """

    source: Source
    cause: Cause
    field: str
    rows: int
    amount: Decimal
    ids: list[int]
    mark: str
    row_shift: int
    amounts: list[Decimal]
    row_shifts: list[int]


class Marks(NamedTuple):
    """What the projection must have counted for a meter; `known` where history holds any trace of it."""

    total_billed: Decimal
    total_paid: Decimal
    invoice_count: int
    payment_count: int
    last_invoice_date: str | None
    last_payment_at: str | None
    known: bool


class AssignmentEvidence(NamedTuple):
    """Of a meter that is shown under another customer: whether the projection agrees with itself, and the rows."""

    agrees_with_itself: bool
    ids: list[int]


class MeterEvidence(NamedTuple):
    """Everything that names the cause of a meter's drift."""

    marks: Marks
    disagreements: tuple[Disagreement, ...]
    assignments: AssignmentEvidence | None


class CustomerEvidence(NamedTuple):
    """Sums over the meter rows that point at a customer, its drifted meters, and whether it ever had one."""

    sums: CustomerFigures
    meters: tuple[int, ...]
    known: bool
