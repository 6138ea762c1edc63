"""Write `docs/reference/` from the code. The tables come from a database that is migrated for it."""

import os
import uuid
from pathlib import Path
from typing import Final

import psycopg
from pydantic import SecretStr
from sqlalchemy import make_url

from events.runtime.settings import Settings
from projector.database.engines import make_engine
from projector.deployment import schema
from tests.docs.reference import commands, events, exit_codes, log_events, metrics, settings, tables
from tests.support.services import Services

FOLDER: Final = Path(__file__).parents[2] / "docs" / "reference"
PAGES: Final = {
    "commands.md": commands.page,
    "events.md": events.page,
    "exit-codes.md": exit_codes.page,
    "log-events.md": log_events.page,
    "metrics.md": metrics.page,
    "settings.md": settings.page,
}
"""Pages that need no database."""
TABLES: Final = "tables.md"


def main() -> None:
    """Write every page."""
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page())
    services = Services(os.environ)
    try:
        (FOLDER / TABLES).write_text(_tables(services.database_url))
    finally:
        services.close()


def _tables(server: str) -> str:
    """Return the page of tables, from a database that exists as long as that takes."""
    name = f"reference_{uuid.uuid4().hex[:12]}"
    address = make_url(server).set(database=name).render_as_string(hide_password=False)
    settings_ = Settings(_env_file=None, database_url=SecretStr(address))
    with psycopg.connect(server, autocommit=True) as owner:
        owner.execute(f'CREATE DATABASE "{name}"'.encode())
        try:
            engine = make_engine(settings_, program="reference")
            schema.upgrade(engine, settings_.schema_name)
            engine.dispose()
            with psycopg.connect(address) as connection:
                return tables.page(connection, settings_.schema_name)
        finally:
            owner.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


if __name__ == "__main__":
    main()
