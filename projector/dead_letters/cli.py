"""`projector dead-letters list|show|retry|discard`."""

import getpass
import os
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from events.contract.limits import BIGINT_MAX
from events.contract.types import Reason
from events.runtime import console
from events.runtime.console import Format, FormatOption
from events.runtime.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from psycopg import Connection
    from sqlalchemy import Engine

    from events.runtime.settings import Settings


app = console.app("Refused messages: list them, retry them, or discard them. None is ever deleted.")


class State(StrEnum):
    """The state of a dead letter; `all` is for lists."""

    OPEN = "open"
    APPLIED = "applied"
    DISCARDED = "discarded"
    ALL = "all"


Id = Annotated[int, typer.Argument(metavar="ID", min=1, max=BIGINT_MAX, help="id of a dead letter", show_default=False)]
Ids = Annotated[
    list[int] | None,
    typer.Argument(metavar="ID", min=1, max=BIGINT_MAX, help="ids of dead letters", show_default=False),
]
ReasonOption = Annotated[
    str | None, typer.Option("--reason", help=f"only those refused for this reason: {', '.join(get_args(Reason))}")
]
TopicOption = Annotated[str | None, typer.Option("--topic", help="only those of this topic")]
AllOption = Annotated[bool, typer.Option("--all", help="every open one, or every open one of --reason and --topic")]
ByOption = Annotated[str | None, typer.Option("--by", help="who is recorded as doing this; default: the OS user")]


@app.command("list")
def list_(
    reason: ReasonOption = None,
    topic: TopicOption = None,
    state: Annotated[State, typer.Option(help="only those in this state")] = State.OPEN,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="how many are shown")] = 50,
    form: FormatOption = Format.TABLE,
) -> None:
    """List refused messages, latest first."""
    from projector.database.engines import transaction
    from projector.dead_letters import listing

    filters = {"reason": _known(reason), "topic": topic, "state": None if state is State.ALL else state.value}
    with _opened("list") as (settings, engine), transaction(engine) as connection:
        listing.print_list(connection, filters, limit, form, settings.zone)


@app.command()
def show(
    letter: Id,
    raw: Annotated[bool, typer.Option("--raw", help="write only the value's bytes, unchanged")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Show everything that is stored of one: place, reason, key, headers, value."""
    from projector.database.engines import transaction
    from projector.dead_letters import listing

    with _opened("show") as (settings, engine), transaction(engine) as connection:
        row = listing.read_one(connection, letter)
    if raw:
        listing.print_raw(row)
    else:
        listing.print_one(row, form, settings.zone)


@app.command()
def retry(  # noqa: PLR0913, PLR0917 - the command's options
    ids: Ids = None,
    reason: ReasonOption = None,
    topic: TopicOption = None,
    everything: AllOption = False,
    by: ByOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Decode open dead letters again, with this version and these settings, and apply those that are accepted.

    Accepted ones are applied like any event. Those that are still refused stay open, with their new reason.

    Exit code 0: none of them is still refused. 1: some are. 2: nothing was tried.
    """
    from events.contract.decode import Decoder
    from projector.consume import merge
    from projector.consume.conflicts import listed
    from projector.dead_letters import resolve, selection

    if not (ids or reason or topic or everything):
        raise InputError("retry needs ids, or --reason or --topic, or --all for every open dead letter")
    chosen = selection.Selection(ids=_alone(ids, reason, topic, everything), reason=_known(reason), topic=topic)
    with _connection("retry") as (settings, connection):
        closed = chosen.closed(connection)
        merge.prepare(connection)
        decode = Decoder(settings.currency, settings.topic_prefix)
        done = resolve.retry(connection, chosen, decode, _storable(by or _user()))
    if form is Format.JSON:
        refused = dict(done.refused)
        counts = {"applied": done.applied, "refused": refused, "elsewhere": done.elsewhere, "conflicts": done.conflicts}
        console.print_json({**counts, "closed_before": closed})
    else:
        console.say(f"applied: {done.applied:,}")
        for why, count in done.refused.most_common():
            console.say(f"still refused, {why}: {count:,}")
        if done.conflicts:
            which = listed(done.first_conflicts, done.conflicts)
            console.say(f"conflicts: {done.conflicts:,} had the version of another event, and other content: {which}")
        if done.elsewhere:
            console.say(f"left to a concurrent retry or discard: {done.elsewhere:,}")
        _say_closed(closed)
    raise typer.Exit(1 if done.refused else 0)


@app.command()
def discard(  # noqa: PLR0913, PLR0917 - the command's options
    why: Annotated[str, typer.Option("--why", help="the reason, recorded with each", show_default=False)],
    ids: Ids = None,
    reason: ReasonOption = None,
    topic: TopicOption = None,
    everything: AllOption = False,
    by: ByOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Permanently discard open dead letters; the record keeps who, when and why."""
    from projector.dead_letters import resolve, selection

    if not (ids or everything):
        raise InputError("discard needs ids, or --all for every open dead letter of --reason and --topic")
    if not why.strip():
        raise InputError("--why is empty: give the reason why these messages are not needed")
    chosen = selection.Selection(ids=_alone(ids, reason, topic, everything), reason=_known(reason), topic=topic)
    with _connection("discard") as (_, connection):
        closed = chosen.closed(connection)
        count = resolve.discard(connection, chosen, by=_storable(by or _user()), why=_storable(why))
    if form is Format.JSON:
        console.print_json({"discarded": count, "closed_before": closed})
    else:
        console.say(f"discarded: {count:,}")
        _say_closed(closed)


def _alone(ids: list[int] | None, *others: object) -> list[int] | None:
    if ids and any(others):
        raise InputError("give either ids, or --reason, --topic and --all")
    return ids or None


def _known(reason: str | None) -> str | None:
    if reason is not None and reason not in get_args(Reason):
        raise InputError(f"--reason {reason}: there is no such reason; there are {', '.join(get_args(Reason))}")
    return reason


def _storable(text: str) -> str:
    """Replace what PostgreSQL cannot store as text: surrogates of arguments that are not UTF-8."""
    return text.encode("utf-8", "replace").decode()


def _say_closed(closed: dict[int, str]) -> None:
    for state in (State.APPLIED, State.DISCARDED):
        if count := sum(was == state for was in closed.values()):
            console.say(f"already {state.value}, unchanged: {count:,}")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}"


def _opened(command: str) -> "AbstractContextManager[tuple[Settings, Engine]]":
    from projector.deployment.opening import open_database

    return open_database(f"projector dead-letters {command}")


@contextmanager
def _connection(command: str) -> "Iterator[tuple[Settings, Connection[Any]]]":
    from projector.database.engines import own_session
    from projector.database.failures import translate_refusals

    with _opened(command) as (settings, engine), own_session(engine) as connection, translate_refusals():
        yield settings, connection
