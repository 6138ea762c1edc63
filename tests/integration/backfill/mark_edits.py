"""Edits by hand after which rows contradict their marks, and what has to be found of each."""

from typing import Final, NamedTuple


class Edit(NamedTuple):
    """What is done by hand, and at which meter it has to be found, with which cause and rows.

    `figures` are the columns of those meters that differ, too, but for those that derive from them. `before` is made
    true of history and projection first.
    """

    sql: str
    named: dict[int, dict[str, set[int]]]
    certain: bool = True
    figures: frozenset[tuple[int, str, str]] = frozenset()
    before: str = ""


CANCELLED: Final[dict[str, Edit]] = {
    "500 from one invoice to another": Edit(
        "UPDATE invoices SET amount = amount + 500 * (CASE invoice_id WHEN 1 THEN 1 ELSE -1 END)"
        " WHERE invoice_id IN (1, 12)",
        {1: {"history-changed": {1, 12}}}, certain=False,
    ),
    "50 from one payment to another": Edit(
        "UPDATE payments SET amount = amount + CASE payment_id WHEN 2 THEN 50 ELSE -50 END WHERE payment_id IN (2, 13)",
        {2: {"history-changed": {2, 13}}}, certain=False,
    ),
    "50 from a payment to one that follows its invoice": Edit(
        "UPDATE payments SET amount = amount + CASE payment_id WHEN 2 THEN 50 ELSE -50 END WHERE payment_id IN (2, 24)",
        {2: {"history-changed": {2, 24}}}, certain=False,
    ),
    "1 from a payment to one that was allocated": Edit(
        "UPDATE payments SET amount = amount + CASE payment_id WHEN 2 THEN 1 ELSE -1 END WHERE payment_id IN (2, 92)",
        {2: {"history-changed": {2, 92}}}, certain=False,
    ),
    "the amounts of two invoices swapped": Edit(
        "UPDATE invoices SET amount = 213 - amount WHERE invoice_id IN (1, 12)",
        {1: {"history-changed": {1, 12}}}, certain=False,
    ),
    "the meters of two invoices of one amount swapped": Edit(
        "UPDATE invoices SET meter_id = 3 - meter_id WHERE invoice_id IN (1, 2)",
        {1: {"history-moved": {1, 2}}, 2: {"history-moved": {1, 2}}}, certain=False,
        before="UPDATE invoices SET amount = 100 WHERE invoice_id IN (1, 2)",
    ),
    "the meters of two latest invoices of one amount swapped, which moves their dates": Edit(
        "UPDATE invoices SET meter_id = 3 - meter_id WHERE invoice_id IN (34, 35)",
        {1: {"history-moved": {34, 35}}, 2: {"history-moved": {34, 35}}},
        figures=frozenset({(1, "last_invoice_date", "history-moved"), (2, "last_invoice_date", "history-moved")}),
        before="UPDATE invoices SET amount = 100 WHERE invoice_id IN (34, 35)",
    ),
    "the marks of two latest invoices of one amount swapped": Edit(
        "UPDATE invoices SET projected_meter_id = 3 - projected_meter_id WHERE invoice_id IN (34, 35)",
        {1: {"marks-edited": {34, 35}}, 2: {"marks-edited": {34, 35}}},
        before="UPDATE invoices SET amount = 100 WHERE invoice_id IN (34, 35)",
    ),
    "the meters of two payments of one amount swapped": Edit(
        "UPDATE payments SET meter_id = 3 - meter_id WHERE payment_id IN (1, 2)",
        {1: {"history-moved": {1, 2}}, 2: {"history-moved": {1, 2}}}, certain=False,
        before="UPDATE payments SET amount = 100 WHERE payment_id IN (1, 2)",
    ),
    "one invoice voided, another of its amount no longer": Edit(
        "UPDATE invoices SET voided = NOT voided WHERE invoice_id IN (10, 21)",
        {10: {"history-changed": {10, 21}}}, certain=False,
        before="UPDATE invoices SET amount = 100 WHERE invoice_id IN (10, 21)",
    ),
    "one payment reversed, another of its amount no longer": Edit(
        "UPDATE payments SET reversed = NOT reversed WHERE payment_id IN (7, 18)",
        {7: {"history-changed": {7, 18}}}, certain=False,
        before="UPDATE payments SET amount = 100 WHERE payment_id IN (7, 18)",
    ),
    "two invoices change places, and their followers with them": Edit(
        "UPDATE invoices SET meter_id = 12 - meter_id WHERE invoice_id IN (4, 8)",
        {4: {"history-moved": {4, 8}}, 8: {"history-moved": {4, 8}}}, certain=False,
        before="UPDATE invoices SET amount = 100 WHERE invoice_id IN (4, 8);"
        "UPDATE payments SET amount = 100 WHERE payment_id IN (4, 8)",
    ),
    "an invoice of nothing moved, in the middle of others": Edit(
        "UPDATE invoices SET meter_id = 2 WHERE invoice_id = 1",
        {1: {"history-moved": {1}}, 2: {"history-moved": {1}}},
        figures=frozenset({(1, "invoice_count", "history-moved"), (2, "invoice_count", "history-moved")}),
        before="UPDATE invoices SET amount = 0 WHERE invoice_id = 1",
    ),
}  # fmt: skip
MARKS: Final[dict[str, Edit]] = {
    "an invoice's amount": Edit(
        "UPDATE invoices SET projected_amount = projected_amount + 7 WHERE invoice_id = 1", {1: {"marks-edited": {1}}}
    ),
    "a payment's amount": Edit(
        "UPDATE payments SET projected_amount = 0 WHERE payment_id = 1", {1: {"marks-edited": {1}}}
    ),
    "a payment's amount, which follows its invoice": Edit(
        "UPDATE payments SET projected_amount = projected_amount - 1 WHERE payment_id = 8", {8: {"marks-edited": {8}}}
    ),
    "a payment's amount, which was allocated": Edit(
        "UPDATE payments SET projected_amount = 8 WHERE payment_id = 92", {2: {"marks-edited": {92}}}
    ),
    "an invoice's meter": Edit(
        "UPDATE invoices SET projected_meter_id = 5 WHERE invoice_id = 1",
        {1: {"marks-edited": {1}}, 5: {"marks-edited": {1}}},
    ),
    "an invoice's meter, its amount left out": Edit(
        "UPDATE invoices SET projected_meter_id = 5, projected_amount = 0 WHERE invoice_id = 1",
        {1: {"marks-edited": {1}}, 5: {"marks-edited": {1}}},
    ),
    "a payment's meter": Edit(
        "UPDATE payments SET projected_meter_id = 5 WHERE payment_id = 1",
        {1: {"marks-edited": {1}}, 5: {"marks-edited": {1}}},
    ),
    "a follower's meter": Edit(
        "UPDATE payments SET projected_meter_id = 7 WHERE payment_id = 8",
        {8: {"marks-edited": {8}}, 7: {"marks-edited": {8}}},
    ),
    "a follower's meter, its amount left out": Edit(
        "UPDATE payments SET projected_meter_id = 7, projected_amount = 0 WHERE payment_id = 8",
        {8: {"marks-edited": {8}}, 7: {"marks-edited": {8}}},
    ),
    "the meter of one that was allocated": Edit(
        "UPDATE payments SET projected_meter_id = 4 WHERE payment_id = 92",
        {2: {"marks-edited": {92}}, 4: {"marks-edited": {92}}},
    ),
    "a meter of which nothing else is known": Edit(
        "UPDATE invoices SET projected_meter_id = 6000 WHERE invoice_id = 1",
        {1: {"marks-edited": {1}}, 6000: {"marks-edited": {1}}},
    ),
    "a meter of which nothing else is known, for a payment that belongs nowhere": Edit(
        "UPDATE payments SET projected_meter_id = 6000 WHERE payment_id = 91", {6000: {"marks-edited": {91}}}
    ),
    "none, as if it had never been counted": Edit(
        "UPDATE invoices SET projected_meter_id = NULL, projected_amount = 0 WHERE invoice_id = 1",
        {1: {"marks-edited": {1}}},
    ),
    "none of a follower": Edit(
        "UPDATE payments SET projected_meter_id = NULL, projected_amount = 0 WHERE payment_id = 8",
        {8: {"marks-edited": {8}}},
    ),
    "a voided invoice, as if it counted": Edit(
        "UPDATE invoices SET projected_meter_id = meter_id, projected_amount = amount WHERE invoice_id = 10",
        {10: {"marks-edited": {10}}},
    ),
    "a voided invoice, as if nothing of it counted": Edit(
        "UPDATE invoices SET projected_meter_id = meter_id WHERE invoice_id = 10", {10: {"marks-edited": {10}}}
    ),
    "a reversed payment, as if it counted": Edit(
        "UPDATE payments SET projected_meter_id = meter_id, projected_amount = 3 WHERE payment_id = 18",
        {7: {"marks-edited": {18}}},
    ),
    "a payment that belongs nowhere, as if it counted": Edit(
        "UPDATE payments SET projected_meter_id = 5, projected_amount = 5 WHERE payment_id = 91",
        {5: {"marks-edited": {91}}},
    ),
    "an invoice of a meter without a customer": Edit(
        "UPDATE invoices SET projected_amount = 0 WHERE invoice_id = 11", {11: {"marks-edited": {11}}}
    ),
    "two invoices, so that their sum is the same": Edit(
        "UPDATE invoices SET projected_amount = 213 - projected_amount WHERE invoice_id IN (1, 12)",
        {1: {"history-changed": {1, 12}}}, certain=False,
    ),
}  # fmt: skip
TOGETHER: Final[dict[str, Edit]] = {
    "an invoice, and the mark of another": Edit(
        "UPDATE invoices SET amount = amount + 7 WHERE invoice_id = 1;"
        "UPDATE invoices SET projected_amount = projected_amount - 3 WHERE invoice_id = 12",
        {1: {"history-changed": {1}, "marks-edited": {12}}},
        figures=frozenset({(1, "total_billed", "history-changed")}),
    ),
    "an invoice, the marks of two others, and where another of them counts": Edit(
        "UPDATE invoices SET amount = amount + 70 WHERE invoice_id = 1;"
        "UPDATE invoices SET projected_amount = projected_amount - 3 WHERE invoice_id IN (12, 23);"
        "UPDATE invoices SET meter_id = 2 WHERE invoice_id = 34",
        {1: {"history-changed": {1}, "history-moved": {34}, "marks-edited": {12, 23}}, 2: {"history-moved": {34}}},
        figures=frozenset({
            (1, "total_billed", "history-moved"), (1, "invoice_count", "history-moved"),
            (1, "last_invoice_date", "history-moved"), (2, "total_billed", "history-moved"),
            (2, "invoice_count", "history-moved"),
        }),
    ),
    "a mark removed, and the meter's total": Edit(
        "UPDATE invoices SET projected_meter_id = NULL, projected_amount = 0 WHERE invoice_id = 1;"
        "UPDATE meter_balances SET total_billed = total_billed + 5 WHERE meter_id = 1",
        {1: {"marks-edited": {1}}},
        figures=frozenset({(1, "total_billed", "projection-edited")}),
    ),
    "a mark, and the meter's date": Edit(
        "UPDATE invoices SET projected_amount = 1 WHERE invoice_id = 1;"
        "UPDATE meter_balances SET last_invoice_date = '2020-01-01' WHERE meter_id = 1",
        {1: {"marks-edited": {1}}},
        figures=frozenset({(1, "last_invoice_date", "date-edited")}),
    ),
    "a mark, and an invoice deleted": Edit(
        "UPDATE payments SET projected_amount = 1 WHERE payment_id = 1; DELETE FROM invoices WHERE invoice_id = 1",
        {1: {"marks-edited": {1}}},
        figures=frozenset({
            (1, "total_billed", "history-deleted"),
            (1, "invoice_count", "history-deleted"),
        }),
    ),
    "500 from one invoice to another, and the meter's total by more": Edit(
        "UPDATE invoices SET amount = amount + CASE invoice_id WHEN 1 THEN 500 ELSE -500 END"
        " WHERE invoice_id IN (1, 12);"
        "UPDATE meter_balances SET total_billed = total_billed + 1000 WHERE meter_id = 1",
        {1: {"history-changed": {1, 12}}}, certain=False,
        figures=frozenset({(1, "total_billed", "projection-edited")}),
    ),
    "a mark, beside a meter's row that is gone": Edit(
        "UPDATE invoices SET projected_amount = 1 WHERE invoice_id = 1; DELETE FROM meter_balances WHERE meter_id = 1",
        {1: {"history-changed": {1}}}, certain=False,
        figures=frozenset({
            (1, column, "row-missing") for column in (
                "customer_id", "total_billed", "total_paid", "invoice_count", "payment_count",
                "last_invoice_date", "last_payment_at",
            )
        }),
    ),
}  # fmt: skip
EDITS: Final = {**CANCELLED, **{f"marks: {name}": edit for name, edit in MARKS.items()}, **TOGETHER}
