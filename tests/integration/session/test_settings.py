"""Every setting of the running server is decided on, and every connection has the pinned ones."""

from typing import Any, Final

import psycopg
import pytest
from psycopg import Connection, IsolationLevel, sql
from pydantic import SecretStr
from sqlalchemy import Connection as Reader
from sqlalchemy import Engine, text

from backfill.runs.session import plain, session, snapshot
from events.runtime.errors import ServiceUnavailableError
from events.runtime.settings import Settings
from projector.consume import merge
from projector.database import connections
from projector.database.engines import make_engine
from projector.database.session_settings import PINNED, REQUIRED, UNPINNED, pinned
from tests.support import hostile_sessions
from tests.support.hostile_sessions import Hostile
from tests.support.services import Services

CONTEXTS: Final = "context IN ('user', 'superuser', 'backend', 'superuser-backend')"
VALUES: Final = "SELECT name, current_setting(name) FROM pg_settings"


def test_every_setting_of_this_server_is_decided_on_once(services: Services) -> None:
    with psycopg.connect(services.database_url) as connection:
        theirs = {name for (name,) in connection.execute(f"SELECT name FROM pg_settings WHERE {CONTEXTS}".encode())}
    ours = [*PINNED, *REQUIRED, *UNPINNED]
    assert len(ours) == len(set(ours))
    assert {name for name in theirs if "." not in name} <= set(ours), "a setting that nobody has thought about"
    assert {*PINNED, *REQUIRED} <= theirs


def test_pins_are_written_as_the_server_shows_them(engine: Engine, settings: Settings) -> None:
    with engine.connect() as connection:
        shown = _values(connection)
    assert {name: shown[name] for name in PINNED} == {
        name: pin.value for name, pin in pinned(settings.schema_name).items()
    }


def test_a_role_and_an_environment_that_are_hostile_change_nothing(hostile_engine: Engine, settings: Settings) -> None:
    with hostile_engine.connect() as connection:
        found = _values(connection)
        assert connection.execute(text("SHOW transaction_isolation")).scalar() == "read committed"
        assert connection.execute(text("SHOW transaction_read_only")).scalar() == "off"
    wanted = {name: pin.value for name, pin in {**pinned(settings.schema_name), **REQUIRED}.items()}
    assert {name: found[name] for name in wanted} == wanted
    assert found["cpu_tuple_cost"] == "0", "the role is not hostile"


def test_each_pin_would_be_missing_without_us(services: Services, writer: Hostile) -> None:
    """The hostile role's defaults are all of them, and all other than the pins."""
    with psycopg.connect(services.database_url) as connection:
        chosen = hostile_sessions.defaults(connection)
    same = {name for name, pin in PINNED.items() if chosen.get(name) == pin.value}
    assert writer.name
    assert not same
    assert PINNED.keys() - chosen.keys() == {"default_table_access_method"}


