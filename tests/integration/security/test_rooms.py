"""A role stays in its room: nobody runs what it creates, nobody waits for its locks, no other database is open."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from backfill.migration.backup import back_up, restore
from backfill.runs import store as runs
from backfill.runs.session import session
from events.runtime.errors import StateError
from events.runtime.settings import Settings
from projector.database.engines import make_engine
from projector.database.roles import ROLES, role_of
from tests.integration.security.conftest import OWNER, Deployed, upgrade
from tests.integration.security.test_forbidden import TABLES, WORK, refused

LASTING: Final = (
    "CREATE TABLE {}.mine ()",
    "CREATE VIEW {}.mine AS SELECT 1",
    "CREATE MATERIALIZED VIEW {}.mine AS SELECT 1",
    "CREATE FUNCTION {}.sum_of(text, integer) RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'",
    "CREATE OPERATOR {}.=== (FUNCTION = int8eq, LEFTARG = bigint)",
    "CREATE TYPE {}.mine AS ENUM ('a')",
    "CREATE DOMAIN {}.mine AS bigint",
    "CREATE SEQUENCE {}.mine",
)
ON_OURS: Final = (
    "CREATE TRIGGER mine BEFORE UPDATE ON meter_balances EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE RULE mine AS ON SELECT TO meter_balances DO INSTEAD SELECT 1",
    "CREATE POLICY mine ON meter_balances USING (true)",
    "CREATE STATISTICS mine ON total_billed, total_paid FROM meter_balances",
    "CREATE SCHEMA mine",
    "CREATE ROLE mine",
    "CREATE EVENT TRIGGER mine ON ddl_command_end EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE CAST (bigint AS boolean) WITH FUNCTION int8eq(bigint, bigint)",
)
TRIGGER: Final = "CREATE TRIGGER mine AFTER UPDATE ON {0}.positions EXECUTE FUNCTION {0}_x.f()"
ENDLESS: Final = (
    "SELECT lo_creat(-1)",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT pg_logical_emit_message(false, 'x', 'x')",
    "COPY meter_balances TO PROGRAM 'cat'",
    "COPY meter_balances TO '/tmp/mine'",
)
STRONG: Final = ("SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE")
MAY_LOCK: Final = {"projector": {"invoices", "payments"}, "backfill": WORK, "reader": set()}
"""Where DELETE is needed: with it goes every lock. SECURITY.md says so."""


def test_nobody_but_the_owner_creates_what_lasts_or_fills_the_disk_unseen(deployed: Deployed) -> None:
    for role in ROLES:
        with deployed.connected(role) as connection:
            for schema in (deployed.settings.schema_name, "public"):
                for statement in LASTING:
                    refused(connection, statement.format(schema))
            for statement in (*ON_OURS, *ENDLESS):
                refused(connection, statement)
    with deployed.connected("reader") as connection:
        refused(connection, "CREATE TEMP TABLE mine ()")


def test_nobody_locks_a_table_that_others_need(deployed: Deployed) -> None:
    for role in ROLES:
        with deployed.connected(role) as connection:
            for table in sorted(set(TABLES) - MAY_LOCK[role]):
                for mode in STRONG:
                    refused(connection, f"LOCK TABLE {table} IN {mode} MODE")
            for table in MAY_LOCK[role]:
                with connection.transaction():
                    connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())


def test_the_owners_restore_runs_nothing_that_backfill_made(deployed: Deployed) -> None:
    """Under the name that a backup had once, where backfill could create it once, lies a view that takes everything."""
    own, user = deployed.settings, deployed.user("backfill")
    with deployed.connected(OWNER) as connection:
        connection.execute("INSERT INTO meter_balances (meter_id, total_billed) VALUES (1, 10)")
        for statement in ("CREATE SCHEMA {0}_backups", "GRANT USAGE, CREATE ON SCHEMA {0}_backups TO {1}"):
            connection.execute(statement.format(own.schema_name, user).encode())
    with _session(deployed, "backfill") as auditor:
        run_id = runs.begin(auditor, "migrate", {}).run_id
        assert (back_up(auditor, run_id).meters, runs.find(auditor, str(run_id)).command) == (1, "migrate")
        place = f"{own.schema_name}_backups"
        auditor.execute(
            f"CREATE FUNCTION {place}.take() RETURNS bigint LANGUAGE plpgsql AS"
            f" $$ BEGIN EXECUTE 'ALTER ROLE {user} SUPERUSER'; RETURN 1; END $$".encode()
        )
        for kind in ("meter", "customer"):
            columns = f"SELECT {place}.take() AS {kind}_id"
            auditor.execute(f"CREATE VIEW {place}.backup_{run_id.hex}_{kind}_balances AS {columns}".encode())
        auditor.execute("UPDATE meter_balances SET total_billed = 99")
    upgrade(own)
    with _session(deployed, OWNER) as owner:
        assert restore(own, owner, run_id, dry=False).meters == 1
        assert owner.execute("SELECT total_billed FROM meter_balances").fetchall() == [(10,)]
        assert owner.execute("SELECT rolsuper FROM pg_roles WHERE rolname = %s", [user]).fetchall() == [(False,)]


@pytest.mark.parametrize(
    ("by_hand", "planted", "named"),
    [
        ("GRANT CREATE ON SCHEMA {0} TO {1}", "CREATE FUNCTION {0}.now() RETURNS int LANGUAGE sql AS '1'", "function"),
        ("GRANT CREATE ON SCHEMA {0} TO {1}", "CREATE VIEW {0}.alembic_versions AS SELECT 1", "relation"),
        ("GRANT CREATE ON SCHEMA {0} TO {1}", "CREATE DOMAIN {0}.bigint AS text", "type"),
        (
            "CREATE SCHEMA {0}_x AUTHORIZATION {1}; GRANT TRIGGER ON {0}.positions TO {1}",
            "CREATE FUNCTION {0}_x.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'; " + TRIGGER,
            "trigger",
        ),
    ],
)  # fmt: skip
def test_init_refuses_to_work_where_a_lesser_role_has_planted_something(
    deployed: Deployed, by_hand: str, planted: str, named: str
) -> None:
    names = (deployed.settings.schema_name, deployed.user("backfill"))
    with deployed.connected(OWNER) as connection:
        connection.execute(by_hand.format(*names).encode())
    with deployed.connected("backfill") as connection:
        statement = planted.format(*names).replace("AS '1'", "AS 'SELECT 1'")
        connection.execute(statement.encode())
    with pytest.raises(StateError, match=f"{named} .* belongs to {names[1]}"):
        upgrade(deployed.settings)


def test_init_refuses_a_schema_that_somebody_else_made(deployed: Deployed) -> None:
    other = deployed.settings.model_copy(update={"schema_name": f"{deployed.settings.schema_name}_y"})
    with deployed.connected(OWNER) as connection:
        owner = sql.Identifier(deployed.user("backfill"))
        connection.execute(
            sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(sql.Identifier(other.schema_name), owner)
        )
    with pytest.raises(StateError, match="belongs to"):
        upgrade(other)


def test_users_of_one_database_are_nobody_in_another(deployed: Deployed, administer: Callable[[str], None]) -> None:
    """The other has the same schema, and the roles of an earlier version, which had no database in their names."""
    schema, reader = deployed.settings.schema_name, deployed.user("reader")
    with _database(deployed, administer) as (other, database):
        upgrade(other)
        administer(f"CREATE ROLE {schema}_reader; GRANT {schema}_reader TO {reader}")
        with _connected(other) as connection:
            connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO {schema}_reader".encode())
            connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {schema}_reader".encode())
        as_reader = make_url(deployed.url("reader")).set(database=database).render_as_string(hide_password=False)
        read = f"SELECT * FROM {schema}.customers"
        with psycopg.connect(as_reader, autocommit=True) as connection:
            connection.execute(read.encode())
            granted = upgrade(other).granted
            assert granted.roles == [role_of(database, schema, "reader")]
            assert granted.relieved == {f"{schema}_reader": [reader]}
            refused(connection, read)
        assert upgrade(other, roles=True).granted.relieved == {}
        with psycopg.connect(as_reader, autocommit=True) as connection:
            refused(connection, read)
        administer(f"DROP ROLE {schema}_reader")


def test_what_an_owner_cannot_take_back_from_everybody_it_is_told(
    deployed: Deployed, administer: Callable[[str], None]
) -> None:
    """One that owns neither the database nor the server's functions."""
    owner, password = f"{deployed.settings.schema_name}_owner", secrets.token_hex(16)
    administer(f"CREATE ROLE {owner} LOGIN CREATEROLE PASSWORD '{password}'")
    with _database(deployed, administer) as (settings, database):
        administer(f'GRANT CREATE ON DATABASE "{database}" TO {owner}')
        url = make_url(settings.database_url.get_secret_value()).set(username=owner, password=password)
        address = type(settings.database_url)(url.render_as_string(hide_password=False))
        own = settings.model_copy(update={"database_url": address})
        granted = upgrade(own, roles=True).granted
        assert granted.closed == []
        assert f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC" in granted.advice
        assert "REVOKE EXECUTE ON FUNCTION lo_create(oid) FROM PUBLIC" in granted.advice
        with _connected(settings) as superuser:
            for statement in granted.advice:
                superuser.execute(statement.encode())
        assert upgrade(own).granted.advice == []
        with _connected(own) as connection:
            connection.execute("CREATE TEMP TABLE mine ()")
    administer(f"DROP OWNED BY {owner}")
    administer(f"DROP ROLE {owner}")


