"""`backfill explain`: a meter's balance line by line, and where each line came from."""

from datetime import date
from decimal import Decimal
from typing import Any, Final

from psycopg import Connection

from backfill.explain.statement import Ahead, Counted, Entry, Excluded, Holder, Meter, Statement, state
from backfill.reports.money import money, signed
from backfill.runs.in_effect import IN_EFFECT
from backfill.runs.session import snapshot
from events.contract.types import Entity, topic_of
from events.runtime.console import Format, print_json, print_table, say
from events.runtime.errors import InputError
from events.runtime.settings import Settings
from events.runtime.wording import agree, counted
from projector.database.statements import statements

SQL: Final = statements("backfill.explain", "explain.sql", in_effect=IN_EFFECT)
ENTITY: Final[dict[str, Entity]] = {"invoice": "invoices", "payment": "payments"}


def explain(
    settings: Settings, connection: Connection[Any], meter_id: int, since: date | None, at: date | None
) -> Statement:
    """Read a meter's statement in one snapshot.

    Raises:
        InputError: nothing names this meter, or the days are in the wrong order.

    """
    if since and at and since > at:
        raise InputError(f"--since {since} is after --at {at}")
    values = {"meter_id": meter_id, "timezone": settings.timezone, "since": since, "at": at}
    with snapshot(connection):
        meter = Meter(*(connection.execute(SQL["recorded"], values).fetchone() or ()))
        counts = [Counted(*row) for row in connection.execute(SQL["statement"], values)]
        excluded = [Excluded(*row) for row in connection.execute(SQL["not_counted"], values)]
        holders = tuple(Holder(*row) for row in connection.execute(SQL["holders"], values))
        ahead = tuple(Ahead(*row) for row in connection.execute(SQL["ahead"], values))
    days = (since.isoformat() if since else None, at.isoformat() if at else None)
    found = state(meter_id, days, meter._replace(holders=holders, ahead=ahead), counts, excluded)
    if not found.is_known:
        raise InputError(f"--meter {meter_id}: no invoice, payment, assignment or balance names this meter")
    return found


def print_statement(settings: Settings, found: Statement, form: Format) -> None:
    """Print a statement."""
    if form is Format.JSON:
        print_json(_document(settings, found))
        return
    for line in (*_sums(settings, found), *_carried_over(settings, found), *_ahead(found)):
        say(line)
    _print_entries(settings, found)
    _print_not_counted(settings, found)


def _print_entries(settings: Settings, found: Statement) -> None:
    currency = settings.currency
    columns = ["Day", "What", "Reference", "Amount>", "Balance>", "Came From", "Note~"]
    rows = [
        (found.since, "Opening balance", "", "", money(found.opening, currency), "", ""),
        *(_line(settings, entry) for entry in found.entries),
        (found.at, "Closing balance", "", "", money(found.closing, currency), "", ""),
    ]
    print_table(f"Meter {found.meter_id}: {_owner(found.meter)}", columns, rows)


def _line(settings: Settings, entry: Entry) -> tuple[str | None, ...]:
    each, currency = entry.counted, settings.currency
    return (
        each.day,
        f"{each.kind} {each.id}",
        each.reference,
        signed(each.amount, currency),
        money(entry.balance, currency),
        _came_from(settings, each),
        _note(each, currency),
    )


def _print_not_counted(settings: Settings, found: Statement) -> None:
    if not found.excluded:
        return
    rows = [
        (each.day, f"{each.kind} {each.id}", money(each.amount, settings.currency), each.reason, _still(each, settings))
        for each in found.excluded
    ]
    print_table("Not Counted", ["Day", "What", "Amount>", "Why~", "Note~"], rows)


def _sums(settings: Settings, found: Statement) -> list[str]:
    currency = settings.currency
    lines = []
    if found.later:
        more = found.expected - found.closing
        entries = counted(len(found.later), "more entry", "more entries")
        lines.append(f"After {found.at}: {entries}, {signed(more, currency)} in total.")
    recorded, expected = _balance(found.meter.balance, currency), _balance(found.expected, currency)
    rows = counted(found.contradicting_rows, "row")
    if found.difference == 0 and found.contradicting_rows:
        differ = agree(found.contradicting_rows, "differs", "differ")
        lines.append(
            f"The balance is {expected} by history, and recorded as such, but the marks of {rows} {differ} from what "
            "counts. `backfill drift-check` names the cause."
        )
    elif found.difference == 0:
        lines.append(f"The balance is {expected} by history, and recorded as such.")
    else:
        lines.append(
            f"The balance is {expected} by history, but recorded as {recorded}: a difference of "
            f"{signed(found.difference, currency)}. `backfill drift-check` names the cause."
        )
    return lines