def test_pins_outlive_a_rollback_a_reset_and_the_pool(hostile_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's own words for dates come back with a reset, which no program of ours asks for."""
    monkeypatch.delenv("PGDATESTYLE")
    for end in ("ROLLBACK", "RESET ALL", "DISCARD ALL"):
        pooled = hostile_engine.raw_connection()
        driver: Any = pooled.driver_connection
        driver.autocommit = True
        with pytest.raises(psycopg.errors.DivisionByZero), driver.transaction():
            driver.execute("SELECT 1/0")
        driver.execute(end)
        for name in ("default_transaction_isolation", "DateStyle", "search_path", "statement_timeout", "array_nulls"):
            shown = driver.execute(sql.SQL("SHOW {}").format(sql.Identifier(name))).fetchone()
            assert shown == (pinned("billing")[name].value,), (end, name)
        assert driver.isolation_level == IsolationLevel.READ_COMMITTED
        driver.autocommit = False
        pooled.close()


def test_a_pooler_that_drops_start_up_options_does_not_drop_the_pins(services: Services) -> None:
    """Nothing comes with the connection here, as behind PgBouncer; and what is said after it is hostile."""
    with psycopg.connect(services.database_url, autocommit=True) as connection:
        connection.execute("SET default_transaction_isolation = serializable; SET array_nulls = off; SET jit = on")
        connection.execute("SET search_path = hostile, pg_catalog; SET synchronous_commit = off")
        connections.prepare(connection, "billing")
        found: dict[str, str] = dict(connection.execute(VALUES.encode()).fetchall())
    assert {name: found[name] for name in PINNED} == {name: pin.value for name, pin in pinned("billing").items()}


def test_a_choice_of_replication_is_left_as_it_is(services: Services) -> None:
    with psycopg.connect(services.database_url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = remote_apply")
        connections.prepare(connection, "billing")
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("remote_apply",)


def test_a_setting_that_the_address_asks_for_is_had(settings: Settings) -> None:
    url = f"{settings.database_url.get_secret_value()}?options=-c%20work_mem%3D5MB%20-c%20x.y%3D1"
    chosen = {"database_url": SecretStr(url)}
    engine = make_engine(settings.model_copy(update=chosen), program="tests")
    with engine.connect() as connection:
        assert connection.execute(text("SHOW work_mem")).scalar() == "5MB"
        assert connection.execute(text('SHOW "x.y"')).scalar() == "1"
    engine.dispose()


@pytest.mark.parametrize("name", REQUIRED)
def test_what_only_a_superuser_may_set_is_looked_at_and_refused(
    services: Services, settings: Settings, name: str
) -> None:
    with psycopg.connect(services.database_url, autocommit=True) as connection:
        connection.execute(f"SET {name} = {'replica' if name == 'session_replication_role' else 'on'}".encode())
        with pytest.raises(
            ServiceUnavailableError, match=f"the setting {name} is '(on|replica)' for this session"
        ) as raised:
            connections.prepare(connection, settings.schema_name)
    assert "\n" not in str(raised.value)


def test_a_value_that_does_not_take_is_refused(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where statements go to another session than the one that was pinned: a pooler of single statements."""
    with psycopg.connect(services.database_url, autocommit=True) as connection:
        connection.execute("SET array_nulls = off")
        monkeypatch.setattr(connections, "_set", lambda *_: None)
        with pytest.raises(ServiceUnavailableError, match=r"the setting \w+ is '.*' for this session, and has to be"):
            connections.prepare(connection, "billing")


def test_what_makes_a_program_fast_is_set_in_one_way_and_looked_at(hostile_engine: Engine) -> None:
    with session(hostile_engine) as auditor:
        assert auditor.execute("SHOW work_mem").fetchone() == ("32MB",)
        assert auditor.execute("SHOW max_parallel_workers_per_gather").fetchone() == ("0",)
        with snapshot(auditor):
            assert auditor.execute("SHOW transaction_isolation").fetchone() == ("repeatable read",)
        with auditor.transaction():
            assert auditor.execute("SHOW transaction_isolation").fetchone() == ("read committed",)
        assert auditor.isolation_level == IsolationLevel.READ_COMMITTED
        with pytest.raises(ServiceUnavailableError, match="refuses a setting: unrecognized configuration parameter"):
            connections.tune(auditor, {"no_such_setting": "1"})
    pooled = hostile_engine.raw_connection()
    consumer: Any = pooled.driver_connection
    merge.prepare(consumer)
    assert {name: _shown(consumer, name) for name in merge.SIZES} == merge.SIZES
    pooled.invalidate()


def test_a_view_in_the_place_of_a_table_is_not_read(engine: Engine, settings: Settings) -> None:
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE customers RENAME TO hidden; CREATE VIEW customers AS TABLE hidden"))
    with plain(engine) as driver, pytest.raises(psycopg.Error, match="access to non-system view"):
        driver.execute(f"SELECT name FROM {settings.schema_name}.customers".encode())


def test_rows_that_a_policy_hides_are_an_error(engine: Engine, hostile_engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE invoices ENABLE ROW LEVEL SECURITY"))
    with plain(hostile_engine) as driver, pytest.raises(psycopg.errors.InsufficientPrivilege, match="policy"):
        driver.execute("SELECT count(*) FROM invoices")


def _values(connection: Reader) -> dict[str, str]:
    return {row.name: row.current_setting for row in connection.execute(text(VALUES))}


def _shown(connection: Connection[Any], name: str) -> str:
    (value,) = connection.execute(sql.SQL("SHOW {}").format(sql.Identifier(name))).fetchone() or ("",)
    return str(value)
