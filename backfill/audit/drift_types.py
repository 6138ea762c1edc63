"""What is compared: the figures of meters and customers, and the evidence for why they differ.

Money is in the deployment's currency; dates are text as PostgreSQL writes them.
"""

from decimal import Decimal
from typing import Literal, NamedTuple

Source = Literal["invoices", "payments", "assignments"]
Cause = Literal[
    "history-changed",    # a history row's amount, meter or void flag was changed outside the stream
    "history-moved",      # a history row was moved to another meter outside the stream
    "history-added",      # a history row was inserted outside the stream
    "history-deleted",    # history rows that the projection counted are missing
    "marks-edited",       # a row's counted amount or meter, or an assignment's `active`, was changed, the row was not
    "projection-edited",  # the projection's row was changed: by somebody, or by a consumer that read an edited mark
    "assignment-edited",  # an assignment was changed, added or deleted outside the stream
    "date-edited",        # only a date differs: it was changed in history or in the projection
    "row-missing",        # the projection's row is missing
    "row-extra",          # the projection has a row for an entity without history
    "meter-drift",        # the customer's row is the sum of its meters' rows, and those differ
    "customer-sum-off",   # the customer's row is not the sum of its meters' rows
    "history-edited",     # a history row differs from the winning message of the log
    "history-missing",    # the log has a message of an entity that history lacks
    "history-unknown",    # a history row names a place where the log has no message of that entity
]  # fmt: skip


class MeterFigures(NamedTuple):
    """A row of `meter_balances`, without its key."""

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
    """A row of `customer_balances`, without its key."""

    balance: Decimal
    overpayment: Decimal
    total_billed: Decimal
    total_paid: Decimal
    active_meters: int


class MeterDrift(NamedTuple):
    """A meter whose recorded figures differ from the expected ones; `present` tells whether it has a row at all.

    `contradicting_rows` is the number of history rows with a wrong mark that count at this meter or are marked at it,
    and of its assignments whose `active` is wrong.
    """

    meter_id: int
    present: bool
    recorded: MeterFigures
    expected: MeterFigures
    contradicting_rows: int = 0


class CustomerDrift(NamedTuple):
    """A customer whose recorded figures differ from the expected ones."""

    customer_id: int
    present: bool
    recorded: CustomerFigures
    expected: CustomerFigures


class Disagreement(NamedTuple):
    """History rows of one meter that the projection counted differently from what counts now.

    Assignments whose `active` is not what their dates say as of the clock are such rows, too; they move no amount.

    `rows`, `amount` and `row_shift` are of all of them. `amount` is what counts now, less what was counted. `row_shift`
    is the same for the number of rows: 1 for a row that counts here and is marked elsewhere, -1 for one that is marked
    here and counts elsewhere. `ids` names the first rows, `amounts` and `row_shifts` their contributions. `mark` is the
    column of their marks that disagrees.
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
    """What the projection must have counted for a meter; `known` where history has any trace of the meter."""

    total_billed: Decimal
    total_paid: Decimal
    invoice_count: int
    payment_count: int
    last_invoice_date: str | None
    last_payment_at: str | None
    known: bool


class AssignmentEvidence(NamedTuple):
    """For a meter that is shown under another customer: whether the projection is consistent, and the assignments."""

    agrees_with_itself: bool
    ids: list[int]


class MeterEvidence(NamedTuple):
    """Everything that names the cause of a meter's drift."""

    marks: Marks
    disagreements: tuple[Disagreement, ...]
    assignments: AssignmentEvidence | None


class CustomerEvidence(NamedTuple):
    """The sums over the meter rows of a customer, its drifted meters, and whether it ever had a meter."""

    sums: CustomerFigures
    meters: tuple[int, ...]
    known: bool