def _balance(amount: Decimal, currency: str) -> str:
    return money(amount, currency) + (" (a credit)" if amount < 0 else "")


def _ahead(found: Statement) -> list[str]:
    """Say whose the meter becomes on days ahead."""
    return [f"From {each.day}: {_customer(each.customer_id, each.name)}." for each in found.meter.ahead]


def _carried_over(settings: Settings, found: Statement) -> list[str]:
    """Say that the meter was handed over with a credit or a debt, if it was."""
    over = found.handed_over
    if over is None or over.balance == 0:
        return []
    what = f"{'debt' if over.balance > 0 else 'credit'} of {money(abs(over.balance), settings.currency)}"
    whose = f"counts for customer {over.customer_id} now"
    return [f"The meter's balance goes with the meter: {what} from before {over.day} {whose}."]


def _owner(meter: Meter) -> str:
    whose = _customer(meter.customer_id, meter.name)
    if meter.customer_id == meter.recorded_customer_id:
        return whose
    return f"{whose} (recorded: {meter.recorded_customer_id or 'none'})"


def _customer(customer_id: int | None, name: str | None) -> str:
    if customer_id is None:
        return "no active customer"
    return f"customer {customer_id}" + (f", {name}" if name else "")


def _note(each: Counted, currency: str) -> str:
    notes = []
    if each.through_invoice_id is not None:
        notes.append(f"through invoice {each.through_invoice_id}")
    if each.allocated:
        notes.append("allocated by a backfill")
    if each.balance_brought_forward:
        notes.append(
            f"{money(each.balance_brought_forward, currency)} brought forward from earlier invoices, not counted again"
        )
    if each.contradicts:
        notes.append(f"the recorded balance counts {signed(each.recorded, currency)} of it")
    return "; ".join(notes)


def _still(each: Excluded, settings: Settings) -> str:
    if not each.contradicts:
        return ""
    return f"the recorded balance still counts {signed(each.recorded, settings.currency)} of it"


def _came_from(settings: Settings, each: Counted) -> str:
    if each.source_offset is None:
        return "not from the stream"
    topic = topic_of(ENTITY[each.kind], settings.topic_prefix)
    return f"{topic}/{each.source_partition}@{each.source_offset}"


def _document(settings: Settings, found: Statement) -> dict[str, Any]:
    meter = found.meter
    return {
        "meter_id": found.meter_id,
        "customer_id": meter.customer_id,
        "customer_name": meter.name,
        "currency": settings.currency,
        "timezone": settings.timezone,
        "since": found.since,
        "at": found.at,
        "opening_balance": found.opening,
        "entries": [_entry(settings, entry) for entry in found.entries],
        "closing_balance": found.closing,
        "later_entries": len(found.later),
        "expected_balance": found.expected,
        "recorded_balance": meter.balance,
        "recorded_customer_id": meter.recorded_customer_id,
        "recorded_at": meter.updated_at,
        "customers_ahead": [each._asdict() for each in meter.ahead],
        "difference": found.difference,
        "contradicting_rows": found.contradicting_rows,
        "handed_over": found.handed_over and found.handed_over._asdict(),
        "not_counted": [each._asdict() for each in found.excluded],
    }


def _entry(settings: Settings, entry: Entry) -> dict[str, Any]:
    each = entry.counted
    topic = topic_of(ENTITY[each.kind], settings.topic_prefix)
    return {
        "day": each.day,
        "kind": each.kind,
        "id": each.id,
        "reference": each.reference,
        "through_invoice_id": each.through_invoice_id,
        "allocated": each.allocated,
        "amount": each.amount,
        "balance_brought_forward": each.balance_brought_forward,
        "balance": entry.balance,
        "recorded_as": each.recorded,
        "topic": topic if each.source_offset is not None else None,
        "partition": each.source_partition,
        "offset": each.source_offset,
    }
