"""The line that COPY takes, to the letter."""

from typing import Any, Final

import pytest

from events.contract.decode import Decoder
from events.contract.types import Event, Message
from projector.consume.rows import content_of, line
from tests.support import examples
from tests.support.examples import CloudEvent

DECODE: Final = Decoder("KES", "billing")
NUMBERED: Final[dict[str, Any]] = {"invoice_number": "Nr 5", "customer_id": 9, "due_date": "2026-02-28"}


def written(event: CloudEvent) -> str:
    message = Message("billing.any", 3, 41, 0, None, examples.line(event), ())
    decoded = DECODE.structured(examples.line(event))
    assert isinstance(decoded, Event), decoded
    return line(decoded, message)


@pytest.mark.parametrize(
    ("event", "row"),
    [
        (
            examples.invoice(1, 2, "10.00", version=4, event_id="e", **NUMBERED),
            r"1|4|e|2|9|10.00|\N|KES|2026-01-31|2026-02-28|Nr 5|\N|f|3|41",
        ),
        (
            examples.invoice(1, None, "10.00", "voided", lines=[{"type": "W", "amount": "10.00"}]),
            r'1|1|a|\N|\N|10.00|\N|KES|2026-01-31|\N|\N|[{"type":"W","amount":"10.00"}]|t|3|41',
        ),
        (examples.invoice(1, 2, "10.00", "amended", lines=[]), r"1|1|a|2|\N|10.00|\N|KES|2026-01-31|\N|\N|[]|f|3|41"),
        (
            examples.payment(1, "5.00", "reversed", invoice_id=6),
            r"1|1|a|\N|\N|6|5.00|KES|2026-02-01 05:00:00+00:00|\N|\N|t|3|41",
        ),
        (
            examples.payment(1, "5.00", method="", reference="x"),
            r"1|1|a|\N|\N|\N|5.00|KES|2026-02-01 05:00:00+00:00||x|f|3|41",
        ),
        (examples.assigned(1, 2, 3), r"1|1|a|2|3|2026-01-01 00:00:00+00:00|\N|f|3|41"),
        (examples.assigned(1, 2, 3, "unassigned"), r"1|1|a|2|3|2026-01-01 00:00:00+00:00|\N|t|3|41"),
        (examples.customer(1, "Asha"), "1|1|a|Asha|3|41"),
    ],
)
def test_every_member_has_its_field(event: CloudEvent, row: str) -> None:
    assert written(event) == row.replace("|", "\t")


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("a\\N", r"a\\N"), ("\\", r"\\"), ("\t", r"\t"), ("a\nb", r"a\nb"), ("\r", r"\r"),
        ("\\\t\n\r", r"\\\t\n\r"), ("|", "|"),
    ],
)  # fmt: skip
def test_what_would_end_a_field_is_escaped(name: str, field: str) -> None:
    row = written(examples.customer(1, name))
    assert row == f"1\t1\ta\t{field}\t3\t41"
    assert content_of(row) == [field]


def test_content_is_read_by_field_and_not_by_word() -> None:
    assert content_of(written(examples.customer(1, "Asha Otieno"))) == ["Asha Otieno"]
