"""`projector deployment show|set`."""

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

app = console.app("What this deployment is: recorded by `init`, checked by every program, changed here.")


class Fact(StrEnum):
    """What can be changed."""

    CURRENCY = "currency"
    TIMEZONE = "timezone"
    TOPIC_PREFIX = "topic-prefix"
    KAFKA_CLUSTER = "kafka-cluster"


@app.command()
def show(form: FormatOption = Format.TABLE) -> None:
    """Show what is recorded of this deployment, beside the settings.

    Exit code 0: they agree. 1: they differ, and programs refuse to work. 2: could not be compared.
    """
    from events.runtime import kafka, settings
    from projector.database import engines, failures
    from projector.deployment import identity
    from projector.kafka_log.broker import Broker

    chosen = settings.load()
    engine = engines.make_engine(chosen, program="projector deployment show")
    with failures.translate_database_errors(chosen), kafka.translate_kafka_errors(chosen):
        recorded = _recorded(engine, chosen)
        found = Broker(chosen).cluster_id() if chosen.kafka_bootstrap_servers else recorded[identity.CLUSTER]
    now: Identity = {**identity.given(chosen), identity.CLUSTER: found}
    differs = [identity.command_name(fact) for fact in identity.FACTS if recorded[fact] != now[fact]]
    if form is Format.JSON:
        document = {"schema": chosen.schema_name, "deployment": recorded, "settings": now, "differs": differs}
        console.print_json(document)
    else:
        rows = [[identity.command_name(fact), recorded[fact], now[fact]] for fact in identity.FACTS]
        console.print_table(f"Deployment in schema {chosen.schema_name}", ["What", "Written down", "Settings"], rows)
        console.say(f"Differ: {', '.join(differs)}: programs refuse to work" if differs else "They agree.")
    raise typer.Exit(1 if differs else 0)


@app.command("set")
def set_(
    facts: Annotated[list[Fact], typer.Argument(metavar="NAME...", help="what to change", show_default=False)],
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Record the settings' current values of some facts, after showing what that means, while no program runs.

    Names: currency, timezone, topic-prefix, kafka-cluster (the one that the broker belongs to). The currency can be
    changed only if history holds no amount in another one.
    """
    from dataclasses import asdict

    from events.runtime import kafka, settings
    from projector.database import engines, failures
    from projector.deployment import change, identity
    from projector.kafka_log.broker import Broker

    if form is Format.JSON and not yes:
        raise InputError("--format json asks no question: add --yes")
    chosen = settings.load()
    engine = engines.make_engine(chosen, program=change.PROGRAM)
    with failures.translate_database_errors(chosen), kafka.translate_kafka_errors(chosen):
        recorded, broker = _recorded(engine, chosen), Broker(chosen)
        now: Identity = {**identity.given(chosen), identity.CLUSTER: broker.cluster_id()}
        changes = change.plan(recorded, now, [fact.replace("-", "_") for fact in facts])
        broker.require_no_members()
        if form is Format.TABLE:
            _print_plan(changes)
        if changes and not (yes or console.confirm("Change?")):
            console.say("nothing was changed")
            raise typer.Exit(1)
        change.apply(engine, chosen, recorded, changes)
    if form is Format.JSON:
        console.print_json({"schema": chosen.schema_name, "changed": [asdict(each) for each in changes]})
    else:
        console.say("recorded" if changes else "nothing was changed: the recorded values are the same")


def _recorded(engine: "Engine", chosen: "Settings") -> "Identity":
    from projector.database import revision
    from projector.database.engines import transaction
    from projector.deployment import identity

    revision.require_current(engine, chosen.schema_name)
    with transaction(engine) as connection:
        recorded = identity.read(connection)
    if recorded is None:
        raise StateError(f"schema {chosen.schema_name}: no deployment is recorded: run `projector init`")
    return recorded


def _print_plan(changes: "Sequence[Change]") -> None:
    for change in changes:
        console.say(f"{change.fact}: {change.old or 'none'} -> {change.new}. {change.meaning}")
