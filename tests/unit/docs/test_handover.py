"""The page on meters that are handed over shows events and what they amount to; both are true."""

import re
from decimal import Decimal
from typing import Any, Final

import pytest

from events.contract.decode import Decoder
from events.contract.types import Event
from tests.docs.pages import text_of
from tests.support.oracle import expected

PAGE: Final = text_of("docs/how-to/handover.md")
BLOCKS: Final = [block.splitlines() for block in re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)]
TABLES: Final = re.findall(r"^\| customer \|.*\n\|[-|]+\|\n((?:\|.*\|\n)+)", PAGE, re.MULTILINE)
FIGURES: Final = ("balance", "overpayment", "total_billed", "total_paid")
NOTHING: Final[dict[str, Any]] = dict.fromkeys(FIGURES, Decimal(0))


@pytest.mark.parametrize("which", range(4), ids=["the example", "paid out", "moved by invoices", "moved by a payment"])
def test_the_events_amount_to_the_figures_beside_them(which: int) -> None:
    events = [*BLOCKS[0], *(BLOCKS[which] if which else [])]
    decode = Decoder("KES", "billing")
    assert all(isinstance(decode.structured(line.encode()), Event) for line in events)
    customers = expected(events).customer_balances
    for row in TABLES[which].splitlines():
        customer, *shown = (cell.strip() for cell in row.strip("|").split("|"))
        found = customers.get(int(customer), NOTHING)
        assert [found[name] for name in FIGURES] == list(map(Decimal, shown))


def test_each_way_is_shown_with_its_figures() -> None:
    assert len(BLOCKS) == len(TABLES) == 4
