"""What goes through COPY comes out of PostgreSQL as it was sent."""

from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from tests.support.examples import customer, invoice, payment
from tests.support.merge_harness import MergeHarness, empty

AWKWARD = ["\\N", "\\.", "\\", "a\tb", "a\nb\r", "\\t", "'; --", "\u2028", "\U0001f600", "None", " ", '"', "{}"]
TEXTS = st.sampled_from(AWKWARD) | st.text(
    st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=40
)


@effort(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS, TEXTS, TEXTS)
def test_text_arrives_as_it_was_sent(
    harness: MergeHarness, engine: Engine, one: str, other: str, event_id: str
) -> None:
    empty(engine)
    harness.begin()
    lines = [{"type": one, "amount": "-0.10"}, {"type": other, "amount": "7"}]
    harness.apply(
        [
            customer(1, one, event_id=event_id),
            payment(1, "5.00", method=one, reference=other, event_id=event_id),
            invoice(1, 7, "1.00", invoice_number=other, lines=lines, event_id=event_id),
        ]
    )
    with engine.connect() as connection:
        assert connection.execute(text("SELECT name, event_id FROM customers")).one() == (one, event_id)
        assert connection.execute(text("SELECT method, reference FROM payments")).one() == (one, other)
        assert connection.execute(text("SELECT invoice_number, lines FROM invoices")).one() == (other, lines)


def test_what_is_absent_is_null_and_the_edges_fit(harness: MergeHarness, engine: Engine) -> None:
    harness.apply(
        [
            invoice(2**63 - 1, None, "-9999999999999999.99", invoice_date="0001-01-01"),
            payment(2**63 - 1, "0.01", paid_at="9999-12-31T23:59:59.999999Z", reference=""),
        ]
    )
    query = "SELECT invoice_id, amount::text, invoice_date::text, num_nulls(meter_id, customer_id, due_date, lines) "
    with engine.connect() as connection:
        stored = connection.execute(text(f"{query} FROM invoices")).one()
        assert stored == (2**63 - 1, "-9999999999999999.99", "0001-01-01", 4)
        query = "SELECT paid_at = timestamptz '9999-12-31 23:59:59.999999+00', reference, method FROM payments"
        assert connection.execute(text(query)).one() == (True, "", None)
