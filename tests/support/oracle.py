"""The third opinion: what any pile of CloudEvents has to amount to, in plain Python over dicts.

Shares no code with `events`, `projector` or `backfill`: it parses by itself and knows only the contract. It is fed
events that are good; which ones are refused is not its business. A row of zeros and no row say the same thing, so
neither is ever a difference. An assignment is in effect as of a clock: the database's, or one after all dates.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

Row = dict[str, Any]
Rows = dict[int, Row]

KEYS = {
    "invoice": ("invoices", "invoice_id"),
    "payment": ("payments", "payment_id"),
    "meter": ("meter_assignments", "assignment_id"),
    "customer": ("customers", "customer_id"),
}
MONEY = {"amount", "balance_brought_forward"}
DAYS = {"invoice_date", "due_date"}
INSTANTS = {"paid_at", "assigned_at", "unassigned_at"}
MARKS = ("projected_amount", "projected_meter_id")
COLUMNS = {
    "invoices": "invoice_id, version, event_id, meter_id, customer_id, amount, balance_brought_forward, currency, "
    f"invoice_date, due_date, invoice_number, lines, voided, {', '.join(MARKS)}",
    "payments": "payment_id, version, event_id, meter_id, customer_id, invoice_id, amount, currency, paid_at, method, "
    f"reference, reversed, allocated_meter_id, {', '.join(MARKS)}",
    "meter_assignments": "assignment_id, version, event_id, meter_id, customer_id, assigned_at, unassigned_at, ended, "
    "active",
    "customers": "customer_id, version, event_id, name",
    "meter_balances": "meter_id, customer_id, total_billed, total_paid, balance, overpayment, invoice_count, "
    "payment_count, last_invoice_date, last_payment_at",
    "customer_balances": "customer_id, balance, overpayment, total_billed, total_paid, active_meters",
}
ZERO = Decimal(0)
AFTER_ALL_DATES = datetime.max.replace(tzinfo=UTC)


class State(NamedTuple):
    """Every table a reader of the contract may look at, as rows by key; and the clock of assignments."""

    invoices: Rows
    payments: Rows
    meter_assignments: Rows
    customers: Rows
    meter_balances: Rows
    customer_balances: Rows
    clock: datetime


def expected(events: Iterable[Mapping[str, Any] | str | bytes], clock: datetime = AFTER_ALL_DATES) -> State:
    """Compute what the events amount to at a clock, whatever their order and however often each is repeated."""
    return _figured(_winners(events), clock)


def recomputed(recorded: State) -> State:
    """Compute the state that the history rows of another amount to, whoever wrote them."""
    history = {table: getattr(recorded, table) for table, _ in KEYS.values()}
    copied = {table: {key: dict(row) for key, row in rows.items()} for table, rows in history.items()}
    return _figured(copied, recorded.clock)


def _figured(winners: dict[str, Rows], clock: datetime) -> State:
    for row in winners["meter_assignments"].values():
        if row["ended"] is not None:
            begun, until = row["assigned_at"] <= clock, row["unassigned_at"]
            row["active"] = begun and not row["ended"] and (until is None or until > clock)
    invoices, payments = winners["invoices"], winners["payments"]
    for row in invoices.values():
        _mark(row, row["meter_id"], counts=not row["voided"])
    for row in payments.values():
        through = invoices.get(row["invoice_id"], {}).get("meter_id")
        places = (row["meter_id"], through, row["allocated_meter_id"])
        _mark(row, next((meter for meter in places if meter is not None), None), counts=not row["reversed"])
    meters = _meters(invoices, payments, winners["meter_assignments"])
    return State(**winners, meter_balances=meters, customer_balances=_customers(meters), clock=clock)


def _winners(events: Iterable[Mapping[str, Any] | str | bytes]) -> dict[str, Rows]:
    """Keep of each entity the event with the greatest version, and among equal ones the greatest id as bytes."""
    winners: dict[str, Rows] = {table: {} for table, _ in KEYS.values()}
    for one in events:
        event = json.loads(one) if isinstance(one, str | bytes) else one
        table, key_column = KEYS[event["type"].split(".")[1]]
        row = _row(table, event)
        standing = winners[table].get(row[key_column])
        if standing is None or _rank(row) > _rank(standing):
            winners[table][row[key_column]] = row
    return winners


def _rank(row: Row) -> tuple[int, bytes]:
    return row["version"], row["event_id"].encode()


def _row(table: str, event: Mapping[str, Any]) -> Row:
    names = [name for name in COLUMNS[table].split(", ") if name not in MARKS]
    row = {name: _value(name, event["data"].get(name)) for name in names}
    row["event_id"] = event["id"]
    verb = event["type"].split(".")[2]
    if table == "invoices":
        row["voided"] = verb == "voided"
    elif table == "payments":
        row["reversed"] = verb == "reversed"
    elif table == "meter_assignments":
        row["ended"] = verb == "unassigned" and row["unassigned_at"] is None
    return row


def _value(name: str, value: Any) -> Any:  # noqa: ANN401 - JSON's values, and the database's, are of any type
    """Bring a member to the type and the form its column has."""
    if value is None:
        return None
    if name in MONEY:
        return Decimal(value)
    if name in DAYS:
        return date.fromisoformat(value)
    if name in INSTANTS:
        return datetime.fromisoformat(value).astimezone(UTC)
    return value


def _mark(row: Row, meter_id: int | None, *, counts: bool) -> None:
    row["projected_meter_id"] = meter_id if counts else None
    row["projected_amount"] = row["amount"] if counts and meter_id is not None else ZERO


def _meters(invoices: Rows, payments: Rows, assignments: Rows) -> Rows:
    meters: Rows = {}
    for table, total, count, last, when in (
        (invoices, "total_billed", "invoice_count", "last_invoice_date", "invoice_date"),
        (payments, "total_paid", "payment_count", "last_payment_at", "paid_at"),
    ):
        for row in table.values():
            if row["projected_meter_id"] is not None:
                meter = meters.setdefault(row["projected_meter_id"], _empty_meter(row["projected_meter_id"]))
                meter[total] += row["amount"]
                meter[count] += 1
                meter[last] = row[when] if meter[last] is None else max(meter[last], row[when])
    for row in sorted(assignments.values(), key=lambda row: (row["assigned_at"], row["assignment_id"])):
        if row["active"]:
            meters.setdefault(row["meter_id"], _empty_meter(row["meter_id"]))["customer_id"] = row["customer_id"]
    for meter in meters.values():
        meter["balance"] = max(meter["total_billed"] - meter["total_paid"], ZERO)
        meter["overpayment"] = max(meter["total_paid"] - meter["total_billed"], ZERO)
    return meters


def _empty_meter(meter_id: int) -> Row:
    row: Row = dict.fromkeys(COLUMNS["meter_balances"].split(", "))
    money = {"total_billed": ZERO, "total_paid": ZERO}
    return {**row, "meter_id": meter_id, **money, "invoice_count": 0, "payment_count": 0}


def _customers(meters: Rows) -> Rows:
    customers: Rows = {}
    for meter in meters.values():
        key = meter["customer_id"]
        if key is not None:
            row = customers.setdefault(key, {**dict.fromkeys(COLUMNS["customer_balances"].split(", "), ZERO)})
            row["customer_id"] = key
            row["active_meters"] += 1
            for name in ("balance", "overpayment", "total_billed", "total_paid"):
                row[name] += meter[name]
    return customers


def differences(expected: State, recorded: State, *, at_most: int = 20) -> str:
    """Say in lines for people where the two differ; an empty text where they agree."""
    lines = [line for table in COLUMNS for line in _differing(table, expected, recorded)]
    rest = [f"... and {len(lines) - at_most} more"] if len(lines) > at_most else []
    return "\n".join(lines[:at_most] + rest)


def _differing(table: str, expected: State, recorded: State) -> Iterable[str]:
    want, have = getattr(expected, table), getattr(recorded, table)
    for key in sorted(want.keys() | have.keys()):
        left, right = want.get(key), have.get(key)
        if left == right or (table.endswith("_balances") and _says_nothing(left) and _says_nothing(right)):
            continue
        if left is None or right is None:
            yield f"{table} {key}: expected {left}, recorded {right}"
        else:
            parts = [
                f"{name} expected {left[name]!s}, recorded {right[name]!s}"
                for name in left
                if left[name] != right[name]
            ]
            yield f"{table} {key}: {'; '.join(parts)}"


def drifted(expected: State, recorded: State) -> set[tuple[str, int, str]]:
    """Name each column of the projection in which the two differ, as (entity, id, column), and the meters of marks."""
    return _mismarked(expected, recorded) | {
        (entity, key, column)
        for entity in ("meter", "customer")
        for want, have in [(getattr(expected, f"{entity}_balances"), getattr(recorded, f"{entity}_balances"))]
        for key in want.keys() | have.keys()
        for column in COLUMNS[f"{entity}_balances"].split(", ")[1:]
        if (want.get(key, {}).get(column) or None) != (have.get(key, {}).get(column) or None)
    }


def _mismarked(expected: State, recorded: State) -> set[tuple[str, int, str]]:
    """Name the meters at which a history row counts, or is marked, that is marked otherwise than it counts.

    And those of assignments whose `active` is wrong.
    """
    assignments = recorded.meter_assignments.items()
    flagged = {
        row["meter_id"] for key, row in assignments if row["active"] != expected.meter_assignments[key]["active"]
    }
    return {("meter", meter, "marks") for meter in flagged} | {
        ("meter", place, "marks")
        for table in ("invoices", "payments")
        for key, row in getattr(recorded, table).items()
        for right in [getattr(expected, table)[key]]
        if any(row[mark] != right[mark] for mark in MARKS)
        for place in (row["projected_meter_id"], right["projected_meter_id"])
        if place is not None
    }


def _says_nothing(row: Row | None) -> bool:
    """Tell whether a row holds nothing but its key and zeros; so does a row that is not there."""
    return row is None or not any(list(row.values())[1:])
