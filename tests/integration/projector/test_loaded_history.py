"""History that was loaded from elsewhere is not taken for the merge's own marks."""

import pytest
from sqlalchemy import Engine, text

from events.runtime.settings import Settings
from tests.support.examples import invoice, payment
from tests.support.merge_harness import MergeHarness


def test_an_invoice_loaded_with_version_zero_outlives_the_payments_that_follow_it(
    engine: Engine, settings: Settings
) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO invoices (invoice_id, version, meter_id, amount, currency, invoice_date)"
                " VALUES (1, 0, 7, 10, 'KES', DATE '2026-01-31')"
            )
        )
        connection.execute(
            text(
                "INSERT INTO payments (payment_id, version, invoice_id, amount, currency, paid_at)"
                " VALUES (1, 0, 1, 4, 'KES', TIMESTAMPTZ '2026-02-01')"
            )
        )
    harness = MergeHarness(engine, settings)
    harness.apply([payment(2, "3.00", invoice_id=1)])
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version, amount FROM invoices")).one() == (0, 10)
        paid = connection.execute(text("SELECT meter_id, total_paid FROM meter_balances")).one()
        assert paid == (7, 3)
    harness.apply([invoice(1, 8, "11.00")])
    harness.close()
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM payments")).scalar_one() == 2
        totals = connection.execute(text("SELECT meter_id, total_billed, total_paid FROM meter_balances ORDER BY 1"))
        assert totals.all() == [(7, 0, 0), (8, 11, 7)]


@pytest.mark.parametrize("loaded_meter", [7, 8])
def test_an_invoice_written_beside_the_stream_takes_its_payments_along_once_the_stream_brings_it(
    engine: Engine, settings: Settings, loaded_meter: int
) -> None:
    """Its marks say that a hand was at it, so its payments are looked for even where its meter stays."""
    harness = MergeHarness(engine, settings)
    harness.apply([invoice(1, 7, "10.00"), payment(1, "4.00", invoice_id=1)])
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE invoices SET meter_id = {loaded_meter}, amount = 12"))
    harness.apply([invoice(1, 8, "11.00", "amended", version=2)])
    harness.close()
    with engine.connect() as connection:
        totals = connection.execute(text("SELECT meter_id, total_billed, total_paid FROM meter_balances ORDER BY 1"))
        assert totals.all() == [(7, 0, 0), (8, 11, 4)]
