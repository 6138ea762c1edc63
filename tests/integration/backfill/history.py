"""History and a projection that agrees with it, written by plain SQL that shares nothing with projector or backfill."""

from typing import Any, Final

from psycopg import Connection

HISTORY: Final = """
INSERT INTO customers (customer_id, name) SELECT n, 'Customer ' || n FROM generate_series(1, 6) n;
INSERT INTO meter_assignments (assignment_id, meter_id, customer_id, assigned_at, active)
SELECT 100 + n, n, (n + 1) / 2, '2026-01-01', true FROM generate_series(1, 10) n;
-- meter 3 went from customer 5 to its own; meter 11 has nobody any more
INSERT INTO meter_assignments (assignment_id, meter_id, customer_id, assigned_at, unassigned_at, active) VALUES
    (201, 3, 5, '2025-01-01', '2026-01-01', false), (202, 11, 6, '2025-01-01', '2025-06-01', false);
INSERT INTO invoices (invoice_id, meter_id, amount, currency, invoice_date, voided, source_partition, source_offset)
SELECT n, (n - 1) % 11 + 1, 100 + n, 'KES', date '2026-01-01' + n, n % 10 = 0, 0, n FROM generate_series(1, 44) n;
INSERT INTO payments (payment_id, meter_id, invoice_id, amount, currency, paid_at, reversed, source_partition,
                      source_offset)
SELECT n, CASE WHEN n % 4 > 0 THEN (n - 1) % 11 + 1 END, n, 60 + 11 * n, 'KES',
       timestamptz '2026-01-01' + n * interval '1 hour', n % 9 = 0, 0, n FROM generate_series(1, 33) n;
-- one that belongs to no meter, and one that was allocated by hand
INSERT INTO payments (payment_id, amount, currency, paid_at, allocated_meter_id, source_offset) VALUES
    (91, 5, 'KES', '2026-02-01', NULL, 91), (92, 7, 'KES', '2026-02-02', 2, 92);
"""

PROJECTION: Final = """
UPDATE invoices SET projected_meter_id = meter_id, projected_amount = amount WHERE NOT voided AND meter_id IS NOT NULL;
UPDATE payments p SET projected_meter_id = e.meter_id, projected_amount = p.amount
FROM (SELECT q.payment_id, coalesce(q.meter_id, i.meter_id, q.allocated_meter_id) AS meter_id
      FROM payments q LEFT JOIN invoices i ON i.invoice_id = q.invoice_id) e
WHERE e.payment_id = p.payment_id AND NOT p.reversed AND e.meter_id IS NOT NULL;
INSERT INTO meter_balances (meter_id, customer_id, total_billed, total_paid, invoice_count, payment_count,
                            last_invoice_date, last_payment_at)
SELECT m.meter_id,
       (SELECT customer_id FROM meter_assignments a WHERE a.meter_id = m.meter_id AND a.active),
       coalesce(sum(amount) FILTER (WHERE kind = 'i'), 0), coalesce(sum(amount) FILTER (WHERE kind = 'p'), 0),
       count(*) FILTER (WHERE kind = 'i'), count(*) FILTER (WHERE kind = 'p'),
       max(at) FILTER (WHERE kind = 'i'), max(at) FILTER (WHERE kind = 'p')
FROM (SELECT projected_meter_id AS meter_id, projected_amount AS amount, 'i' AS kind, invoice_date::timestamptz AS at
      FROM invoices WHERE projected_meter_id IS NOT NULL
      UNION ALL
      SELECT projected_meter_id, projected_amount, 'p', paid_at FROM payments WHERE projected_meter_id IS NOT NULL) m
GROUP BY m.meter_id;
INSERT INTO customer_balances (customer_id, balance, overpayment, total_billed, total_paid, active_meters)
SELECT customer_id, sum(balance), sum(overpayment), sum(total_billed), sum(total_paid), count(*)
FROM meter_balances WHERE customer_id IS NOT NULL GROUP BY customer_id;
"""

UNDO: Final = """
CREATE FUNCTION undo() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.total_billed = -1; RETURN new; END $$;
CREATE TRIGGER undo BEFORE UPDATE ON meter_balances FOR EACH ROW EXECUTE FUNCTION undo();
"""
"""A trigger that undoes what a repair does, as a forgotten job of somebody's might."""


def write(connection: Connection[Any]) -> None:
    """Fill an empty schema: 6 customers, 11 meters (the last without a customer), 44 invoices, 35 payments."""
    connection.execute(HISTORY)
    connection.execute(PROJECTION)
