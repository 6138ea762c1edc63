-- The deployment's row: a program whose settings differ from it is refused before it does anything.

-- name: read_identity
-- The row.
SELECT currency, timezone, topic_prefix, kafka_cluster FROM deployment;

-- name: write_identity
-- At the first `init`, and at the first after an upgrade.
INSERT INTO deployment (currency, timezone, topic_prefix)
VALUES (%(currency)s, %(timezone)s, %(topic_prefix)s);

-- name: write_cluster
-- Once, at the first `init` that reached Kafka. Of two concurrent ones, the second changes no row and compares instead.
UPDATE deployment SET kafka_cluster = %(kafka_cluster)s, changed_at = now() WHERE kafka_cluster IS NULL;

-- name: amount_in_another_currency
-- A row of history in another currency; where there is none, all of history is read. Rows inserted only as locks have an
-- empty currency.
(SELECT 'invoice', invoice_id, currency FROM invoices WHERE currency NOT IN (%(currency)s, '') LIMIT 1)
UNION ALL
(SELECT 'payment', payment_id, currency FROM payments WHERE currency NOT IN (%(currency)s, '') LIMIT 1)
LIMIT 1;

-- name: topics_read
-- The topics that have stored positions, with their ids where those are known.
SELECT DISTINCT topic, topic_id FROM positions ORDER BY topic, topic_id;
