-- Three group roles without a login, which an operator grants to login users, each with exactly the rights it needs. All
-- rights of a role are first revoked in the same transaction, so that none remains that an earlier version or an operator
-- had granted. Only the owner may create permanent objects, in the schema or elsewhere in the database: a function or view
-- of a role with fewer rights would run with the rights of the user who happens to use it.
-- UPDATE is granted on columns, never on a table, because the latter includes LOCK TABLE in every mode. A table's name in
-- braces stands for its columns except those of its key and those that PostgreSQL computes.

-- name: create_role
-- Roles belong to the whole server. The name contains the database's, so the role exists only if this was run before.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {named}) THEN
        CREATE ROLE {role} NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$;

-- name: who_and_where
-- The database and the current user.
SELECT current_database(), current_user;

-- name: roles_with_rights
-- Roles with USAGE on the schema, except PUBLIC, and their members.
SELECT r.rolname, ARRAY(SELECT quote_ident(u.rolname) FROM pg_auth_members m JOIN pg_roles u ON u.oid = m.member
                        WHERE m.roleid = r.oid AND u.rolname <> current_user ORDER BY 1)
FROM pg_namespace n
CROSS JOIN LATERAL aclexplode(n.nspacl) a
JOIN pg_roles r ON r.oid = a.grantee
WHERE n.nspname = %(schema)s AND a.privilege_type = 'USAGE'
ORDER BY r.rolname;

-- name: columns_to_change
-- The columns of each table that are neither part of its key nor computed.
SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
     AND a.attidentity = ''
WHERE n.nspname = %(schema)s AND c.relkind = 'r'
  AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey))
GROUP BY c.relname;

-- name: foreign_object
-- An object in the schema, or a trigger function of one of its tables, that another user owns: every user of the schema
-- would run it. Trusted owners are the current user, superusers, the database's owner, and roles of which the current user
-- is a member; not the latter for a superuser, who counts as a member of every role.
WITH trusted AS (
    SELECT r.oid
    FROM pg_roles r, pg_roles me, pg_database d
    WHERE me.rolname = current_user AND d.datname = current_database()
      AND (r.oid = me.oid OR r.rolsuper OR r.oid = d.datdba
           OR r.rolname = 'pg_database_owner' OR (NOT me.rolsuper AND pg_has_role(r.oid, 'USAGE')))
),
place AS (SELECT oid, nspname, nspowner FROM pg_namespace WHERE nspname = %(schema)s),
things AS (
    SELECT format('schema %%I', nspname) AS what, nspowner AS owner FROM place
    UNION ALL
    SELECT format('relation %%I', relname), relowner FROM pg_class, place WHERE relnamespace = place.oid
    UNION ALL
    SELECT format('function %%s', p.oid::regprocedure), proowner FROM pg_proc p, place WHERE pronamespace = place.oid
    UNION ALL
    SELECT format('operator %%s', oprname), oprowner FROM pg_operator, place WHERE oprnamespace = place.oid
    UNION ALL
    SELECT format('type %%I', typname), typowner FROM pg_type, place WHERE typnamespace = place.oid
    UNION ALL
    SELECT format('collation %%I', collname), collowner FROM pg_collation, place WHERE collnamespace = place.oid
    UNION ALL
    SELECT format('trigger %%I on %%I', t.tgname, c.relname), p.proowner
    FROM place JOIN pg_class c ON c.relnamespace = place.oid JOIN pg_trigger t ON t.tgrelid = c.oid
    JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE NOT t.tgisinternal
)
SELECT things.what, pg_get_userbyid(things.owner)
FROM things
WHERE things.owner NOT IN (SELECT oid FROM trusted)
ORDER BY things.what LIKE 'schema %%' DESC, things.what
LIMIT 1;

-- name: public_privileges
-- Privileges of PUBLIC that allow permanent objects or fill the disk, by PostgreSQL's default or an operator's grant:
-- temporary tables, schemas, objects in a schema, large objects, logical messages in the WAL. Each with the statement that
-- revokes it, and whether the current user may run that.
SELECT statement, pg_has_role(owner, 'USAGE')
FROM (
    SELECT format('REVOKE %s ON DATABASE %I FROM PUBLIC', a.privilege_type, d.datname) AS statement, d.datdba AS owner
    FROM pg_database d CROSS JOIN LATERAL aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
    WHERE d.datname = current_database() AND a.grantee = 0 AND a.privilege_type IN ('TEMPORARY', 'CREATE')
    UNION ALL
    SELECT format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', n.nspname), n.nspowner
    FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) a
    WHERE a.grantee = 0 AND a.privilege_type = 'CREATE'
    UNION ALL
    SELECT format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', p.oid::regprocedure), p.proowner
    FROM pg_proc p CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
    WHERE a.grantee = 0 AND p.pronamespace = 'pg_catalog'::regnamespace
      AND p.proname IN ('lo_creat', 'lo_create', 'lo_from_bytea', 'lo_import', 'lo_put', 'lowrite', 'lo_truncate',
                        'lo_truncate64', 'pg_logical_emit_message')
) given
ORDER BY statement;

-- name: functions
-- Those that tell how far a figure can be trusted: each executes the ones behind it with its caller's rights.
meter_trust, customer_trust, open_findings, compared_by_name, last_verified_run

