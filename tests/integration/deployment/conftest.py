"""Commands in this process, and the database that they work on."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import psycopg
import pytest
from psycopg import Connection
from sqlalchemy import Engine
from typer.testing import CliRunner

import backfill.cli
import projector.cli
from events.runtime import logs, settings
from events.runtime.settings import Settings
from projector.database import engines as engines_module

APPS: Final = {"projector": projector.cli.app, "backfill": backfill.cli.app}
INVOICE: Final = "INSERT INTO invoices (invoice_id, amount, currency, invoice_date) VALUES (1, 5, %s, '2026-01-31')"
POSITION: Final = "INSERT INTO positions (group_id, topic, partition, next_offset, topic_id) VALUES ('g', %s, 0, 5, %s)"

Invoke = Callable[..., Any]


@pytest.fixture
def invoke(kafka_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Run a command in this process; return its result, with the error that would be its line."""
    monkeypatch.setattr(logs, "configure", lambda _: None)
    monkeypatch.setattr("sys.setswitchinterval", lambda _: None)
    monkeypatch.setattr("gc.freeze", lambda: None)
    monkeypatch.setattr("gc.set_threshold", lambda _: None)

    engines: list[Engine] = []
    create = vars(engines_module)["create_engine"]

    def made(*arguments: Any, **options: Any) -> Engine:  # noqa: ANN401 - handed on
        engines.append(create(*arguments, **options))
        return engines[-1]

    monkeypatch.setattr(engines_module, "create_engine", made)

    def run(command: str, env: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401 - click's result
        settings.load.cache_clear()
        program, *arguments = command.split()
        try:
            return CliRunner().invoke(APPS[program], arguments, env={**kafka_environment, **(env or {})})
        finally:  # as the end of its process would
            while engines:
                engines.pop().dispose()

    return run


@pytest.fixture
def database(settings: Settings) -> Iterator[Connection[Any]]:
    options = f"-c search_path={settings.schema_name}"
    url = settings.database_url.get_secret_value()
    with psycopg.connect(url, autocommit=True, options=options, application_name="tests") as connection:
        yield connection
