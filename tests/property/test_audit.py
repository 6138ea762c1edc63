"""The auditor finds what is wrong, all of it and nothing else, and mends it, beside consumers as well."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from backfill.runs.session import session
from events.runtime.settings import Settings
from tests.property.auditor import Auditor
from tests.property.hypothesis_profiles import effort, patient
from tests.support.examples import CloudEvent
from tests.support.merge_harness import MergeHarness, disagreement, empty
from tests.support.oracle import differences, drifted, recomputed
from tests.support.strategies import clocks, deliveries, histories

pytestmark = patient

HISTORY: Final = (
    "UPDATE invoices SET invoice_date = '2027-01-01' WHERE invoice_id = {key}",
    "UPDATE payments SET paid_at = '2027-01-01' WHERE payment_id = {key}",
    "DELETE FROM invoices WHERE invoice_id = {key}",
    "DELETE FROM payments WHERE payment_id = {key}",
    "UPDATE meter_assignments SET active = NOT active WHERE assignment_id = {key}",
    "UPDATE meter_assignments SET customer_id = {other} WHERE assignment_id = {key}",
    "UPDATE meter_assignments SET meter_id = {other} WHERE assignment_id = {key}",
    "UPDATE meter_assignments SET assigned_at = '2027-01-01' WHERE assignment_id = {key}",
    "UPDATE meter_assignments SET assigned_at = '2025-01-01', unassigned_at = NULL WHERE assignment_id = {key}",
    "UPDATE meter_assignments SET unassigned_at = '2099-01-01' WHERE assignment_id = {key}",
    "UPDATE meter_assignments SET ended = NOT ended WHERE assignment_id = {key}",
    "UPDATE meter_assignments SET ended = NULL WHERE assignment_id = {key}",
    "UPDATE meter_assignments SET active = NOT active",
    "UPDATE assignment_clock SET through = '2026-01-15'",
    "DELETE FROM meter_assignments WHERE assignment_id = {key}",
)
ROWS: Final = (
    "UPDATE invoices SET amount = amount + 7 WHERE invoice_id = {key}",
    "UPDATE invoices SET amount = amount - 7 WHERE invoice_id = {key}",
    "UPDATE invoices SET meter_id = {other} WHERE invoice_id = {key}",
    "UPDATE invoices SET meter_id = NULL WHERE invoice_id = {key}",
    "UPDATE invoices SET voided = NOT voided WHERE invoice_id = {key}",
    (
        "INSERT INTO invoices (invoice_id, meter_id, amount, currency, invoice_date)"
        " VALUES (10 + {key}, {other}, 3, 'KES', '2025-01-01') ON CONFLICT DO NOTHING"
    ),
    "UPDATE payments SET amount = amount + 7 WHERE payment_id = {key}",
    "UPDATE payments SET reversed = NOT reversed WHERE payment_id = {key}",
    "UPDATE payments SET meter_id = {other} WHERE payment_id = {key}",
    "UPDATE payments SET amount = amount - 7 WHERE payment_id = {key}",
    "UPDATE payments SET meter_id = NULL, invoice_id = {other} WHERE payment_id = {key}",
    "UPDATE payments SET meter_id = NULL, invoice_id = NULL, allocated_meter_id = {other} WHERE payment_id = {key}",
    "UPDATE payments SET allocated_meter_id = {other} WHERE payment_id = {key}",
)
"""Of history, what decides where a row counts, and how much."""
MARKS: Final = (
    "UPDATE {table} SET projected_amount = projected_amount + 7 WHERE {id} = {key} AND projected_meter_id IS NOT NULL",
    "UPDATE {table} SET projected_amount = projected_amount - 7 WHERE {id} = {key} AND projected_meter_id IS NOT NULL",
    "UPDATE {table} SET projected_amount = 0 WHERE {id} = {key}",
    "UPDATE {table} SET projected_meter_id = {other} WHERE {id} = {key}",
    "UPDATE {table} SET projected_meter_id = 10 + {other} WHERE {id} = {key}",
    "UPDATE {table} SET projected_meter_id = {other}, projected_amount = 100 WHERE {id} = {key}",
    "UPDATE {table} SET projected_meter_id = {other}, projected_amount = 0 WHERE {id} = {key}",
    "UPDATE {table} SET projected_meter_id = NULL, projected_amount = 0 WHERE {id} = {key}",
)
PROJECTION: Final = (
    "UPDATE meter_balances SET total_billed = total_billed + 5 WHERE meter_id = {key}",
    "UPDATE meter_balances SET total_paid = total_paid - 5 WHERE meter_id = {key}",
    "UPDATE meter_balances SET invoice_count = invoice_count + 1 WHERE meter_id = {key}",
    "UPDATE meter_balances SET last_invoice_date = '2020-01-01' WHERE meter_id = {key}",
    "UPDATE meter_balances SET last_payment_at = NULL WHERE meter_id = {key}",
    "UPDATE meter_balances SET customer_id = {other} WHERE meter_id = {key}",
    "UPDATE meter_balances SET customer_id = NULL WHERE meter_id = {key}",
    "DELETE FROM meter_balances WHERE meter_id = {key}",
    (
        "INSERT INTO meter_balances (meter_id, total_paid, customer_id) VALUES (10 + {key}, 1, {other})"
        " ON CONFLICT DO NOTHING"
    ),
    "UPDATE customer_balances SET balance = balance + 5 WHERE customer_id = {key}",
    "UPDATE customer_balances SET total_paid = 0, overpayment = 0 WHERE customer_id = {key}",
    "UPDATE customer_balances SET active_meters = active_meters - 1 WHERE customer_id = {key}",
    "DELETE FROM customer_balances WHERE customer_id = {key}",
    "INSERT INTO customer_balances (customer_id, balance) VALUES (10 + {key}, 1) ON CONFLICT DO NOTHING",
)
KEYS: Final = st.integers(1, 4)
TABLES: Final = st.sampled_from([{"table": "invoices", "id": "invoice_id"}, {"table": "payments", "id": "payment_id"}])


@st.composite
def edits_of(draw: st.DrawFn, templates: tuple[str, ...]) -> list[str]:
    """Draw a few edits by hand."""
    drawn = draw(st.lists(st.sampled_from(templates), min_size=1, max_size=5))
    return [template.format(key=draw(KEYS), other=draw(KEYS), **draw(TABLES)) for template in drawn]


@pytest.fixture
def auditor(engine: Engine, settings: Settings) -> Iterator[Auditor]:
    with session(engine) as connection:
        yield Auditor(engine, settings, connection)


@effort(25)
@given(data=st.data(), history=histories())
def test_what_the_projector_did_is_never_drift(
    engine: Engine, harness: MergeHarness, auditor: Auditor, data: st.DataObject, history: list[CloudEvent]
) -> None:
    """At the clock where it stands, and wherever it is moved."""
    empty(engine, data.draw(clocks()))
    harness.begin()
    for batch in data.draw(deliveries(history)):
        harness.apply(batch)
    assert auditor.check().findings == 0
    harness.advance()
    assert auditor.check().findings == 0


@effort(50)
@given(data=st.data(), history=histories(), edits=edits_of(HISTORY + ROWS + MARKS + PROJECTION))
def test_each_edit_is_found_with_every_column_it_put_wrong_and_nothing_else_and_is_mended(  # noqa: PLR0913, PLR0917
    engine: Engine, harness: MergeHarness, auditor: Auditor, data: st.DataObject, history: list[CloudEvent],
    edits: list[str],
) -> None:  # fmt: skip
    empty(engine, data.draw(clocks()))
    harness.begin()
    harness.apply(history)
    _edit(engine, edits)

    recorded = auditor.recorded()
    wrong = drifted(recomputed(recorded), recorded)
    assert (auditor.check().drifted > 0) == bool(wrong)
    assert auditor.found() == wrong
    assert auditor.rebuild().unrepaired == 0
    _is_right(auditor)


@effort(50)
@given(history=histories(), edits=st.one_of(edits_of(ROWS), edits_of(MARKS)))
def test_what_was_edited_is_named_unless_the_figures_fit_either(
    engine: Engine, harness: MergeHarness, auditor: Auditor, history: list[CloudEvent], edits: list[str]
) -> None:
    empty(engine)
    harness.begin()
    harness.apply(history)
    _edit(engine, edits)

    auditor.check()
    of_marks = "projected" in edits[0]
    for cause, evidence in auditor.marks():
        causes = {cause, *(part["cause"] for part in evidence["history"])}
        if of_marks:
            assert causes == {"marks-edited"} or "uncertain" in evidence
        else:
            assert "marks-edited" not in causes


@effort(25)
@given(data=st.data(), history=histories(40), edits=edits_of(PROJECTION + MARKS))
def test_a_rebuild_beside_a_consumer_loses_nothing_of_either(  # noqa: PLR0913, PLR0917 - fixtures and draws
    engine: Engine,
    harness: MergeHarness,
    auditor: Auditor,
    data: st.DataObject,
    history: list[CloudEvent],
    edits: list[str],
) -> None:
    """What it could not see any more, since it had passed, the next one finds; history is the stream's at the end."""
    empty(engine, data.draw(clocks()))
    harness.begin()
    half = len(history) // 2
    harness.apply(history[:half])
    _edit(engine, edits)
    batches = data.draw(deliveries(history[half:]))
    with ThreadPoolExecutor(1) as pool:
        applied: list[Future[Any]] = []
        for batch in batches:
            applied += [pool.submit(harness.apply, batch), pool.submit(harness.advance)]
        assert auditor.rebuild().failed == 0
        for future in applied:
            future.result()
    assert auditor.rebuild().unrepaired == 0
    assert auditor.check().findings == 0
    assert not disagreement(engine, history)


def _edit(engine: Engine, edits: list[str]) -> None:
    with engine.begin() as connection:
        for edit in edits:
            connection.execute(text(edit))


def _is_right(auditor: Auditor) -> None:
    recorded = auditor.recorded()
    assert not differences(recomputed(recorded), recorded)
