"""A rebuild with something done before each chunk, one that is resumed, and a repair that the database suppresses."""

from collections.abc import Callable
from typing import Any, Final

from psycopg import Connection
from sqlalchemy import Engine

from backfill.execution.pool import run_pool
from backfill.runs import store as runs
from backfill.runs.phases import Command
from backfill.runs.session import session
from backfill.runs.store import Run

OPTIONS: Final = {"dry_run": False, "chunk_size": 2}
EDIT: Final = "UPDATE meter_balances SET invoice_count = invoice_count + 1 WHERE meter_id = {}"
Between = Callable[[Run], None]


def rebuild(engine: Engine, between: Between, command: Command = "rebuild", **options: object) -> Run:
    """Carry a run out, doing something before each chunk."""
    with session(engine) as connection:
        run = runs.begin(connection, command, {**OPTIONS, **options})
        return run_pool(connection, run, stop=lambda: False, watch=between)


def resumed(engine: Engine, database: Connection[Any]) -> Run:
    """Go on with the only run there is."""
    [(run_id,)] = database.execute("SELECT run_id::text FROM backfill_runs").fetchall()
    with session(engine) as connection:
        run = runs.resume(connection, "rebuild", run_id, dry=False)
        return run_pool(connection, run, stop=lambda: False)


def suppress(database: Connection[Any]) -> None:
    """Let whatever is written to the row of customer 1 come to nothing."""
    database.execute("CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    database.execute(
        "CREATE TRIGGER keep BEFORE UPDATE ON customer_balances FOR EACH ROW WHEN (old.customer_id = 1)"
        " EXECUTE FUNCTION keep()"
    )


def allow(database: Connection[Any]) -> None:
    """End that."""
    database.execute("DROP TRIGGER keep ON customer_balances")