@pytest.fixture
def administer(deployed: Deployed) -> Callable[[str], None]:
    """Run statements as the superuser, outside any transaction."""

    def run(statement: str) -> None:
        with deployed.connected(OWNER) as connection:
            connection.execute(statement.encode())

    return run


@contextmanager
def _database(deployed: Deployed, administer: Callable[[str], None]) -> Iterator[tuple[Settings, str]]:
    """Make a second database on the server, with nothing in it; its roles go with it."""
    name = f"other_{secrets.token_hex(4)}"
    administer(f'CREATE DATABASE "{name}"')
    url = make_url(deployed.url(OWNER)).set(database=name).render_as_string(hide_password=False)
    address = type(deployed.settings.database_url)(url)
    try:
        yield deployed.settings.model_copy(update={"database_url": address}), name
    finally:
        administer(f'DROP DATABASE "{name}" WITH (FORCE)')
        for role in ROLES:
            administer(f'DROP ROLE IF EXISTS "{role_of(name, deployed.settings.schema_name, role)}"')


def _connected(settings: Settings) -> psycopg.Connection[Any]:
    return psycopg.connect(settings.database_url.get_secret_value(), autocommit=True)


@contextmanager
def _session(deployed: Deployed, role: str) -> Iterator[psycopg.Connection[Any]]:
    """Open the auditor's session as a role's user."""
    address = type(deployed.settings.database_url)(deployed.url(role))
    engine = make_engine(deployed.settings.model_copy(update={"database_url": address}), program="backfill")
    with session(engine) as connection:
        yield connection
    engine.dispose()
