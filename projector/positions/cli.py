"""`projector positions show|set`."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from events.contract.limits import BIGINT_MAX
from events.runtime import console
from events.runtime.console import Format, FormatOption
from events.runtime.errors import InputError
from events.runtime.wording import agree, counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from projector.positions.reset import Move, Target
    from projector.positions.view import PartitionState

app = console.app("Compare the consumer group's positions with the broker's log, and correct them.")

ALL: Final = "all"  # no topic has this name: each begins with the prefix and a dot
TopicArgument = Annotated[
    str, typer.Argument(metavar="TOPIC", help="name of the topic, with its prefix, or `all`", show_default=False)
]
PartitionArgument = Annotated[
    str, typer.Argument(metavar="PARTITION", help="number of the partition, or `all`", show_default=False)
]
OffsetArgument = Annotated[
    str, typer.Argument(metavar="OFFSET", help="next offset to apply, or earliest, or latest", show_default=False)
]


@app.command()
def show(form: FormatOption = Format.TABLE) -> None:
    """Show each stored position beside the broker's log, and the problem if a consumer could not start there.

    Exit code 0: every position can be served. 1: some cannot, and the consumer would stop.
    """
    from dataclasses import asdict

    from projector.database.engines import transaction
    from projector.deployment.opening import open_deployment
    from projector.positions import store as positions
    from projector.positions.view import partition_states

    with open_deployment("projector positions show") as (settings, engine, broker):
        with transaction(engine) as connection:
            stored = positions.read(connection, settings.group_id)
        found = partition_states(stored, broker.reread(stored, broker.logs()))
    problems = [state.problem for state in found if state.problem]
    if form is Format.JSON:
        console.print_json({"group_id": settings.group_id, "positions": [asdict(state) for state in found]})
    else:
        _print_positions(settings.group_id, found)
        for problem in problems:
            console.say(problem)
    raise typer.Exit(1 if problems else 0)


@app.command("set")
def set_(
    topic: TopicArgument,
    partition: PartitionArgument,
    offset: OffsetArgument,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Move stored positions, while no consumer of the group runs.

    `all all earliest` replays everything. Moving back is harmless: what is read again changes nothing that was applied,
    and no conflict is counted twice. Moving forward skips events: they are never applied, and no backfill can detect
    that.
    """
    from dataclasses import asdict

    from projector.database.engines import transaction
    from projector.deployment.opening import open_deployment
    from projector.positions import reset
    from projector.positions import store as positions

    chosen_topic, chosen, target = None if topic == ALL else topic, _partition(partition), _target(offset)
    if form is Format.JSON and not yes:
        raise InputError("--format json asks no question: add --yes")
    with open_deployment("projector positions set") as (settings, engine, broker):
        broker.require_no_members()
        with transaction(engine) as connection:
            stored = positions.read(connection, settings.group_id)
        moves = reset.plan(stored, broker.reread(stored, broker.logs()), chosen_topic, chosen, target)
        if form is Format.TABLE:
            _print_plan(settings.group_id, moves)
        if not (yes or console.confirm("Move?")):
            console.say("nothing was changed")
            raise typer.Exit(1)
        with transaction(engine) as connection:
            reset.apply(connection, settings.group_id, moves)
    if form is Format.JSON:
        console.print_json({"group_id": settings.group_id, "moved": [asdict(one) for one in moves]})
    for one in moves if form is Format.TABLE else []:
        before = "never read" if one.before is None else one.before
        console.say(f"{one.topic}/{one.partition}: was {before}, now {one.after}")


def _print_positions(group_id: str, found: "Sequence[PartitionState]") -> None:
    from projector.positions.view import title

    used = [state for state in found if state.position or state.high or state.problem]
    if not any(state.problem for state in found):
        console.say("Every position can be served.")
    console.print_table(
        title(group_id, left_out=len(found) - len(used)),
        ["Topic", "Partition>", "Next offset>", "Log from>", "Log to>", "Lag>", "State"],
        [[s.topic, s.partition, s.position, s.low, s.high, s.lag, _state(s.position, s.problem)] for s in used],
    )


def _state(position: int | None, problem: str | None) -> str:
    """Return what is unusual of a position."""
    if problem:
        return "cannot be served"
    return "never read" if position is None else ""


def _print_plan(group_id: str, moves: "Sequence[Move]") -> None:
    from projector.positions.view import title

    console.print_table(
        f"{title(group_id)} to be moved",
        ["Topic", "Partition>", "From>", "To>", "Skipped>", "Read again>", "Lost to retention>"],
        [[m.topic, m.partition, m.before, m.after, m.skipped, m.again, m.lost] for m in moves],
    )
    if skipped := sum(one.skipped for one in moves):
        console.say(
            f"{counted(skipped, 'offset')} {agree(skipped, 'is', 'are')} skipped: their events are never applied, and "
            "`backfill` cannot detect that: it compares balances with the history that was applied. Publish them again "
            "if they matter."
        )
    if lost := sum(one.lost for one in moves):
        deleted = f"{counted(lost, 'offset')} {agree(lost, 'was', 'were')} deleted by retention"
        console.say(f"{deleted} before being applied: publish the events again.")
    if sum(one.again for one in moves):
        console.say("What is read again changes nothing that was applied, and its conflicts are not counted again.")


def _partition(given: str) -> int | None:
    if given == ALL:
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
