"""The `projector` command."""

import gc
import sys
from typing import Annotated, Final

import typer

from events import console
from events.console import Format, FormatOption
from projector.dead_letters.cli import app as dead_letters_app
from projector.recovery.cli import app as positions_app
from projector.sandbox.cli import app as sandbox_app
from projector.sandbox.extra import require_extra

COLLECT_AFTER_OBJECTS: Final = 50_000  # about a batch: events hold no cycles, and the default of 700 looks through each
THREAD_SWITCH_SECONDS: Final = 0.0005  # the default of 5 ms is what the writer would wait after each statement's answer

app = console.app("Keeps meter balances and customer totals right to the cent from the billing topics.")
app.add_typer(sandbox_app, name="sandbox")
app.add_typer(dead_letters_app, name="dead-letters")
app.add_typer(positions_app, name="positions")


def main() -> None:
    """Run the command line."""
    console.run("projector", app)


@app.command()
def init(
    roles: Annotated[
        bool, typer.Option("--roles", help="create the roles SCHEMA_projector, SCHEMA_backfill and SCHEMA_reader too")
    ] = False,
    output: FormatOption = Format.TABLE,
) -> None:
    """Create or upgrade the schema, and the topics where missing.

    Roles that were created before get their rights on what is new without being asked for again.
    """
    from events import kafka, settings
    from projector import database, schema

    chosen = settings.load()
    engine = database.make_engine(chosen, program="projector init")
    with database.reachable(chosen):
        before, after, granted = schema.upgrade(engine, chosen.schema_name, roles=roles)
    with kafka.answering(chosen):
        created = schema.create_topics(kafka.admin(chosen), chosen)
    if output is Format.JSON:
        facts = {"schema": chosen.schema_name, "before": before, "after": after, "roles": granted}
        console.print_json({**facts, "topics_created": created})
        return
    done = "is up to date" if before == after else "was created" if before is None else f"was upgraded from {before}"
    typer.echo(f"schema {chosen.schema_name} {done} (revision {after})")
    if granted:
        typer.echo(f"roles: {', '.join(granted)}; a user of one: CREATE ROLE name LOGIN IN ROLE {granted[0]}")
    typer.echo(f"topics created: {', '.join(created) or 'none, all exist'}")


@app.command()
def run(
    until_caught_up: Annotated[bool, typer.Option("--until-caught-up", help="stop at the ends read at start")] = False,
    output: FormatOption = Format.TABLE,
) -> None:
    """Consume until SIGTERM or SIGINT, which drain and exit with 0.

    The log says what happens; with --format json, one document at the end says what was applied.
    """
    from dataclasses import asdict

    from events import logs, settings
    from projector import consumer, database
    from projector.signals import stop_on_signals

    sys.setswitchinterval(THREAD_SWITCH_SECONDS)
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS)
    chosen = settings.load()
    logs.configure(chosen)
    engine = database.make_engine(chosen, program="projector run")
    with stop_on_signals() as stop:
        applied = consumer.run(chosen, engine, stop, until_caught_up=until_caught_up)
    if output is Format.JSON:
        console.print_json({**asdict(applied), "stale": applied.stale})


@app.command()
def status(
    output: FormatOption = Format.TABLE,
    as_json: Annotated[bool, typer.Option("--json", help="the same as --format json")] = False,
) -> None:
    """Show positions, lag, dead letters and the last drift check."""
    from dataclasses import asdict
    from datetime import UTC, datetime

    from events import kafka, settings
    from events.types import ENTITIES, topic_of
    from projector import database, positions, revision
    from projector import status as status_

    chosen = settings.load()
    engine = database.make_engine(chosen, program="projector status")
    with database.reachable(chosen), kafka.answering(chosen):
        revision.require_current(engine, chosen.schema_name)
        logs = positions.describe(kafka.admin(chosen), [topic_of(entity, chosen.topic_prefix) for entity in ENTITIES])
        with engine.connect() as connection:
            found = status_.read(connection, chosen.group_id, logs, datetime.now(UTC))
    if as_json or output is Format.JSON:
        console.print_json(asdict(found))
    else:
        status_.show(found)


@app.command()
def replay(
    places: Annotated[
        str, typer.Argument(metavar="FILE|-", help='lines as {"topic": ..., "partition": 0, "offset": 17}')
    ],
    output: FormatOption = Format.TABLE,
) -> None:
    """Apply messages of the log once more, over rows that were edited, deleted or made to look newer.

    A row that is rightly newer stays as it is; a message that was refused is not replayed. No position moves.
    Exit code 0: all replayed. 1: some were refused, or left. 2: could not start.
    """
    from dataclasses import asdict
    from pathlib import Path

    from events import settings
    from events.errors import InputError
    from projector.replay.command import replay as replay_

    try:
        lines = sys.stdin.buffer.readlines() if places == "-" else Path(places).read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"{places}: {error.strerror}") from None
    found = replay_(settings.load(), lines, "standard input" if places == "-" else places)
    if output is Format.JSON:
        console.print_json(asdict(found))
    else:
        left = f"; left, as they claim what nobody can tell by now: {', '.join(found.left)}" if found.left else ""
        console.say(f"{found.replayed:,} entities replayed, {found.refused:,} messages refused{left}")
    raise typer.Exit(1 if found.refused or found.left else 0)


@app.command()
def demo(output: FormatOption = Format.TABLE) -> None:
    """Show the whole story on a sandbox of its own, and leave nothing behind."""
    require_extra()
    from projector.demo.story import tell

    tell(output)
