-- Three roles without a login, for an operator to grant to users that have one, and exactly what each needs. Each is first
-- relieved of everything, in the same transaction, so that nothing stays that an earlier version or a hand had granted.
-- Nobody may create anything in the schema itself: a function there would be found before PostgreSQL's own by whoever
-- works with the schema on the search path, and run with that one's rights. Copies of the balances lie in a schema apart.

-- name: create_role
-- A role is the whole server's, and so may be there already, or come from another database at this very moment.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {named}) THEN
        CREATE ROLE {role} NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$;

-- name: roles_in_use
-- Which of these roles the schema was opened to, by name and not as everybody.
SELECT r.rolname
FROM pg_namespace n
CROSS JOIN LATERAL aclexplode(n.nspacl) a
JOIN pg_roles r ON r.oid = a.grantee
WHERE n.nspname = %(schema)s AND a.privilege_type = 'USAGE' AND r.rolname = ANY(%(roles)s);

-- name: relieve
-- Of what it holds here; with a table's privileges go those on its columns.
REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role};
REVOKE ALL ON ALL SEQUENCES IN SCHEMA {schema} FROM {role};
REVOKE ALL ON SCHEMA {schema}, {backups} FROM {role};
REVOKE ALL ON DATABASE {database} FROM {role};

-- name: grant_projector
-- The consumer: all of history, projection, positions and dead letters, and whether its schema is the right one. It
-- deletes only the rows of version 0 that it locks by (see projector.merge).
GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {role};
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON invoices, payments TO {role};
GRANT SELECT, INSERT, UPDATE ON meter_assignments, customers, meter_balances, customer_balances TO {role};
GRANT SELECT, INSERT, UPDATE ON positions, dead_letters TO {role};
GRANT SELECT ON backfill_runs, drift, alembic_version TO {role};

-- name: grant_backfill
-- The auditor: reads history, writes its own ledger and the balances; in history the columns that its steps own. Of dead
-- letters it sees which messages were refused and what became of them, and nothing of what they said.
GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {role};
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT USAGE, CREATE ON SCHEMA {backups} TO {role};
GRANT SELECT ON invoices, payments, meter_assignments, customers, positions, alembic_version TO {role};
GRANT UPDATE (amount, balance_brought_forward, projected_amount, projected_meter_id) ON invoices TO {role};
GRANT UPDATE (allocated_meter_id, projected_amount, projected_meter_id) ON payments TO {role};
GRANT SELECT, INSERT, UPDATE ON meter_balances, customer_balances, backfill_runs, drift, alerts TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON backfill_chunks, log_blocks, log_suspects TO {role};
GRANT SELECT (topic, partition, source_offset, timestamp_ms, state) ON dead_letters TO {role};

-- name: grant_reader
-- Reports and monitoring: the contract's tables, `projector status` and `backfill runs show`; of dead letters how many,
-- where and why, but nothing that a producer wrote into them.
GRANT CONNECT ON DATABASE {database} TO {role};
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT ON invoices, payments, meter_assignments, customers, meter_balances, customer_balances TO {role};
GRANT SELECT ON positions, backfill_runs, backfill_chunks, drift, alembic_version TO {role};
GRANT SELECT (dead_letter_id, topic, partition, source_offset, timestamp_ms, reason, refused_at, state, closed_at,
              closed_by, attempts, tried_at, tried_by) ON dead_letters TO {role};
