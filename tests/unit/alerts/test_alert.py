"""What alerts say, and that nothing in them is obeyed by a terminal or a chat service."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from backfill.alerts.alert import CHECKER_FAILED, COVERAGE_BEHIND, Deployment, Found, State, body, compose, line, title

OURS = Deployment("db.example:5432/utility", "billing", "nairobi_1", "KES")
NAMED = "Database db․example:5432/utility, schema billing, consumer group nairobi＿1"  # noqa: RUF001 - inert
AT = datetime(2026, 1, 31, tzinfo=UTC)
EVIL = "\x1b[31m<!channel> @everyone\n[pay](https://evil.example) `rm` www.evil.example \u202e 12.50"


def _document(found: Found, state: State = "raised", *, whole: bool = True) -> dict[str, object]:
    return compose(found, state, run_id=UUID(int=1), whole=whole, deployment=OURS, at=AT).document


def test_people_read_amount_counts_ids_and_what_to_type() -> None:
    found = Found(
        cause="projection-edited", digest="d", amount=Decimal("5250.00"), meters=1200, customers=2, findings=3000,
        first_meters=[3, 4], first_customers=[8, 9],
    )  # fmt: skip
    document = _document(found)
    assert title(document) == "Drift: projection-edited found"
    assert body(document).splitlines() == [
        NAMED,
        "Off by KES 5,250.00 in all, on 1,200 meters and 2 customers.",
        "Meters: 3, 4, ...",
        "Customers: 8, 9",
        f"Run: {UUID(int=1)}",
        "For details: backfill explain --meter 3",
    ]
    assert "so far" in body(_document(found, whole=False))
    resolved = _document(found, "resolved")
    assert title(resolved) == "Drift: projection-edited resolved"
    assert "For details" not in body(resolved)


def test_programs_read_the_same_and_more() -> None:
    found = Found(cause="customer-sum-off", digest="d", amount=Decimal("0.10"), customers=1, first_customers=[8])
    read = json.loads(line(_document(found)))
    assert (read["alert"], read["state"], read["amount"], read["first_customers"]) == (
        "customer-sum-off", "raised", "0.10", [8],
    )  # fmt: skip
    assert {name: read[name] for name in OURS._fields} == OURS._asdict()
    assert read["suggested_command"] == "backfill explain --customer 8"
    nobody = _document(Found(cause="customer-sum-off", digest="d"))
    assert nobody["suggested_command"] == "backfill rebuild --dry-run"
    edited = _document(Found(cause="history-moved", digest="d", first_meters=[3]))
    assert edited["suggested_command"] == "backfill verify-log"  # a rebuild would take the edit as right


def test_injected_text_is_inert() -> None:
    document = _document(Found(cause=CHECKER_FAILED, digest="d", detail=EVIL))
    written = line(document)
    assert written.isascii()
    assert written.isprintable()
    text = body(document)
    assert not {*text} & {*"\x1b<>@`[]\u202e"}
    assert "://" not in text
    assert "evil.example" not in text, "some services make a link of a bare name"
    assert "12.50" in text
    assert len(text.splitlines()) == 4


def test_the_end_of_an_alert_reads_otherwise_than_its_beginning() -> None:
    begins = {CHECKER_FAILED: "A check has succeeded again. Before", COVERAGE_BEHIND: "Everything has been compared"}
    for cause, ended in begins.items():
        found = Found(cause=cause, digest="d", detail="why")
        raised, resolved = (_document(found, state) for state in ("raised", "resolved"))
        assert raised["detail"] == "why"
        assert str(resolved["detail"]).startswith(ended)
        assert str(resolved["detail"]).endswith(": why")
        assert body(resolved) != body(raised)


def test_an_alert_that_an_earlier_version_stored_is_sent_without_the_names() -> None:
    document = _document(Found(cause=CHECKER_FAILED, digest="d", detail="why"))
    for name in ("database", "schema", "consumer_group"):
        del document[name]
    assert body(document).splitlines()[0] == "why"
