"""`projector positions show|set`."""

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from events.contract.types import BIGINT_MAX, TopicPartition
from events.runtime import console
from events.runtime.console import Format, FormatOption
from events.runtime.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from confluent_kafka.admin import AdminClient
    from sqlalchemy import Engine

    from events.runtime.settings import Settings
    from projector.positions.reset import Move, Target
    from projector.positions.store import Log

app = console.app("Where the consumer group is, beside what the broker holds; and the way out where they do not fit.")

TopicArgument = Annotated[str, typer.Argument(metavar="TOPIC", help="its name, with the prefix", show_default=False)]
PartitionArgument = Annotated[
    str, typer.Argument(metavar="PARTITION", help="its number, or `all` of the topic's", show_default=False)
]
OffsetArgument = Annotated[
    str, typer.Argument(metavar="OFFSET", help="the next to apply; or earliest, or latest", show_default=False)
]


class Deployment(NamedTuple):
    """What both commands read first."""

    settings: "Settings"
    engine: "Engine"
    client: "AdminClient"
    logs: "dict[TopicPartition, Log]"


@app.command()
def show(output: FormatOption = Format.TABLE) -> None:
    """Show each stored position beside the broker's log, and what is wrong where a consumer could not start.

    Exit code 0: every position can be served. 1: some cannot, and the consumer would stop.
    """
    from dataclasses import asdict

    from projector.kafka_log import witness
    from projector.positions import store as positions
    from projector.positions.view import partition_states

    with _deployment("show") as (settings, engine, _, logs):
        with engine.connect() as connection:
            stored = positions.read(connection, settings.group_id)
        found = partition_states(stored, witness.look(settings, stored, logs))
    problems = [state.problem for state in found if state.problem]
    if output is Format.JSON:
        console.print_json({"group_id": settings.group_id, "positions": [asdict(state) for state in found]})
    else:
        console.print_table(
            f"Positions of group {settings.group_id}",
            ["Topic", "Partition>", "Next offset>", "Log from>", "Log to>", "Lag>", "State"],
            [[s.topic, s.partition, s.position, s.low, s.high, s.lag, _state(s.position, s.problem)] for s in found],
        )
        for problem in problems:
            typer.echo(console.printable(problem))
    raise typer.Exit(1 if problems else 0)


@app.command("set")
def set_(
    topic: TopicArgument,
    partition: PartitionArgument,
    offset: OffsetArgument,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    output: FormatOption = Format.TABLE,
) -> None:
    """Move stored positions deliberately, while no consumer of the group runs.

    Backwards is harmless: what is read again changes nothing that was applied. Forwards skips events: they are never
    applied, and no backfill can know of them.
    """
    from dataclasses import asdict

    from projector.kafka_log import witness
    from projector.positions import reset
    from projector.positions import store as positions

    chosen, target = _partition(partition), _target(offset)
    if output is Format.JSON and not yes:
        raise InputError("--format json does not ask: add --yes")
    with _deployment("set") as (settings, engine, client, logs):
        reset.require_idle(client, settings.group_id)
        with engine.connect() as connection:
            stored = positions.read(connection, settings.group_id)
        moves = reset.plan(stored, witness.look(settings, stored, logs), topic, chosen, target)
        if output is Format.TABLE:
            _print_plan(settings.group_id, moves)
        if not (yes or _confirmed()):
            typer.echo("nothing was changed")
            raise typer.Exit(1)
        with engine.begin() as connection:
            reset.carry_out(connection, settings.group_id, moves)
    if output is Format.JSON:
        console.print_json({"group_id": settings.group_id, "moved": [asdict(one) for one in moves]})
    for one in moves if output is Format.TABLE else []:
        before = "never read" if one.before is None else one.before
        typer.echo(f"{one.topic}/{one.partition}: was {before}, now {one.after}")


def _state(position: int | None, problem: str | None) -> str:
    return "cannot be served" if problem else "never read" if position is None else "fine"


def _print_plan(group_id: str, moves: "Sequence[Move]") -> None:
    console.print_table(
        f"Positions of group {group_id} to be moved",
        ["Topic", "Partition>", "From>", "To>", "Skipped>", "Read again>", "Lost to retention>"],
        [[m.topic, m.partition, m.before, m.after, m.skipped, m.again, m.lost] for m in moves],
    )
    if skipped := sum(one.skipped for one in moves):
        typer.echo(
            f"{skipped:,} offsets are skipped: the events there are never applied, and `backfill` cannot know of them, "
            "since it proves balances from the history that was applied. Publish them again if they matter."
        )
    if lost := sum(one.lost for one in moves):
        typer.echo(f"{lost:,} offsets were deleted by retention before they were applied: publish them again.")
    if sum(one.again for one in moves):
        typer.echo("What is read again changes nothing that was applied.")


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        raise InputError("nobody is there to confirm: nothing was changed; add --yes to move without being asked")
    return typer.confirm("Move?")


def _partition(given: str) -> int | None:
    if given == "all":
        return None
    return _number(given, f"{given!r} is neither a partition's number nor `all`")


def _target(given: str) -> "Target":
    if given in {"earliest", "latest"}:
        return given  # type: ignore[return-value]  # one of the two, as just compared
    return _number(given, f"{given!r} is neither an offset nor `earliest` nor `latest`")


def _number(given: str, otherwise: str) -> int:
    if not (given.isascii() and given.isdigit()) or int(given) > BIGINT_MAX:
        raise InputError(otherwise)
    return int(given)


@contextmanager
def _deployment(command: str) -> "Iterator[Deployment]":
    from confluent_kafka import KafkaException

    from events.contract.types import ENTITIES, topic_of
    from events.runtime import kafka, settings
    from projector.database import engines, failures
    from projector.deployment import cluster, identity
    from projector.positions import store as positions

    chosen = settings.load()
    engine = engines.make_engine(chosen, program=f"projector positions {command}")
    with failures.translate_database_errors(chosen):
        identity.require(engine, chosen)
        client = kafka.admin(chosen)
        try:
            cluster.require(engine, chosen, client)
            logs = positions.describe(client, [topic_of(entity, chosen.topic_prefix) for entity in ENTITIES])
            yield Deployment(chosen, engine, client, logs)
        except KafkaException as error:
            raise kafka.unavailable(chosen, error) from None
