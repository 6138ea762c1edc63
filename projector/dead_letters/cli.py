"""`projector dead-letters list|show|retry|discard`."""

import getpass
import os
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from events.contract.types import BIGINT_MAX, Reason
from events.runtime import console
from events.runtime.console import Format, FormatOption
from events.runtime.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import Connection
    from sqlalchemy import Engine

    from events.runtime.settings import Settings


app = console.app("The refused messages: why, their bytes, and what becomes of them. None is ever deleted.")


class State(StrEnum):
    """What became of a refused message; `all` is for lists."""

    OPEN = "open"
    APPLIED = "applied"
    DISCARDED = "discarded"
    ALL = "all"


Id = Annotated[int, typer.Argument(metavar="ID", min=1, max=BIGINT_MAX, help="of a dead letter", show_default=False)]
Ids = Annotated[
    list[int] | None,
    typer.Argument(metavar="ID", min=1, max=BIGINT_MAX, help="of dead letters", show_default=False),
]
ReasonOption = Annotated[str | None, typer.Option("--reason", help=f"only those: {', '.join(get_args(Reason))}")]
TopicOption = Annotated[str | None, typer.Option("--topic", help="only those read from this topic")]
AllOption = Annotated[bool, typer.Option("--all", help="every open one that --reason and --topic leave")]
ByOption = Annotated[str | None, typer.Option("--by", help="who is kept as having done it; by default, the OS user")]


@app.command("list")
def list_(
    reason: ReasonOption = None,
    topic: TopicOption = None,
    state: Annotated[State, typer.Option(help="what became of them")] = State.OPEN,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="how many to show")] = 50,
    output: FormatOption = Format.TABLE,
) -> None:
    """List refused messages, latest first."""
    from projector.dead_letters import listing

    filters = {"reason": _known(reason), "topic": topic, "state": None if state is State.ALL else state.value}
    with _database("list") as (_, engine), engine.connect() as connection:
        listing.print_list(connection, filters, limit, output)


@app.command()
def show(
    letter: Id,
    raw: Annotated[bool, typer.Option("--raw", help="write the value's bytes unchanged, and nothing else")] = False,
    output: FormatOption = Format.TABLE,
) -> None:
    """Show all that is kept of one: place, reason, key, headers, value."""
    from projector.dead_letters import listing

    with _database("show") as (_, engine), engine.connect() as connection:
        row = listing.read_one(connection, letter)
    if raw:
        listing.print_raw(row)
    else:
        listing.print_one(row, output)


@app.command()
def retry(  # noqa: PLR0913, PLR0917 - the command's options
    ids: Ids = None,
    reason: ReasonOption = None,
    topic: TopicOption = None,
    everything: AllOption = False,
    by: ByOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Decode and apply open ones again, with this version and these settings.

    What is accepted now goes through the same merge as any event; what is still refused stays open, for its new reason.

    Exit code 0: nothing that was tried stayed refused. 1: something did. 2: nothing was tried.
    """
    from events.contract.decode import Decoder
    from projector.consume import merge
    from projector.dead_letters import resolve, selection

    if not (ids or reason or topic or everything):
        raise InputError("retry needs ids, or --reason or --topic, or --all for every open dead letter")
    chosen = selection.Selection(ids=_alone(ids, reason, topic, everything), reason=_known(reason), topic=topic)
    with _connection("retry") as (settings, connection):
        closed = chosen.closed(connection)
        merge.prepare(connection)
        decode = Decoder(settings.currency, settings.topic_prefix)
        done = resolve.retry(connection, chosen, decode, _storable(by or _user()))
    if output is Format.JSON:
        refused = dict(done.refused)
        counts = {"applied": done.applied, "refused": refused, "elsewhere": done.elsewhere, "conflicts": done.conflicts}
        console.print_json({**counts, "closed_before": closed})
    else:
        typer.echo(f"applied: {done.applied:,}")
        for why, count in done.refused.most_common():
            typer.echo(f"still refused, {why}: {count:,}")
        if done.conflicts:
            typer.echo(f"conflicts: {done.conflicts:,} had the version of another event and other content")
        if done.elsewhere:
            typer.echo(f"left to another retry or discard at the same time: {done.elsewhere:,}")
        _say_closed(closed)
    raise typer.Exit(1 if done.refused else 0)


@app.command()
def discard(  # noqa: PLR0913, PLR0917 - the command's options
    why: Annotated[str, typer.Option("--why", help="kept with each", show_default=False)],
    ids: Ids = None,
    reason: ReasonOption = None,
    topic: TopicOption = None,
    everything: AllOption = False,
    by: ByOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Give open ones up, for good; they are kept, with who, when and why."""
    from projector.dead_letters import resolve, selection

    if not (ids or everything):
        raise InputError("discard needs ids, or --all for every open dead letter that --reason and --topic leave")
    if not why.strip():
        raise InputError("--why is empty: say why nobody needs these messages")
    chosen = selection.Selection(ids=_alone(ids, reason, topic, everything), reason=_known(reason), topic=topic)
    with _connection("discard") as (_, connection):
        closed = chosen.closed(connection)
        count = resolve.discard(connection, chosen, by=_storable(by or _user()), why=_storable(why))
    if output is Format.JSON:
        console.print_json({"discarded": count, "closed_before": closed})
    else:
        typer.echo(f"discarded: {count:,}")
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
    """Leave out what PostgreSQL's text cannot hold: surrogates of broken arguments."""
    return text.encode("utf-8", "replace").decode()


def _say_closed(closed: dict[int, str]) -> None:
    for state in (State.APPLIED, State.DISCARDED):
        if count := sum(was == state for was in closed.values()):
            typer.echo(f"{state.value} before, left as they were: {count:,}")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return f"uid {os.getuid()}"


@contextmanager
def _database(command: str) -> "Iterator[tuple[Settings, Engine]]":
    from events.runtime import settings
    from projector.database import engines, failures
    from projector.deployment import identity

    chosen = settings.load()
    engine = engines.make_engine(chosen, program=f"projector dead-letters {command}")
    with failures.translate_database_errors(chosen):
        identity.require(engine, chosen)
        yield chosen, engine


@contextmanager
def _connection(command: str) -> "Iterator[tuple[Settings, Connection[Any]]]":
    from projector.database.own_session import own_session

    with _database(command) as (chosen, engine), own_session(engine) as connection:
        yield chosen, connection
