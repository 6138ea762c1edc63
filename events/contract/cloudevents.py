"""The envelope: CloudEvents 1.0 attributes around each type's `data`, as one pydantic type for a whole event.

What CloudEvents leaves open is fixed here: `data` is a JSON object, and nothing else is taken for it.
"""

from typing import Annotated, Any, Final, Literal, NotRequired

from pydantic import Field, StringConstraints, TypeAdapter
from typing_extensions import TypedDict

from events.contract.types import AssignmentData, CustomerData, Entity, InvoiceData, PaymentData, strict

STRUCTURED: Final = b"application/cloudevents+json"
STRUCTURED_HEADERS: Final = (("content-type", b"application/cloudevents+json; charset=UTF-8"),)
"""What nearly every message carries; compared whole before headers are looked into."""
JSON_MEDIA_TYPE: Final = r"^[^/;\s]+/([^/;\s]+\+)?[jJ][sS][oO][nN]\s*(;.*)?$"

Name = Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=r"^[^\x00]*$")]
"""An `id` or `source`: stored and ordered by, so never empty, never invented."""


@strict
class Attributes(TypedDict):
    """What CloudEvents says about an event; extension attributes are allowed and ignored."""

    specversion: Literal["1.0"]
    id: Name
    source: Name
    type: str
    time: NotRequired[str | None]
    subject: NotRequired[str | None]
    dataschema: NotRequired[str | None]
    datacontenttype: NotRequired[Annotated[str, StringConstraints(pattern=JSON_MEDIA_TYPE)] | None]


@strict
class _Structured(Attributes):
    data_base64: NotRequired[None]


@strict
class InvoiceEvent(_Structured):
    """An invoice as it now stands."""

    type: Literal["billing.invoice.issued", "billing.invoice.amended", "billing.invoice.voided"]  # type: ignore[misc]
    data: InvoiceData


@strict
class PaymentEvent(_Structured):
    """A payment as it now stands."""

    type: Literal["billing.payment.received", "billing.payment.amended", "billing.payment.reversed"]  # type: ignore[misc]
    data: PaymentData


@strict
class AssignmentEvent(_Structured):
    """An assignment of a meter to a customer as it now stands."""

    type: Literal["billing.meter.assigned", "billing.meter.unassigned"]  # type: ignore[misc]
    data: AssignmentData


@strict
class CustomerEvent(_Structured):
    """A customer as it now stands."""

    type: Literal["billing.customer.upserted"]  # type: ignore[misc]
    data: CustomerData


DATA_OF: Final[dict[Entity, Any]] = {
    "invoices": InvoiceData,
    "payments": PaymentData,
    "assignments": AssignmentData,
    "customers": CustomerData,
}
EVENT_OF: Final[dict[Entity, Any]] = {
    "invoices": InvoiceEvent,
    "payments": PaymentEvent,
    "assignments": AssignmentEvent,
    "customers": CustomerEvent,
}

EVENT: Final[TypeAdapter[Any]] = TypeAdapter(
    Annotated[InvoiceEvent | PaymentEvent | AssignmentEvent | CustomerEvent, Field(discriminator="type")]
)
"""Any event of the contract in structured mode, read in one pass over its bytes."""
ATTRIBUTES: Final[TypeAdapter[Attributes]] = TypeAdapter(Attributes)
DATA: Final[dict[Entity, TypeAdapter[Any]]] = {entity: TypeAdapter(shape) for entity, shape in DATA_OF.items()}
