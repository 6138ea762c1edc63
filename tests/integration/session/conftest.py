"""A role with hostile defaults that may read and write the test's database, and the engine that programs would use."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine

from events.runtime.settings import Settings
from projector.database.engines import make_engine
from tests.support.hostile_sessions import ENVIRONMENT, EVERYTHING, Hostile, hostile_role
from tests.support.services import Services


@pytest.fixture
def writer(services: Services) -> Iterator[Hostile]:
    with hostile_role(services.database_url, member_of=EVERYTHING) as made:
        yield made


@pytest.fixture
def hostile_engine(settings: Settings, writer: Hostile, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    url = writer.url(settings.database_url.get_secret_value())
    made = make_engine(settings.model_copy(update={"database_url": SecretStr(url)}), program="tests")
    yield made
    made.dispose()
