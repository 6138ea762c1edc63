"""CloudEvents written by hand, as short as a test wants to read them."""

import json
from typing import Any

CloudEvent = dict[str, Any]


def invoice(key: int, meter: int | None, amount: object, verb: str = "issued", **more: object) -> CloudEvent:
    """Write one state of an invoice."""
    members = {"invoice_id": key, "amount": amount, "currency": "KES", "invoice_date": "2026-01-31"}
    return _event(f"billing.invoice.{verb}", members | ({} if meter is None else {"meter_id": meter}), more)


def payment(key: int, amount: str, verb: str = "received", **more: object) -> CloudEvent:
    """Write one state of a payment."""
    members = {"payment_id": key, "amount": amount, "currency": "KES", "paid_at": "2026-02-01T08:00:00+03:00"}
    return _event(f"billing.payment.{verb}", members, more)


def assigned(key: int, meter: int, customer: int, verb: str = "assigned", **more: object) -> CloudEvent:
    """Write one state of an assignment."""
    members = {"assignment_id": key, "meter_id": meter, "customer_id": customer, "assigned_at": "2026-01-01T00:00:00Z"}
    return _event(f"billing.meter.{verb}", members, more)


def customer(key: int, name: str, **more: object) -> CloudEvent:
    """Write one state of a customer."""
    return _event("billing.customer.upserted", {"customer_id": key, "name": name}, more)


def line(event: CloudEvent) -> bytes:
    """Write an event as `events publish` reads it."""
    return json.dumps(event, ensure_ascii=False).encode()


def _event(event_type: str, members: dict[str, object], more: dict[str, object]) -> CloudEvent:
    event_id = more.pop("event_id", "a")
    data = {**members, "version": 1, **more}
    return {"specversion": "1.0", "id": event_id, "source": "/tests", "type": event_type, "data": data}
