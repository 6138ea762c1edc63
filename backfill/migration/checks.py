"""The checks of `backfill validate`: their names, what they mean, and the command that fixes what they find."""

from typing import Any, Final, Literal, NamedTuple

from psycopg import Connection

from backfill.runs.in_effect import PARTS
from backfill.runs.store import Run
from events.runtime.wording import counted
from projector.database.statements import statements

SQL: Final = statements("backfill.migration", "checks.sql", **PARTS)
Severity = Literal["error", "warning"]


class Check(NamedTuple):
    """One check; `statement` counts what is wrong, and is None where a drift check answers it."""

    name: str
    severity: Severity
    noun: str
    problem: str
    fix: str
    statement: str | None


class Checked(NamedTuple):
    """The result of a check: how many, the first ids, and a note."""

    check: Check
    rows: int
    ids: list[int]
    note: str = ""


METERS: Final = Check(
    "meter-balances", "error", "meters", "meters that differ from history", "backfill meter-balances", None
)
TOTALS: Final = Check(
    "totals", "error", "totals", "totals that differ by more than 1", "backfill rebuild", None
)  # fmt: skip

CHECKS: Final[tuple[Check, ...]] = (
    Check(
        "payments", "error", "payments", "payments that count at no meter",
        "backfill payment-meter-ids, or publish them with a meter", SQL["payments_without_meter"],
    ),
    Check(
        "invoices", "error", "invoices", "invoices that count at no meter",
        "publish them with a meter", SQL["invoices_without_meter"],
    ),
    Check(
        "orphan-meters", "warning", "meters", "meters with money and no active customer",
        "publish billing.meter.assigned", SQL["orphan_meters"],
    ),
    Check(
        "active-assignments", "warning", "assignments", "active assignments that a later one overrides",
        "publish billing.meter.unassigned", SQL["several_active_assignments"],
    ),
    Check(
        "unknown-customers", "warning", "assignments", "assignments to a customer that does not exist",
        "publish billing.customer.upserted", SQL["assignments_to_unknown_customers"],
    ),
    METERS,
    Check(
        "customer-balances", "error", "customers", "customers that differ from the sum of their meters",
        "backfill customer-balances", SQL["customers_against_meters"],
    ),
    TOTALS,
    Check(
        "meter-figures", "error", "meters", "meters with impossible figures",
        "backfill meter-balances", SQL["impossible_meters"],
    ),
    Check(
        "customer-figures", "error", "customers", "customers with impossible figures",
        "backfill customer-balances", SQL["impossible_customers"],
    ),
    Check(
        "payment-figures", "error", "payments", "payments of zero or less",
        "publish an amended version", SQL["impossible_payments"],
    ),
    Check(
        "voided-invoices", "warning", "payments", "payments of a voided invoice, which pay other debt of the meter",
        "publish billing.payment.reversed or .amended, if that is not intended", SQL["payments_of_voided_invoices"],
    ),
    Check(
        "invoice-numbers", "warning", "invoices", "invoices that share their number with another; both count",
        "publish billing.invoice.voided for the one that was issued by mistake", SQL["invoices_that_share_a_number"],
    ),
    Check(
        "invoice-currency", "error", "invoices", "invoices in another currency",
        "publish an amended version", SQL["stray_invoices"],
    ),
    Check(
        "payment-currency", "error", "payments", "payments in another currency",
        "publish an amended version", SQL["stray_payments"],
    ),
)  # fmt: skip
NAMES: Final = tuple(check.name for check in CHECKS)


def meters_off(connection: Connection[Any], run: Run, ids_max: int) -> Checked:
    """Report the meters that a drift check found, and the chunks that it could not compare."""
    where = {"run_id": run.run_id, "ids_max": ids_max}
    (ids,) = connection.execute(SQL["drifted_meters_of_run"], where).fetchone() or ([],)
    note = f"{counted(run.tally.failed, 'chunk')} could not be compared" if run.tally.failed else ""
    return Checked(METERS, run.tally.drifted_meters + run.tally.failed, ids, note)


def totals_off(run: Run) -> Checked:
    """Compare the customers' totals, recorded and expected, of a drift check; a difference of 1 is accepted."""
    tally = run.tally
    pairs = {
        "balance": tally.balance_after - tally.balance_before,
        "overpayment": tally.overpayment_after - tally.overpayment_before,
    }
    off = {name: difference for name, difference in pairs.items() if abs(difference) > 1}
    return Checked(TOTALS, len(off), [], "; ".join(f"{name} by {difference:+,}" for name, difference in off.items()))
