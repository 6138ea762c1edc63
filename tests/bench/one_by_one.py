"""What a team would write first: one transaction an event, through the ORM.

Read the row, compare the version, take the old contribution off the balances, add the new one, commit. It is right only
while events of one invoice, payment or meter come one after the other. Its tables start empty, which favours it.
"""

import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import islice
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from events.contract.decode import Decoder
from events.contract.types import Entity, Event
from events.runtime.errors import WorkFailedError
from projector.database.engines import make_engine
from projector.deployment import schema
from tests.bench.figures import Figure
from tests.bench.models import Assignment, Customer, CustomerBalance, Invoice, MeterBalance, Payment
from tests.bench.workload import Workload, say

SCHEMA: Final = "one_by_one"
NOTHING: Final = Decimal(0)


def consume(workload: Workload) -> list[Figure]:
    """Apply an even sample of the events, one after the other."""
    sample = list(_sample(workload))
    engine = make_engine(workload.settings.model_copy(update={"schema_name": SCHEMA}), program="bench")
    schema.upgrade(engine, SCHEMA)
    workload.settle()
    say(f"applying {len(sample):,} events in a transaction each")
    begun = time.perf_counter()
    for event in sample:
        _apply(engine, event)
    seconds = time.perf_counter() - begun
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {SCHEMA} CASCADE")
    engine.dispose()
    return [
        Figure(
            key="one-by-one.events_per_second",
            what=f"one transaction an event, ORM, sample of {len(sample):,}",
            value=len(sample) / seconds,
            unit="events/s",
        )
    ]


def _sample(workload: Workload) -> Iterator[Event]:
    """Take events evenly over the whole stream, so that the sample is mixed as it is."""
    decoder = Decoder(workload.settings.currency, workload.settings.topic_prefix)
    step = max(1, workload.plan.events // workload.plan.sample)
    with workload.bulk.open("rb") as lines:
        for line in islice(lines, 0, step * workload.plan.sample, step):
            event = decoder.structured(line)
            if not isinstance(event, Event):
                raise WorkFailedError(f"a simulated event is refused: {event.detail}")
            yield event


def _apply(engine: Engine, event: Event) -> None:
    with Session(engine) as session, session.begin():
        HANDLERS[event.entity](session, event)


def _invoice(session: Session, event: Event) -> None:
    data = event.data
    stored = session.get(Invoice, data["invoice_id"], with_for_update=True)
    if stored is None:
        stored = Invoice(invoice_id=data["invoice_id"])
        session.add(stored)
    elif stored.version >= data["version"]:
        return
    elif not stored.voided:
        _count(session, stored.meter_id, billed=-stored.amount, invoices=-1)
    stored.version, stored.event_id = data["version"], event.id
    stored.meter_id, stored.customer_id = data["meter_id"], data["customer_id"]
    stored.amount, stored.currency = Decimal(data["amount"]), data["currency"]
    stored.invoice_date, stored.voided = data["invoice_date"], event.type == "billing.invoice.voided"
    if not stored.voided:
        _count(session, stored.meter_id, billed=stored.amount, invoices=1)


def _payment(session: Session, event: Event) -> None:
    data = event.data
    stored = session.get(Payment, data["payment_id"], with_for_update=True)
    if stored is None:
        stored = Payment(payment_id=data["payment_id"])
        session.add(stored)
    elif stored.version >= data["version"]:
        return
    elif not stored.reversed:
        _count(session, stored.meter_id, paid=-stored.amount, payments=-1)
    stored.version, stored.event_id = data["version"], event.id
    stored.meter_id, stored.customer_id = data["meter_id"], data["customer_id"]
    stored.invoice_id, stored.paid_at = data["invoice_id"], data["paid_at"]
    stored.amount, stored.currency = Decimal(data["amount"]), data["currency"]
    stored.reversed = event.type == "billing.payment.reversed"
    if not stored.reversed:
        _count(session, stored.meter_id, paid=stored.amount, payments=1)


def _assignment(session: Session, event: Event) -> None:
    data = event.data
    stored = session.get(Assignment, data["assignment_id"], with_for_update=True)
    if stored is None:
        stored = Assignment(assignment_id=data["assignment_id"])
        session.add(stored)
    elif stored.version >= data["version"]:
        return
    stored.version, stored.event_id = data["version"], event.id
    stored.meter_id, stored.customer_id = data["meter_id"], data["customer_id"]
    stored.assigned_at, stored.unassigned_at = data["assigned_at"], data["unassigned_at"]
    stored.active = data["unassigned_at"] is None
    meter = _meter(session, stored.meter_id)
    if stored.active or meter.customer_id == stored.customer_id:
        _carry(session, meter, -1)
        meter.customer_id = stored.customer_id if stored.active else None
        _carry(session, meter, 1)


def _customer(session: Session, event: Event) -> None:
    data = event.data
    stored = session.get(Customer, data["customer_id"], with_for_update=True)
    if stored is None:
        stored = Customer(customer_id=data["customer_id"])
        session.add(stored)
    elif stored.version >= data["version"]:
        return
    stored.version, stored.event_id, stored.name = data["version"], event.id, data["name"]


def _count(  # noqa: PLR0913 - a meter's figures
    session: Session,
    meter_id: int | None,
    *,
    billed: Decimal = NOTHING,
    paid: Decimal = NOTHING,
    invoices: int = 0,
    payments: int = 0,
) -> None:
    """Add to a meter and to its customer."""
    if meter_id is None:
        return
    meter = _meter(session, meter_id)
    _carry(session, meter, -1)
    meter.total_billed += billed
    meter.total_paid += paid
    meter.invoice_count += invoices
    meter.payment_count += payments
    _carry(session, meter, 1)


def _meter(session: Session, meter_id: int) -> MeterBalance:
    meter = session.get(MeterBalance, meter_id, with_for_update=True)
    if meter is None:
        meter = MeterBalance(
            meter_id=meter_id, total_billed=NOTHING, total_paid=NOTHING, invoice_count=0, payment_count=0
        )
        session.add(meter)
    return meter


def _carry(session: Session, meter: MeterBalance, sign: int) -> None:
    """Take a meter's figures off its customer's, or add them."""
    if meter.customer_id is None:
        return
    customer = session.get(CustomerBalance, meter.customer_id, with_for_update=True)
    if customer is None:
        customer = CustomerBalance(
            customer_id=meter.customer_id,
            balance=NOTHING,
            overpayment=NOTHING,
            total_billed=NOTHING,
            total_paid=NOTHING,
            active_meters=0,
        )
        session.add(customer)
    owed = meter.total_billed - meter.total_paid
    customer.balance += sign * max(owed, NOTHING)
    customer.overpayment += sign * max(-owed, NOTHING)
    customer.total_billed += sign * meter.total_billed
    customer.total_paid += sign * meter.total_paid
    customer.active_meters += sign


HANDLERS: Final[dict[Entity, Callable[[Session, Event], None]]] = {
    "invoices": _invoice,
    "payments": _payment,
    "assignments": _assignment,
    "customers": _customer,
}
