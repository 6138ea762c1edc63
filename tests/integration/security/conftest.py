"""A schema with its three roles, and a user of each with a login and a password."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import psycopg
import pytest
from psycopg import Connection, sql
from sqlalchemy import make_url

from events.runtime.settings import Settings
from projector.database.engines import make_engine
from projector.database.roles import ROLES, role_of
from projector.deployment import schema
from tests.integration.security.certificates import Authority
from tests.support.secret_canaries import secret

OWNER: Final = "owner"


class Deployed(NamedTuple):
    """A schema of this test's own, with roles: they are the whole server's, so their names must be, too."""

    settings: Settings
    passwords: dict[str, str]

    def url(self, role: str) -> str:
        """Write the address of a role's user; the owner's is whoever made it all."""
        url = make_url(self.settings.database_url.get_secret_value())
        if role != OWNER:
            url = url.set(username=self.user(role), password=self.passwords[role])
        return url.render_as_string(hide_password=False)

    def user(self, role: str) -> str:
        """Name a role's user."""
        return f"{self.settings.schema_name}_{role}_user"

    def group(self, role: str) -> str:
        """Name a role."""
        return role_of(str(make_url(self.url(OWNER)).database), self.settings.schema_name, role)

    @contextmanager
    def connected(self, role: str) -> Iterator[Connection[Any]]:
        """Connect as a role's user, inside the schema."""
        options = f"-c search_path={self.settings.schema_name}"
        with psycopg.connect(self.url(role), autocommit=True, options=options) as connection:
            yield connection

    def environment(self, role: str, environment: dict[str, str]) -> dict[str, str]:
        """Let programs work as a role's user."""
        own = {"PROJECTOR_SCHEMA": self.settings.schema_name, "PROJECTOR_DATABASE_URL": self.url(role)}
        return {**environment, **own}


@pytest.fixture
def deployed(settings: Settings) -> Iterator[Deployed]:
    own = settings.model_copy(update={"schema_name": f"s{secrets.token_hex(6)}"})
    made = Deployed(own, {role: secret() for role in ROLES})
    upgrade(made.settings, roles=True)
    with made.connected(OWNER) as connection:
        for role, password in made.passwords.items():
            create = "CREATE ROLE {} LOGIN PASSWORD {} IN ROLE {}"
            _do(connection, create, made.user(role), [password], made.group(role))
    yield made
    with made.connected(OWNER) as connection:
        for role in ROLES:
            for name in (made.user(role), made.group(role)):
                _do(connection, "DROP OWNED BY {} CASCADE", name)
                _do(connection, "DROP ROLE {}", name)


def upgrade(settings: Settings, *, roles: bool = False) -> schema.Upgraded:
    """Do what `projector init` does to the database, as its owner."""
    engine = make_engine(settings, program="tests")
    try:
        return schema.upgrade(engine, settings.schema_name, roles=roles, settings=settings)
    finally:
        engine.dispose()


def _do(connection: Connection[Any], statement: str, *parts: str | list[str]) -> None:
    """Run a statement of names, and of literals in brackets."""
    composed = [sql.Identifier(part) if isinstance(part, str) else sql.Literal(part[0]) for part in parts]
    connection.execute(sql.SQL(statement).format(*composed))


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whom the programs are told to trust."""
    return Authority(tmp_path_factory.mktemp("certificates") / "authority")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs certificates as well, and nobody trusts."""
    return Authority(tmp_path_factory.mktemp("certificates") / "stranger")
