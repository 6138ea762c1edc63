-- What a deployment is, kept in one row so that a program with other settings is refused before it does anything.

-- name: read_identity
-- What is written down.
SELECT currency, timezone, topic_prefix, kafka_cluster FROM deployment;

-- name: write_identity
-- At the first `init`, and at the first after an upgrade.
INSERT INTO deployment (currency, timezone, topic_prefix)
VALUES (%(currency)s, %(timezone)s, %(topic_prefix)s);

-- name: write_cluster
-- Once, by the first `init` that Kafka answered; two at once agree or the second is told.
UPDATE deployment SET kafka_cluster = %(kafka_cluster)s, changed_at = now() WHERE kafka_cluster IS NULL;

-- name: change_identity
-- A person's decision.
UPDATE deployment
SET currency = %(currency)s, timezone = %(timezone)s, topic_prefix = %(topic_prefix)s,
    kafka_cluster = %(kafka_cluster)s, changed_at = now();

-- name: hold_identity
-- Nobody reads it until this transaction ends: a program that starts meanwhile waits, and one that has read it is seen by
-- `programs_at_work`, since it is connected.
LOCK TABLE deployment IN ACCESS EXCLUSIVE MODE;

-- name: programs_at_work
-- Sessions of our programs in this database but our own kind; names and users of all are everybody's to see.
SELECT application_name, usename, pid
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
  AND (application_name = 'backfill' OR application_name LIKE 'projector %%') AND application_name <> %(own)s
ORDER BY pid
LIMIT 1;

-- name: amount_in_another_currency
-- History that this currency contradicts: all of it is looked through where there is none. No currency marks a lock.
(SELECT 'invoice', invoice_id, currency FROM invoices WHERE currency NOT IN (%(currency)s, '') LIMIT 1)
UNION ALL
(SELECT 'payment', payment_id, currency FROM payments WHERE currency NOT IN (%(currency)s, '') LIMIT 1)
LIMIT 1;

-- name: topics_read
-- The topics of which positions are stored, and the ids of those topics, where they are known.
SELECT DISTINCT topic, topic_id FROM positions ORDER BY topic, topic_id;
