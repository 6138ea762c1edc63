"""What is said of a meter above its lines: its balance, what came with it, and whose it is. Pure."""

from decimal import Decimal

from backfill.explain.statement import Meter, Statement
from backfill.reports.money import money, signed
from events.runtime.wording import agree, counted

CAUSE = "`backfill drift-check` names the cause."


def sentences(found: Statement, currency: str) -> list[str]:
    """Say what a statement amounts to, a line each: on its last day, if it has one, then now."""
    return [*_at(found, currency), _now(found, currency), *_owner_now(found), *_carried_over(found, currency),
            *_ahead(found)]  # fmt: skip


def title(found: Statement) -> str:
    """Name the meter and its customer, on the statement's last day if it has one."""
    if found.meter.owner_at is None:
        return f"Meter {found.meter_id}: {_owner(found.meter)}"
    return f"Meter {found.meter_id} on {found.at}: {_customer(*found.meter.owner_at)}"


def outside(found: Statement) -> str | None:
    """Say how many rows that do not count lie outside the statement's days; None if there are none."""
    left_out = len(found.excluded) - len(found.not_counted)
    return f"Not counted and outside these days: {counted(left_out, 'row')}." if left_out else None


def _at(found: Statement, currency: str) -> list[str]:
    """Say the balance on the last day, and what came after it."""
    if found.at is None:
        return []
    lines = [f"On {found.at} the balance was {_balance(found.closing, currency)}."]
    if found.later:
        more = signed(found.expected - found.closing, currency)
        lines.append(f"After {found.at}: {counted(len(found.later), 'more entry', 'more entries')}, {more} in total.")
    return lines


def _now(found: Statement, currency: str) -> str:
    verb = "is" if found.at is None else "is now"
    known = f"The balance {verb} {_balance(found.expected, currency)} by history"
    if found.difference == 0:
        if not found.contradicting_rows:
            return f"{known}, and recorded as such."
        rows, differ = counted(found.contradicting_rows, "row"), agree(found.contradicting_rows, "differs", "differ")
        return f"{known}, and recorded as such, but the marks of {rows} {differ} from what counts. {CAUSE}"
    why = f"a difference of {signed(found.difference, currency)}"
    if lacking := found.lacking:
        total = " in total" if lacking.rows > 1 else ""
        rows = f"{counted(lacking.rows, lacking.kind)} of {money(lacking.amount, currency)}{total}"
        why = f"the recorded balance counts {rows} that history does not have"
    return f"{known}, but recorded as {_balance(found.meter.balance, currency)}: {why}. {CAUSE}"


def _owner_now(found: Statement) -> list[str]:
    """Say whose the meter is now, where the title says whose it was and that is not all."""
    owner = _owner(found.meter)
    return [] if found.meter.owner_at is None or _customer(*found.meter.owner_at) == owner else [f"Now: {owner}."]


def _carried_over(found: Statement, currency: str) -> list[str]:
    """Say that the meter was handed over with a credit or a debt, if it was."""
    over = found.handed_over
    if over is None or over.balance == 0:
        return []
    what = f"{'debt' if over.balance > 0 else 'credit'} of {money(abs(over.balance), currency)}"
    whose = f"counts for customer {over.customer_id} now"
    return [f"The meter's balance goes with the meter: {what} from before {over.day} {whose}."]


def _ahead(found: Statement) -> list[str]:
    """Say whose the meter becomes on days ahead."""
    return [
        f"From {each.day}{f' {each.time}' if each.time else ''}: {_customer(each.customer_id, each.name)}."
        for each in found.meter.ahead
    ]


def _balance(amount: Decimal, currency: str) -> str:
    return money(amount, currency) + (" (a credit)" if amount < 0 else "")


def _owner(meter: Meter) -> str:
    whose = _customer(meter.customer_id, meter.name)
    if meter.customer_id == meter.recorded_customer_id:
        return whose
    return f"{whose} (recorded: {meter.recorded_customer_id or 'none'})"


def _customer(customer_id: int | None, name: str | None) -> str:
    if customer_id is None:
        return "no active customer"
    return f"customer {customer_id}" + (f", {name}" if name else "")
