"""`events`: publish, simulate, schema."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from events.contract.types import Mode
from events.runtime import boundary, console, settings
from events.runtime.console import Format, FormatOption
from events.runtime.errors import InputError

if TYPE_CHECKING:
    from events.simulate.options import Options

app = console.program("events", "The contract: publish, simulate and describe billing events.")

STANDARD_INPUT = "-"


def main() -> None:
    """Run the program."""
    boundary.run("events", app)


def _share(given: str | float) -> float:
    """Read a share as 0.05 or 5%; typer hands the default to it too."""
    text = str(given)
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither a share like 0.05 nor a percentage like 5%") from None
    if not 0 <= share <= 1:
        raise typer.BadParameter(f"{text} lies outside 0..1, or 0%..100%")
    return share


def _day(given: str | date) -> date:
    try:
        return date.fromisoformat(str(given))
    except ValueError:
        raise typer.BadParameter(f"{given!r} is not a day like 2026-01-31") from None


def _share_option(help_text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(parser=_share, metavar="SHARE", help=help_text)
    return option


@app.command("publish")
def publish_command(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="JSON Lines of CloudEvents; - reads standard input")],
    mode: Annotated[Mode, typer.Option(help="how an event is laid into a Kafka message")] = Mode.STRUCTURED,
    output: FormatOption = Format.TABLE,
) -> None:
    """Publish CloudEvents to the topics of their types.

    Every line is validated first. A bad one is named by its number, and nothing after it is sent.
    """
    from events.publish import publish

    with _opened(file) as lines:
        counts = publish(lines, settings.load(), "standard input" if file == STANDARD_INPUT else file, mode)
    _print_counts(counts, output)


@app.command("simulate")
def simulate_command(  # noqa: PLR0913, PLR0917 - one parameter an option
    seed: Annotated[int, typer.Option(help="the same seed and options give the same bytes")] = 1,
    customers: Annotated[int, typer.Option(min=1, help="how many customers")] = 1000,
    meters: Annotated[int | None, typer.Option(min=1, help="how many meters (two a customer if left out)")] = None,
    months: Annotated[int, typer.Option(min=1, max=1200, help="how many months are billed")] = 3,
    events: Annotated[
        int | None, typer.Option(min=0, help="stop after so many (when all is billed, if left out)")
    ] = None,
    start: Annotated[date, typer.Option(parser=_day, metavar="YYYY-MM-DD", help="a day of the first month")] = date(
        2026, 1, 1
    ),
    voids: Annotated[float, _share_option("of invoices voided and payments reversed")] = 0.01,
    duplicates: Annotated[float, _share_option("of events sent twice")] = 0.0,
    shuffle: Annotated[float, _share_option("of events sent out of order")] = 0.0,
    poison: Annotated[float, _share_option("of broken events added")] = 0.0,
    publish: Annotated[bool, typer.Option("--publish", help="send to Kafka, unvalidated, instead of printing")] = False,
    output: FormatOption = Format.TABLE,
) -> None:
    """Print a utility's traffic as JSON Lines, or publish it.

    A SHARE is written 0.05 or 5%.

    Poison is broken in many ways, not all JSON. `events publish` refuses it; --publish sends it as it is.
    """
    from events.simulate.options import Options

    _require_calendar(start, months)
    deployment = settings.load()
    options = Options(
        seed=seed,
        customers=customers,
        meters=2 * customers if meters is None else meters,
        months=months,
        events_max=events,
        start=start,
        voids=voids,
        duplicates=duplicates,
        shuffle=shuffle,
        poison=poison,
        currency=deployment.currency,
    )
    if publish:
        _print_counts(_published(options, deployment), output)
    else:
        _write_lines(options)


@app.command("schema")
def schema_command(
    event_type: Annotated[str | None, typer.Argument(metavar="[TYPE]", help="such as billing.invoice.issued")] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Print the JSON Schema of one event type, or of all by their names; indented unless --format json."""
    from events.contract.schema import schema, schemas

    described = schemas() if event_type is None else schema(event_type)
    if output is Format.JSON:
        console.print_json(described)
    else:
        sys.stdout.write(json.dumps(described, indent=2) + "\n")


def _require_calendar(start: date, months: int) -> None:
    if start.year + (start.month + months + 1) // 12 > date.max.year:  # the last bills fall due two months later
        raise InputError(f"--start {start} --months {months}: the calendar ends with the year {date.max.year}")


def _published(options: "Options", deployment: settings.Settings) -> Mapping[str, int]:
    from events.publish import sending
    from events.simulate.traffic import traffic

    with sending(deployment) as sender:
        for sent in traffic(options):
            sender.send(sent.entity, sent.key, sent.line)
    return sender.counts


def _write_lines(options: "Options") -> None:
    from events.simulate.traffic import simulate

    sys.stdout.buffer.writelines(line + b"\n" for line in simulate(options))
    sys.stdout.buffer.flush()


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == STANDARD_INPUT:
        yield sys.stdin.buffer
        return
    try:
        with Path(file).open("rb") as lines:
            yield lines
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from None


def _print_counts(counts: Mapping[str, int], output: Format) -> None:
    total = sum(counts.values())
    if output is Format.JSON:
        console.print_json({"published": total, "topics": dict(sorted(counts.items()))})
        return
    console.print_table("Published", ("Topic", "Events>"), [*sorted(counts.items()), ("total", total)])
