"""Each event's JSON, formatted without a library: all values are ours, and a million events take seconds.

Money is an integer number of cents, so that no figure is ever rounded. An id of zero omits the member.
"""

from typing import Final, NamedTuple
from uuid import NAMESPACE_URL, uuid5

from events.contract.types import Entity

SOURCE: Final = "/billing/simulated"


class Sent(NamedTuple):
    """One event to be sent: its entity, its key and its JSON."""

    entity: Entity
    key: bytes
    line: bytes


class Assignment(NamedTuple):
    """A meter assigned to a customer, and from when to when."""

    assignment_id: int
    meter_id: int
    customer_id: int
    since: str
    until: str = ""


class Invoice(NamedTuple):
    """The current state of an invoice."""

    invoice_id: int
    meter_id: int
    customer_id: int
    cents: int
    brought_forward: int
    dated: str
    due: str
    lines: bool


class Payment(NamedTuple):
    """The current state of a payment."""

    payment_id: int
    meter_id: int
    customer_id: int
    invoice_id: int
    cents: int
    paid_at: str
    method: str


def money(cents: int) -> str:
    """Write cents as a decimal string."""
    sign = "-" if cents < 0 else ""
    whole, rest = divmod(abs(cents), 100)
    return f"{sign}{whole}.{rest:02}"


class Renderer:
    """Writes events and numbers their ids, which are unique for a seed and the same in every run."""

    def __init__(self, seed: int, currency: str) -> None:
        self._ids = str(uuid5(NAMESPACE_URL, f"simulated:{seed}"))[:24]
        self._currency = currency
        self._count = 0

    def customer(self, customer_id: int, version: int, name: str) -> Sent:
        """Write a customer."""
        data = f'"customer_id":{customer_id},"version":{version},"name":"{name}"'
        return Sent("customers", b"%d" % customer_id, self._event("billing.customer.upserted", data))

    def assignment(self, verb: str, version: int, assignment: Assignment) -> Sent:
        """Write an assignment of a meter to a customer."""
        its = assignment
        ended = f',"unassigned_at":"{its.until}"' if its.until else ""
        data = (
            f'"assignment_id":{its.assignment_id},"version":{version},"meter_id":{its.meter_id},'
            f'"customer_id":{its.customer_id},"assigned_at":"{its.since}"{ended}'
        )
        return Sent("assignments", b"%d" % its.meter_id, self._event(f"billing.meter.{verb}", data))

    def invoice(self, verb: str, version: int, invoice: Invoice) -> Sent:
        """Write an invoice; its lines add up to its amount and, of type BALANCE, to what was brought forward."""
        its = invoice
        meter = f'"meter_id":{its.meter_id},' if its.meter_id else ""
        customer = f'"customer_id":{its.customer_id},' if its.customer_id else ""
        forward = f'"balance_brought_forward":"{money(its.brought_forward)}",' if its.brought_forward else ""
        listed = f',"lines":[{_lines(its.cents, its.brought_forward)}]' if its.lines else ""
        data = (
            f'"invoice_id":{its.invoice_id},"version":{version},{meter}{customer}"amount":"{money(its.cents)}",{forward}'
            f'"currency":"{self._currency}","invoice_date":"{its.dated}","due_date":"{its.due}",'
            f'"invoice_number":"INV-{its.invoice_id:09}"{listed}'
        )
        return Sent("invoices", b"%d" % (its.meter_id or its.invoice_id), self._event(f"billing.invoice.{verb}", data))

    def payment(self, verb: str, version: int, payment: Payment) -> Sent:
        """Write a payment."""
        its = payment
        meter = f'"meter_id":{its.meter_id},' if its.meter_id else ""
        customer = f'"customer_id":{its.customer_id},' if its.customer_id else ""
        invoice = f'"invoice_id":{its.invoice_id},' if its.invoice_id else ""
        data = (
            f'"payment_id":{its.payment_id},"version":{version},{meter}{customer}{invoice}'
            f'"amount":"{money(its.cents)}","currency":"{self._currency}","paid_at":"{its.paid_at}",'
            f'"method":"{its.method}","reference":"R{its.payment_id:09}"'
        )
        return Sent("payments", b"%d" % (its.meter_id or its.payment_id), self._event(f"billing.payment.{verb}", data))

    def _event(self, kind: str, data: str) -> bytes:
        self._count += 1
        return (
            f'{{"specversion":"1.0","id":"{self._ids}{self._count:012x}","source":"{SOURCE}","type":"{kind}",'
            f'"datacontenttype":"application/json","data":{{{data}}}}}'
        ).encode()


def _lines(cents: int, brought_forward: int) -> str:
    standing = min(25_000, cents) if cents > 0 else 0
    lines = f'{{"type":"CONSUMPTION","amount":"{money(cents - standing)}"}}'
    if standing:
        lines += f',{{"type":"STANDING CHARGE","amount":"{money(standing)}"}}'
    if brought_forward:
        lines += f',{{"type":"BALANCE","amount":"{money(brought_forward)}"}}'
    return lines
