"""The reference of tables is what a migrated database has."""

import psycopg

from events.runtime.settings import Settings
from tests.docs.generate import FOLDER, TABLES
from tests.docs.reference import tables


def test_the_page_of_tables_is_what_the_database_says(settings: Settings) -> None:
    with psycopg.connect(settings.database_url.get_secret_value()) as connection:
        found = tables.page(connection, settings.schema_name)
    assert (FOLDER / TABLES).read_text() == found, f"docs/reference/{TABLES} is out of date: run `make reference`"


def test_a_generated_column_is_told_as_such_with_what_computes_it() -> None:
    lines = (FOLDER / TABLES).read_text().splitlines()
    [balance] = [line for line in lines if line.startswith("| `balance` |") and "total_billed" in line]
    assert "`GENERATED ALWAYS AS (GREATEST(total_billed - total_paid, 0::numeric)) STORED`" in balance
    assert sum("GENERATED ALWAYS AS (" in line for line in lines) == 7
    assert sum(") VIRTUAL`" in line for line in lines) == 5
