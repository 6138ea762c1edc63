"""The `projector` command."""

import gc
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from events.runtime import boundary, console
from events.runtime.console import Format, FormatOption
from projector.dead_letters.cli import app as dead_letters_app
from projector.deployment.cli import app as deployment_app
from projector.positions.cli import app as positions_app
from projector.sandbox.cli import app as sandbox_app
from projector.sandbox.extra import require_extra

if TYPE_CHECKING:
    from projector.deployment.schema import Upgraded

COLLECT_AFTER_OBJECTS: Final = 50_000  # about a batch: events hold no cycles, and the default of 700 looks through each
THREAD_SWITCH_SECONDS: Final = 0.0005  # the default of 5 ms is what the writer would wait after each statement's answer

app = console.program(
    "projector", "Keeps meter balances and customer totals right to the cent from the billing topics."
)
app.add_typer(sandbox_app, name="sandbox")
app.add_typer(dead_letters_app, name="dead-letters")
app.add_typer(positions_app, name="positions")
app.add_typer(deployment_app, name="deployment")


def main() -> None:
    """Run the command line."""
    boundary.run("projector", app)


@app.command()
def init(
    roles: Annotated[
        bool, typer.Option("--roles", help="create a role for each program too, DATABASE.SCHEMA.projector and so on")
    ] = False,
    output: FormatOption = Format.TABLE,
) -> None:
    """Create or upgrade the schema, and the topics where missing.

    Roles that were created before get their rights on what is new without being asked for again.
    """
    from events.runtime import kafka, settings
    from projector.database import engines, failures
    from projector.deployment import cluster, schema
    from projector.kafka_log import topic_configuration
    from projector.kafka_log.broker import Broker

    chosen = settings.load()
    engine = engines.make_engine(chosen, program="projector init")
    with failures.translate_database_errors(chosen):
        upgraded = schema.upgrade(engine, chosen.schema_name, roles=roles, settings=chosen)
    with failures.translate_database_errors(chosen), kafka.translate_kafka_errors(chosen):
        client = kafka.admin(chosen)
        adopted = {**upgraded.adopted, **cluster.adopt(engine, chosen, client)}
        created = schema.create_topics(client, chosen)
        warnings = topic_configuration.require_sound(Broker(chosen).problems())
    if output is Format.JSON:
        facts = {"schema": chosen.schema_name, "before": upgraded.before, "after": upgraded.after}
        topics = {"topics_created": created, "warnings": warnings}
        console.print_json({**facts, **upgraded.granted._asdict(), "written_down": adopted, **topics})
        return
    _print_upgraded(chosen.schema_name, upgraded)
    if adopted:
        said = ", ".join(f"{fact.replace('_', ' ')} {value}" for fact, value in adopted.items())
        typer.echo(f"written down of this deployment: {said}; every program compares its settings with that")
    typer.echo(f"topics created: {', '.join(created) or 'none, all exist'}")
    for warning in warnings:
        typer.echo(f"warning: {console.printable(warning)}")


def _print_upgraded(schema_name: str, upgraded: "Upgraded") -> None:
    before, after, granted = upgraded.before, upgraded.after, upgraded.granted
    done = "is up to date" if before == after else "was created" if before is None else f"was upgraded from {before}"
    typer.echo(f"schema {schema_name} {done} (revision {after})")
    if granted.roles:
        example = f'CREATE ROLE name LOGIN IN ROLE "{granted.roles[0]}"'
        typer.echo(f"roles: {', '.join(granted.roles)}; a user of one: {example}")
    for role, members in granted.relieved.items():
        typer.echo(console.printable(f"role {role}, of an earlier name, has no right here any more"))
        if members:
            who = ", ".join(members)
            typer.echo(console.printable(f"  in it are {who}: grant the new role to those of this database"))
    for statement in granted.closed:
        typer.echo(console.printable(f"taken back from everybody: {statement}"))
    if granted.advice:
        typer.echo("still open to every user of this database; its owner, or a superuser, closes that:")
        for statement in granted.advice:
            typer.echo(console.printable(f"  {statement};"))


@app.command()
def run(
    until_caught_up: Annotated[bool, typer.Option("--until-caught-up", help="stop at the ends read at start")] = False,
    output: FormatOption = Format.TABLE,
) -> None:
    """Consume until SIGTERM or SIGINT, which drain and exit with 0.

    The log says what happens; with --format json, one document at the end says what was applied.

    Exit code 0: drained by a signal, or caught up. 1: stopped by a position that cannot be served, by too many
    refusals, or because it can do no more work. 2: could not start.
    """
    from dataclasses import asdict

    from events.runtime import logs, settings
    from events.runtime.stop import stop_on_signals
    from projector.consume import consumer
    from projector.database import engines

    sys.setswitchinterval(THREAD_SWITCH_SECONDS)
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS)
    chosen = settings.load()
    logs.configure(chosen)
    engine = engines.make_engine(chosen, program="projector run")
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
    from dataclasses import asdict, replace
    from datetime import UTC, datetime

    from events.runtime import kafka, settings
    from projector.database import engines, failures
    from projector.deployment import identity
    from projector.kafka_log.broker import Broker
    from projector.status import status as status_

    chosen = settings.load()
    engine = engines.make_engine(chosen, program="projector status")
    with failures.translate_database_errors(chosen), kafka.translate_kafka_errors(chosen):
        identity.require(engine, chosen)
        broker = Broker(chosen)
        broker.require_cluster(engine)
        logs, problems = broker.logs(), [str(problem) for problem in broker.problems()]
        with engine.connect() as connection:
            found = status_.read(connection, chosen.group_id, logs, datetime.now(UTC))
        found = replace(found, topic_problems=problems)
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

    from events.runtime import settings
    from events.runtime.errors import InputError
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
    from projector.demo.run import tell

    tell(output)
