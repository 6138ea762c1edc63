"""The `projector` command."""

import gc
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from events.contract.limits import BIGINT_MAX
from events.runtime import boundary, console
from events.runtime.console import Format, FormatOption
from events.runtime.wording import counted
from projector.dead_letters.cli import app as dead_letters_app
from projector.deployment.cli import app as deployment_app
from projector.exporter import cli as exporter
from projector.positions.cli import app as positions_app
from projector.sandbox.cli import app as sandbox_app
from projector.sandbox.extra import require_extra

if TYPE_CHECKING:
    from projector.deployment.schema import Upgraded

COLLECT_AFTER_OBJECTS: Final = 50_000  # about a batch: events hold no cycles; the default of 700 scans each many times
ON_FUNCTION: Final = "EXECUTE ON FUNCTION "
THREAD_SWITCH_SECONDS: Final = 0.0005  # with the default of 5 ms the writer would wait as long after each statement

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
        bool, typer.Option("--roles", help="also create a role for each program: DATABASE.SCHEMA.projector and so on")
    ] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Create or upgrade the schema, and create missing topics.

    Roles that exist get their rights on new tables without --roles.
    """
    from events.runtime import kafka, settings
    from projector.database import engines, failures
    from projector.deployment import cluster, schema
    from projector.kafka_log import topic_configuration, topics
    from projector.kafka_log.broker import Broker

    chosen = settings.load()
    engine = engines.make_engine(chosen, program="projector init")
    with failures.translate_database_errors(chosen):
        upgraded = schema.upgrade(engine, chosen.schema_name, roles=roles, settings=chosen)
    with failures.translate_database_errors(chosen), kafka.translate_kafka_errors(chosen):
        client = kafka.admin(chosen)
        adopted = {**upgraded.adopted, **cluster.adopt(engine, chosen, client)}
        created = topics.create_topics(client, chosen)
        warnings = topic_configuration.require_sound(Broker(chosen).problems())
    if form is Format.JSON:
        facts = {"schema": chosen.schema_name, "before": upgraded.before, "after": upgraded.after}
        of_topics = {"topics_created": created, "warnings": warnings}
        console.print_json({**facts, **upgraded.granted._asdict(), "written_down": adopted, **of_topics})
        return
    _print_upgraded(chosen.schema_name, upgraded)
    if adopted:
        console.say("recorded of this deployment, to be compared with the settings of every program:")
        console.say("  " + ", ".join(f"{fact.replace('_', ' ')} {value}" for fact, value in adopted.items()))
    console.say(f"topics created: {', '.join(created)}" if created else "topics: all exist already")
    for warning in warnings:
        console.say(f"warning: {warning}")


def _print_upgraded(schema_name: str, upgraded: "Upgraded") -> None:
    before, after, granted = upgraded.before, upgraded.after, upgraded.granted
    done = f"was upgraded from {before}"
    if before == after:
        done = "is up to date"
    elif before is None:
        done = "was created"
    console.say(f"schema {schema_name} {done} (revision {after})")
    if granted.roles:
        console.say(f"roles: {', '.join(granted.roles)}")
        console.say(f'  to create a login user of one: CREATE ROLE name LOGIN IN ROLE "{granted.roles[0]}"')
    for role, members in granted.relieved.items():
        console.say(f"role {role}, an earlier name, no longer has any right here")
        if members:
            names = ", ".join(members)
            console.say(f"  its members are {names}: grant the new role to those of this database")
    if granted.closed:
        console.say("revoked from every user of this database, because no program needs it:")
        console.say(f"  {'; '.join(_rights(granted.closed))}")
    if granted.advice:
        console.say("still open to every user of this database; its owner or a superuser can revoke it:")
        for statement in granted.advice:
            console.say(f"  {statement};")


def _rights(statements: list[str]) -> list[str]:
    """Name the rights that `REVOKE ... FROM PUBLIC` statements took away, those on functions together."""
    taken = [statement.removeprefix("REVOKE ").removesuffix(" FROM PUBLIC") for statement in statements]
    functions = [right.removeprefix(ON_FUNCTION).partition("(")[0] for right in taken if right.startswith(ON_FUNCTION)]
    named = [f"EXECUTE on {', '.join(dict.fromkeys(functions))}"] if functions else []
    return [right for right in taken if not right.startswith(ON_FUNCTION)] + named


@app.command()
def run(
    until_caught_up: Annotated[
        bool, typer.Option("--until-caught-up", help="stop at the ends that the topics have at start")
    ] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Consume until SIGTERM or SIGINT, which drain and exit with 0.

    Progress is logged on standard error; --until-caught-up prints the totals at the end.

    Exit code 0: drained by a signal, or caught up. 1: stopped by a position that cannot be served, by too many
    refusals, or because it can do no more work. 2: could not start.
    """
    from events.runtime import logs, settings
    from events.runtime.stop import stop_on_signals
    from projector.consume.run import run as consume
    from projector.database import engines

    sys.setswitchinterval(THREAD_SWITCH_SECONDS)
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS)
    chosen = settings.load()
    logs.configure(chosen)
    engine = engines.make_engine(chosen, program="projector run")
    with stop_on_signals() as stop:
        applied = consume(chosen, engine, stop, until_caught_up=until_caught_up)
    if form is Format.JSON:
        console.print_json(applied.counts)
    elif until_caught_up:
        console.say(f"{'Stopped by a signal' if stop.requested else 'Caught up'}: {applied}.")


