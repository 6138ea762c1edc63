"""The envelope: CloudEvents 1.0 attributes around each type's `data`, as one pydantic type for a whole event.

CloudEvents leaves the form of `data` open; here it has to be a JSON object.
"""

from typing import Annotated, Any, Final, Literal, NotRequired

from pydantic import Field, StringConstraints, TypeAdapter
from typing_extensions import TypedDict

from events.contract.types import (
    AssignmentData,
    AssignmentType,
    CustomerData,
    CustomerType,
    Entity,
    InvoiceData,
    InvoiceType,
    PaymentData,
    PaymentType,
    strict,
)

STRUCTURED: Final = b"application/cloudevents+json"
STRUCTURED_HEADERS: Final = (("content-type", b"application/cloudevents+json; charset=UTF-8"),)
"""The headers of nearly every message, compared as a whole before single headers are read."""
JSON_MEDIA_TYPE: Final = r"^[^/;\s]+/([^/;\s]+\+)?[jJ][sS][oO][nN]\s*(;.*)?$"

Name = Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=r"^[^\x00]*$")]
"""An `id` or `source`: never empty and never made up. The id is stored, and decides between equal versions."""


@strict
class Attributes(TypedDict):
    """The attributes that CloudEvents defines; extension attributes are allowed and ignored."""

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
    """The current state of an invoice."""

    type: InvoiceType  # type: ignore[misc]
    data: InvoiceData


@strict
class PaymentEvent(_Structured):
    """The current state of a payment."""

    type: PaymentType  # type: ignore[misc]
    data: PaymentData


@strict
class AssignmentEvent(_Structured):
    """The current state of an assignment of a meter to a customer."""

    type: AssignmentType  # type: ignore[misc]
    data: AssignmentData


@strict
class CustomerEvent(_Structured):
    """The current state of a customer."""

    type: CustomerType  # type: ignore[misc]
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
