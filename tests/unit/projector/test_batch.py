"""What a batch makes of its messages before PostgreSQL sees any."""

from itertools import pairwise, permutations

from events.contract.decode import Decoder
from events.contract.types import Message, Refusal
from projector.consume.batch import Batch, Item, end_offsets_of, make_item, stage
from projector.consume.rows import COLUMNS
from tests.support.examples import CloudEvent, assigned, customer, invoice, line, payment

DECODE = Decoder("KES", "billing")
TOPICS = {"invoice": "invoices", "payment": "payments", "meter": "assignments", "customer": "customers"}


def items_of(*events: CloudEvent, start: int = 0) -> list[Item]:
    """Read events as one partition a topic would hand them over."""
    items = []
    for offset, event in enumerate(events, start):
        topic = f"billing.{TOPICS[event['type'].split('.')[1]]}"
        message = Message(topic, 0, offset, 0, None, line(event), ())
        items.append(make_item(message, DECODE(message)))
    return items


def test_each_entity_is_staged_once_as_its_greatest_version_whatever_the_order() -> None:
    versions = [invoice(1, 7, f"{n}.00", version=n, event_id=f"e{n}") for n in (1, 2, 3)]
    for order in permutations(versions):
        staged = stage(items_of(*order))
        (row,) = staged.rows["invoices"]
        assert row.startswith("1\t3\te3\t")
        assert not staged.conflicts


def test_of_equal_versions_the_greater_id_wins_and_other_content_is_a_conflict() -> None:
    one, other = invoice(1, 7, "1.00", event_id="a"), invoice(1, 7, "2.00", event_id="b")
    for order in ((one, other), (other, one)):
        staged = stage(items_of(*order))
        assert [row.split("\t")[2] for row in staged.rows["invoices"]] == ["b"]
        assert len(staged.conflicts) == 1


def test_of_equal_versions_and_ids_what_stands_sooner_wins() -> None:
    sooner, later = items_of(invoice(1, 7, "1.00"), invoice(1, 7, "2.00"))
    elsewhere = later._replace(message=later.message._replace(partition=1, offset=0))
    elsewhere = make_item(elsewhere.message, DECODE(elsewhere.message))
    for order in permutations([sooner, later, elsewhere]):
        staged = stage(order)
        assert staged.rows["invoices"] == [sooner.row]
        assert staged.conflicts


def test_each_loser_with_other_content_is_a_conflict() -> None:
    found = stage(items_of(*(invoice(1, 7, f"{n}.00", event_id=f"e{n}") for n in range(4)))).conflicts
    assert found == {("invoices", 0, offset): (0, offset - 1) for offset in (1, 2, 3)}


def test_the_same_event_twice_is_no_conflict() -> None:
    assert stage(items_of(*[payment(1, "5.00", meter_id=7)] * 3)).conflicts == {}


def test_ids_are_ordered_as_their_utf8_bytes() -> None:
    ids = ["a", "B", "é", "Ω", "\uffff", "\U00010000"]
    staged = stage(items_of(*(customer(1, "n", event_id=each) for each in ids)))
    assert staged.rows["customers"][0].split("\t")[2] == max(ids, key=lambda each: each.encode())


def test_rows_are_as_wide_as_the_staging_columns() -> None:
    events = invoice(1, 7, "1.00"), payment(1, "1.00"), assigned(1, 7, 1), customer(1, "n")
    staged = stage(items_of(*events))
    for entity, rows in staged.rows.items():
        assert [len(row.split("\t")) for row in rows] == [len(COLUMNS[entity].split(","))]


def test_only_an_unassigned_assignment_without_a_date_has_ended_whatever_the_clock() -> None:
    ended = {"unassigned_at": "2026-02-01T00:00:00Z"}
    unassigned = assigned(3, 7, 1, "unassigned"), assigned(4, 7, 1, "unassigned", **ended)
    events = assigned(1, 7, 1), assigned(2, 7, 1, **ended), *unassigned
    rows = [row.split("\t") for row in stage(items_of(*events)).rows["assignments"]]
    assert {row[0]: row[7] for row in rows} == {"1": "f", "2": "f", "3": "t", "4": "f"}


def test_refusals_are_set_apart_with_their_messages() -> None:
    message = Message("billing.invoices", 3, 9, 0, None, b"{", ())
    staged = stage([make_item(message, DECODE(message))])
    ((kept, refusal),) = staged.refused
    assert kept is message
    assert refusal.reason == "not-json"


def test_what_follows_a_refusal_is_staged() -> None:
    message = Message("billing.invoices", 3, 9, 0, None, b"{", ())
    staged = stage([make_item(message, DECODE(message)), *items_of(invoice(1, 7, "1.00"))])
    assert (len(staged.refused), len(staged.rows["invoices"])) == (1, 1)


def test_a_position_stands_behind_the_last_message_of_its_partition() -> None:
    assert end_offsets_of(items_of(invoice(1, 7, "1.00"), invoice(2, 7, "1.00"), start=10)) == {
        ("billing.invoices", 0): 12
    }


def test_halves_do_what_the_whole_does() -> None:
    items = items_of(*(invoice(n, 7, "1.00") for n in range(5)), start=10)
    marker = ("billing.payments", 0)
    whole = Batch(
        items=items,
        start_offsets={("billing.invoices", 0): 8, marker: 3},
        end_offsets={**end_offsets_of(items), marker: 4},
    )
    first, second = whole.halves()
    assert [*first.items, *second.items] == items
    assert len(first.items) == 2
    for place, end in whole.end_offsets.items():
        halves = [half for half in (first, second) if place in half.end_offsets]
        assert halves[0].start_offsets[place] == whole.start_offsets[place]
        assert halves[-1].end_offsets[place] == end
        assert all(later.start_offsets[place] == sooner.end_offsets[place] for sooner, later in pairwise(halves))


def test_a_place_that_ends_in_the_first_half_is_none_of_the_second() -> None:
    items = items_of(payment(1, "1.00"), invoice(1, 7, "1.00"))
    known = {("billing.payments", 0): 0, ("billing.invoices", 0): 0}
    first, second = Batch(items=items, start_offsets=known, end_offsets=end_offsets_of(items)).halves()
    assert (first.start_offsets, first.end_offsets) == ({("billing.payments", 0): 0}, {("billing.payments", 0): 1})
    assert (second.start_offsets, second.end_offsets) == ({("billing.invoices", 0): 0}, {("billing.invoices", 0): 2})


def test_a_refused_batch_keeps_messages_and_positions() -> None:
    items = items_of(invoice(1, 7, "1.00"))
    batch = Batch(items=items, start_offsets={("billing.invoices", 0): 0}, end_offsets=end_offsets_of(items))
    refused = batch.refused(Refusal("refused-by-database", "too large"))
    staged = stage(refused.items)
    assert not any(staged.rows.values())
    assert [message for message, _ in staged.refused] == [items[0].message]
    assert (refused.start_offsets, refused.end_offsets) == (batch.start_offsets, batch.end_offsets)