@app.command()
def status(  # noqa: PLR0913, PLR0917 - the command's options
    form: FormatOption = Format.TABLE,
    as_json: Annotated[bool, typer.Option("--json", help="the same as --format json")] = False,
    max_lag: Annotated[
        int | None, typer.Option(metavar="MESSAGES", min=0, help="exit with 1 if more messages are not yet applied")
    ] = None,
    max_age: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="exit with 1 if a message is not yet applied, is older than this, such as 2m, and its partition's "
            "position has not moved meanwhile",
        ),
    ] = None,
    meter: Annotated[
        int | None,
        typer.Option(min=1, max=BIGINT_MAX, metavar="ID", help="show how far this meter's figures can be trusted"),
    ] = None,
    customer: Annotated[
        int | None, typer.Option(min=1, max=BIGINT_MAX, metavar="ID", help="the same of a customer")
    ] = None,
) -> None:
    """Show positions, lag, consumers, dead letters and the last drift check; or of one meter what is proven.

    If Kafka cannot be reached, what PostgreSQL knows is shown all the same.

    Exit code 0: shown, and no limit is exceeded. 1: shown, and --max-lag or --max-age is exceeded. 2: PostgreSQL or
    Kafka cannot be reached, or nothing is known of this meter or customer.
    """
    from datetime import timedelta

    from events.runtime.errors import InputError
    from events.runtime.option_values import seconds
    from projector.status import command
    from projector.status.limits import Limits

    form = Format.JSON if as_json else form
    if meter or customer:
        if (meter and customer) or max_lag is not None or max_age is not None:
            raise InputError("--meter or --customer is given alone: leave out the other one, --max-lag and --max-age")
        command.status_of(form, "meter" if meter else "customer", meter or customer or 0)
        return
    age = None if max_age is None else timedelta(seconds=seconds("--max-age", max_age))
    raise typer.Exit(command.status(form, Limits(lag=max_lag, age=age)))


app.command()(exporter.health)
app.command()(exporter.metrics)


@app.command()
def replay(
    places: Annotated[
        str, typer.Argument(metavar="FILE|-", help='lines as {"topic": ..., "partition": 0, "offset": 17}')
    ],
    form: FormatOption = Format.TABLE,
) -> None:
    """Apply messages of the log again, over rows that were edited, deleted or given a newer version by hand.

    A row that is newer because of a later message stays; a message that was refused is not replayed. No position moves.
    Exit code 0: all were replayed. 1: some were refused, or their rows were left unchanged. 2: could not start.
    """
    from dataclasses import asdict
    from pathlib import Path

    from events.runtime.errors import InputError
    from projector.replay.command import replay as replay_

    try:
        lines = sys.stdin.buffer.readlines() if places == "-" else Path(places).read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"{places}: {error.strerror}") from None
    found = replay_(lines, "standard input" if places == "-" else places)
    if form is Format.JSON:
        console.print_json(asdict(found))
    else:
        left = f"; unchanged, because what they claim cannot be checked: {', '.join(found.left)}" if found.left else ""
        replayed = counted(found.replayed, "entity", "entities")
        console.say(f"{replayed} replayed, {counted(found.refused, 'message')} refused{left}")
    raise typer.Exit(1 if found.refused or found.left else 0)


@app.command()
def demo(form: FormatOption = Format.TABLE) -> None:
    """Run every feature once on a sandbox of its own, and leave nothing behind."""
    require_extra()
    from projector.demo.run import run_demo

    run_demo(form)