-- name: revoke_public
-- PUBLIC has no rights on our own tables and functions, whatever the owner's default privileges are.
-- fill: functions
REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA {schema} FROM PUBLIC;
REVOKE ALL ON FUNCTION {functions} FROM PUBLIC;
REVOKE ALL ON SCHEMA {schema} FROM PUBLIC;

-- name: has_old_copies
-- Whether the schema exists in which earlier versions kept copies of the balances.
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = %(backups)s);

-- name: close_old_copies
-- Our roles may no longer create objects there.
REVOKE ALL ON SCHEMA {backups} FROM {role};

-- name: drop_old_copies
-- Only if it is empty.
DROP SCHEMA {backups} RESTRICT;

-- name: revoke_all
-- In this schema and database; revoking a table's privileges includes those on its columns.
-- fill: functions
REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role};
REVOKE ALL ON ALL SEQUENCES IN SCHEMA {schema} FROM {role};
REVOKE ALL ON FUNCTION {functions} FROM {role};
REVOKE ALL ON SCHEMA {schema} FROM {role};
REVOKE ALL ON DATABASE {database} FROM {role};

-- name: grant_projector
-- The consumer: history, projection, positions, dead letters and why it stopped, and what identifies the schema. Of
-- history it deletes only rows of version 0 that it inserted as locks (see projector.consume.merge).
-- fill: functions
GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {role};
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT, INSERT, UPDATE ({invoices}), DELETE ON invoices TO {role};
GRANT SELECT, INSERT, UPDATE ({payments}), DELETE ON payments TO {role};
GRANT SELECT, INSERT, UPDATE ({meter_assignments}) ON meter_assignments TO {role};
GRANT SELECT, INSERT, UPDATE ({customers}) ON customers TO {role};
GRANT SELECT, UPDATE ({assignment_clock}) ON assignment_clock TO {role};
GRANT SELECT, INSERT, UPDATE ({meter_balances}) ON meter_balances TO {role};
GRANT SELECT, INSERT, UPDATE ({customer_balances}) ON customer_balances TO {role};
GRANT SELECT, INSERT, UPDATE ({positions}) ON positions TO {role};
GRANT SELECT, INSERT, UPDATE ({dead_letters}) ON dead_letters TO {role};
GRANT SELECT, INSERT, UPDATE ({consumer_stops}), DELETE ON consumer_stops TO {role};
GRANT SELECT ON backfill_runs, drift, deployment, alembic_version TO {role};
GRANT EXECUTE ON FUNCTION {functions} TO {role};

-- name: grant_backfill
-- The auditor: reads history; writes its own run tables, copies of the balances, the balances, and in history the columns
-- that its steps own. It may lock the clock, which requires a right to update some column, and not move it. Of dead
-- letters it may read which messages were refused, when, why and their state, but not their content.
-- fill: functions
GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {role};
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT ON invoices, payments, meter_assignments, customers, positions, deployment, alembic_version TO {role};
GRANT SELECT ON consumer_stops TO {role};
GRANT UPDATE (amount, balance_brought_forward, projected_amount, projected_meter_id) ON invoices TO {role};
GRANT UPDATE (allocated_meter_id, projected_amount, projected_meter_id) ON payments TO {role};
GRANT UPDATE (active) ON meter_assignments TO {role};
GRANT SELECT, UPDATE (only_one) ON assignment_clock TO {role};
GRANT SELECT, INSERT, UPDATE ({meter_balances}) ON meter_balances TO {role};
GRANT SELECT, INSERT, UPDATE ({customer_balances}) ON customer_balances TO {role};
GRANT SELECT, INSERT ON backups, backup_meter_balances, backup_customer_balances, backfill_touched TO {role};
GRANT SELECT, INSERT, UPDATE ({backfill_runs}) ON backfill_runs TO {role};
GRANT SELECT, INSERT, UPDATE ({drift}) ON drift TO {role};
GRANT SELECT, INSERT, UPDATE ({alerts}) ON alerts TO {role};
GRANT SELECT, INSERT, UPDATE ({backfill_chunks}), DELETE ON backfill_chunks TO {role};
GRANT SELECT, INSERT, UPDATE ({log_blocks}), DELETE ON log_blocks TO {role};
GRANT SELECT, INSERT, UPDATE ({log_suspects}), DELETE ON log_suspects TO {role};
GRANT SELECT (topic, partition, source_offset, timestamp_ms, topic_id, digest, reason, refused_at, state) ON dead_letters
    TO {role};
GRANT EXECUTE ON FUNCTION {functions} TO {role};

-- name: grant_reader
-- Reports and monitoring: the contract's tables, `projector status` and `backfill runs show`; of dead letters the count,
-- place and reason, but nothing that a producer wrote.
-- fill: functions
GRANT CONNECT ON DATABASE {database} TO {role};
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT ON invoices, payments, meter_assignments, customers, meter_balances, customer_balances TO {role};
GRANT SELECT ON assignment_clock TO {role};
GRANT SELECT ON positions, consumer_stops, backfill_runs, backfill_chunks, drift, deployment, alembic_version TO {role};
GRANT SELECT (dead_letter_id, topic, partition, source_offset, timestamp_ms, topic_id, reason, refused_at, state,
              closed_at, closed_by, attempts, tried_at, tried_by) ON dead_letters TO {role};
GRANT EXECUTE ON FUNCTION {functions} TO {role};
