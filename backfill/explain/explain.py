"""`backfill explain`: a meter's balance line by line, and where each line came from."""

from datetime import date
from typing import Any, Final

from psycopg import Connection

from backfill.explain.sentences import outside, sentences, title
from backfill.explain.statement import Ahead, Counted, Entry, Excluded, Holder, Meter, Owner, Statement, state
from backfill.reports.money import money, signed
from backfill.runs.in_effect import PARTS
from backfill.runs.session import snapshot
from events.contract.types import Entity, topic_of
from events.runtime.console import Format, print_json, print_table, say
from events.runtime.errors import InputError
from events.runtime.settings import Settings
from projector.database.statements import statements

SQL: Final = statements("backfill.explain", "explain.sql", **PARTS)
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
        owner = Owner(*(connection.execute(SQL["owner_at"], values).fetchone() or ())) if at else None
    days = (since.isoformat() if since else None, at.isoformat() if at else None)
    found = state(meter_id, days, meter._replace(holders=holders, ahead=ahead, owner_at=owner), counts, excluded)
    if not found.is_known:
        raise InputError(f"--meter {meter_id}: no invoice, payment, assignment or balance names this meter")
    return found


def print_statement(settings: Settings, found: Statement, form: Format) -> None:
    """Print a statement."""
    if form is Format.JSON:
        print_json(_document(settings, found))
        return
    for line in sentences(found, settings.currency):
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
    print_table(title(found), columns, rows)


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
    rows = [
        (each.day, f"{each.kind} {each.id}", money(each.amount, settings.currency), each.reason, _still(each, settings))
        for each in found.not_counted
    ]
    if rows:
        print_table("Not Counted", ["Day", "What", "Amount>", "Why~", "Note~"], rows)
    if line := outside(found):
        say(line)


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
        "customer_at": meter.owner_at and meter.owner_at._asdict(),
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
        "lacking": found.lacking and found.lacking._asdict(),
        "handed_over": found.handed_over and found.handed_over._asdict(),
        "not_counted": [_excluded(each) for each in found.not_counted],
        "not_counted_outside": len(found.excluded) - len(found.not_counted),
    }


def _excluded(each: Excluded) -> dict[str, Any]:
    return {name: value for name, value in each._asdict().items() if name != "outside"}


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
