"""The users that `docker-compose.yml` makes: each in one role, with exactly the password that it was given."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
import yaml
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from events.runtime.settings import Settings
from projector.database.engines import make_engine, transaction
from projector.database.roles import role_of
from projector.sandbox.wheel import binaries
from tests.integration.security.conftest import OWNER, Deployed

COMPOSE: Final[dict[str, Any]] = yaml.safe_load((Path(__file__).parents[3] / "docker-compose.yml").read_text())
VARIABLE: Final = re.compile(r"\$\{(\w+):-([^}]*)\}")
ROLE_OF: Final = {"consumer": "projector", "auditor": "backfill", "reports": "reader"}
SERVICE_OF: Final = {"consumer": "projector", "auditor": "watcher", "reports": "exporter"}
PASSWORDS: Final = (
    "it's", "o''clock", "a@b", "a/b?c#d", "50%", "%27", "two words", " both ends ", 'a"b', "back\\slash", "$HOME ${X}",
    ":'x' :x", "x'; DROP ROLE consumer; --", "-- x", "host=x password=y", "Schlüssel", "&;|>$(id)`id`",
)  # fmt: skip
MEMBERSHIPS: Final = """
SELECT r.rolsuper, r.rolcreaterole, r.rolcreatedb, array_agg(g.rolname::text)
FROM pg_roles r JOIN pg_auth_members m ON m.member = r.oid JOIN pg_roles g ON g.oid = m.roleid
WHERE r.rolname = %s GROUP BY r.oid, r.rolsuper, r.rolcreaterole, r.rolcreatedb
"""


class Users:
    """Compose's users in the roles of this test's schema, under names of its own: roles are the whole server's."""

    def __init__(self, deployed: Deployed) -> None:
        self.deployed = deployed
        self.prefix = deployed.settings.schema_name
        self.groups = {user: deployed.group(role) for user, role in ROLE_OF.items()}

    def create(self, environment: Mapping[str, str]) -> None:
        """Run the SQL as the image does, with what Compose puts into the container's environment."""
        script = COMPOSE["configs"]["users"]["content"]
        database = COMPOSE["services"]["postgres"]["environment"]["POSTGRES_DB"]
        for user, role in ROLE_OF.items():
            script = script.replace(role_of(database, _default("schema_name"), role), self.groups[user])
            script = re.sub(rf"\b{user}\b", self.name(user), script)
        container = {
            name: _interpolated(value, environment)
            for name, value in COMPOSE["services"]["postgres"]["environment"].items()
        }
        psql = (binaries() / "psql", "-v", "ON_ERROR_STOP=1", "--no-psqlrc", "--quiet", self.deployed.url(OWNER))
        done = subprocess.run(psql, input=script, env=container, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr

    def name(self, user: str) -> str:
        """Name one of them."""
        return f"{self.prefix}_{user}"

    def settings(self, user: str, monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> Settings:
        """Let a program connect as its container does: the address holds no password."""
        container = COMPOSE["services"][SERVICE_OF[user]]["environment"]
        address = conninfo_to_dict(container["PROJECTOR_DATABASE_URL"])
        assert (address["user"], address.get("password")) == (user, None)
        monkeypatch.setenv("PGPASSWORD", _interpolated(container["PGPASSWORD"], environment))
        server = conninfo_to_dict(self.deployed.url(OWNER))
        url = f"postgresql://{self.name(user)}@{server['host']}:{server['port']}/{server['dbname']}"
        return self.deployed.settings.model_copy(update={"database_url": SecretStr(url)})

    def drop(self) -> None:
        """Remove what was created."""
        with self.deployed.connected(OWNER) as connection:
            for user in ROLE_OF:
                connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(self.name(user))))


@pytest.fixture
def users(deployed: Deployed) -> Iterator[Users]:
    made = Users(deployed)
    yield made
    made.drop()


def test_each_is_in_one_role_and_may_no_more(users: Users) -> None:
    users.create({})
    with users.deployed.connected(OWNER) as connection:
        for user in ROLE_OF:
            found = connection.execute(MEMBERSHIPS, [users.name(user)]).fetchall()
            assert found == [(False, False, False, [users.groups[user]])]


def test_whatever_a_password_holds_a_program_logs_in_with_it(users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SQL is run again for each: that is also how a password is changed later."""
    for password in PASSWORDS:
        environment = {
            "CONSUMER_PASSWORD": password,
            "AUDITOR_PASSWORD": f"{password}2",
            "READER_PASSWORD": f"{password}3",
        }
        users.create(environment)
        for user in ROLE_OF:
            assert _logged_in(users.settings(user, monkeypatch, environment)) == users.name(user)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            _logged_in(users.settings("consumer", monkeypatch, {"CONSUMER_PASSWORD": f"{password}2"}))


def test_without_passwords_they_have_those_that_the_programs_are_given(
    users: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    users.create({})
    for user in ROLE_OF:
        assert _logged_in(users.settings(user, monkeypatch, {})) == users.name(user)


def _default(name: str) -> str:
    return str(Settings.model_fields[name].default)


def _interpolated(value: str, environment: Mapping[str, str]) -> str:
    """Replace variables as Compose does: in a value that is parsed already, once, by their text as it is."""
    return VARIABLE.sub(lambda found: environment.get(found[1]) or found[2], value)


def _logged_in(settings: Settings) -> str:
    engine = make_engine(settings, program="tests")
    try:
        with transaction(engine) as connection:
            (user,) = connection.execute("SELECT session_user::text").fetchone() or ("",)
    finally:
        engine.dispose()
    return str(user)
