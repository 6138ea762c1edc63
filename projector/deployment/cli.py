"""`projector deployment show|set`."""

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from events.runtime import console
from events.runtime.console import Format, FormatOption
from events.runtime.errors import InputError, StateError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from events.runtime.settings import Settings
    from projector.deployment.change import Change
    from projector.deployment.identity import Identity

app = console.app("What this deployment is: written down by `init`, compared by every program, changed deliberately.")


class Fact(StrEnum):
    """What can be changed."""

    CURRENCY = "currency"
    TIMEZONE = "timezone"
    TOPIC_PREFIX = "topic-prefix"
    KAFKA_CLUSTER = "kafka-cluster"


@app.command()
def show(output: FormatOption = Format.TABLE) -> None:
    """Show what is written down of this deployment, beside what the settings say.

    Exit code 0: they agree. 1: they differ, and programs refuse to work. 2: could not look.
    """
    from events.runtime import kafka, settings
    from projector.database import engines, failures
    from projector.deployment import cluster, identity

    chosen = settings.load()
    engine = engines.make_engine(chosen, program="projector deployment show")
    with failures.translate_database_errors(chosen), kafka.translate_kafka_errors(chosen):
        kept = _kept(engine, chosen)
        found = cluster.id_of(kafka.admin(chosen)) if chosen.kafka_bootstrap_servers else kept[identity.CLUSTER]
    now: Identity = {**identity.given(chosen), identity.CLUSTER: found}
    differs = [identity.command_name(fact) for fact in identity.FACTS if kept[fact] != now[fact]]
    if output is Format.JSON:
        document = {"schema": chosen.schema_name, "deployment": kept, "settings": now, "differs": differs}
        console.print_json(document)
    else:
        rows = [[identity.command_name(fact), kept[fact], now[fact]] for fact in identity.FACTS]
        console.print_table(f"Deployment in schema {chosen.schema_name}", ["What", "Written down", "Settings"], rows)
        typer.echo(f"Differ: {', '.join(differs)}: programs refuse to work" if differs else "They agree.")
    raise typer.Exit(1 if differs else 0)


@app.command("set")
def set_(
    facts: Annotated[list[Fact], typer.Argument(metavar="NAME...", help="what to change", show_default=False)],
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    output: FormatOption = Format.TABLE,
) -> None:
    """Write down what the settings say now of some facts, after saying what that means, while no program is at work.

    Names: currency, timezone, topic-prefix, kafka-cluster (the one that the broker belongs to). The currency can only
    be changed where history holds no amount in another.
    """
    from dataclasses import asdict

    from events.runtime import kafka, settings
    from projector.database import engines, failures
    from projector.deployment import change, cluster, identity
    from projector.positions.reset import require_idle

    if output is Format.JSON and not yes:
        raise InputError("--format json does not ask: add --yes")
    chosen = settings.load()
    engine = engines.make_engine(chosen, program=change.PROGRAM)
    with failures.translate_database_errors(chosen), kafka.translate_kafka_errors(chosen):
        kept, client = _kept(engine, chosen), kafka.admin(chosen)
        now: Identity = {**identity.given(chosen), identity.CLUSTER: cluster.id_of(client)}
        changes = change.plan(kept, now, [fact.replace("-", "_") for fact in facts])
        require_idle(client, chosen.group_id)
        if output is Format.TABLE:
            _print_plan(changes)
        if changes and not (yes or _confirmed()):
            typer.echo("nothing was changed")
            raise typer.Exit(1)
        change.carry_out(engine, chosen, kept, changes)
    if output is Format.JSON:
        console.print_json({"schema": chosen.schema_name, "changed": [asdict(each) for each in changes]})
    else:
        typer.echo("written down" if changes else "nothing was changed: that is what is written down")


def _kept(engine: "Engine", chosen: "Settings") -> "Identity":
    from projector.database import revision
    from projector.deployment import identity

    revision.require_current(engine, chosen.schema_name)
    with engine.connect() as connection:
        kept = identity.read(identity.driver_of(connection))
    if kept is None:
        raise StateError(f"schema {chosen.schema_name}: nothing is written down: run `projector init`")
    return kept


def _print_plan(changes: "Sequence[Change]") -> None:
    for change in changes:
        typer.echo(console.printable(f"{change.fact}: {change.old or 'none'} -> {change.new}. {change.meaning}"))


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        raise InputError("nobody is there to confirm: nothing was changed; add --yes to change it without being asked")
    return typer.confirm("Change?")
