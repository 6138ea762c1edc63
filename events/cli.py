"""`events`: publish, simulate, schema."""

import json
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from events.contract.types import TYPES, Mode
from events.runtime import boundary, console, option_values, settings
from events.runtime.console import Format, FormatOption
from events.runtime.errors import InputError

if TYPE_CHECKING:
    from events.simulate.options import Options

app = console.program("events", "The contract: publish, simulate and describe billing events.")

STANDARD_INPUT = "-"


def main() -> None:
    """Run the program."""
    boundary.run("events", app)


def _start_day(given: str | date) -> date:  # typer passes the default, too
    return option_values.day("--start", str(given))


StartOption = Annotated[date, typer.Option(parser=_start_day, metavar="YYYY-MM-DD", help="a day of the first month")]


def _share_option(name: str, help_text: str) -> typer.models.OptionInfo:
    def read(given: str | float) -> float:  # typer passes the default, too
        return option_values.fraction(name, str(given), zero=True)

    option: typer.models.OptionInfo = typer.Option(name, parser=read, metavar="SHARE", help=help_text)
    return option


@app.command("publish")
def publish_command(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="JSON Lines of CloudEvents; - reads standard input")],
    mode: Annotated[Mode, typer.Option(help="how an event is written into a Kafka message")] = Mode.STRUCTURED,
    from_line: Annotated[int, typer.Option("--from-line", min=1, help="leave out the lines before this one")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="validate every line and send nothing")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Publish CloudEvents to the topics of their types.

    The whole of a file is validated first: if a line is invalid, the first 20 are named by number, and nothing is sent.

    A pipe is validated line by line: an invalid line is named, those before it are sent, and nothing after it.

    A member that the contract does not know is ignored. If it nearly has the name of one that the event lacks, or
    stands beside data instead of in it, a warning names it, and the event is sent.
    """
    from events.misspellings import told
    from events.publish import publish
    from events.runtime import logs

    deployment = settings.load()
    logs.configure(deployment)
    name = "standard input" if file == STANDARD_INPUT else file
    with _opened(file) as lines:
        if dry_run:
            _print_counts(_validated(lines, deployment, name, from_line), form, dry_run=True)
            return
        if _is_regular(lines):
            start = lines.tell()
            _validated(lines, deployment, name, from_line)
            lines.seek(start)
            counts = publish(lines, deployment, name, mode, from_line=from_line)
        else:
            with told(name, console.say_on_stderr) as look:
                counts = publish(lines, deployment, name, mode, from_line=from_line, look=look)
    _print_counts(counts, form)


@app.command("simulate")
def simulate_command(  # noqa: PLR0913, PLR0917 - one parameter an option
    seed: Annotated[int, typer.Option(help="the same seed and options give the same bytes")] = 1,
    customers: Annotated[int, typer.Option(min=1, help="number of customers")] = 1000,
    meters: Annotated[int | None, typer.Option(min=1, help="number of meters; default: two per customer")] = None,
    months: Annotated[int, typer.Option(min=1, max=1200, help="number of months billed")] = 3,
    events: Annotated[int | None, typer.Option(min=0, help="stop after so many events; default: no limit")] = None,
    start: StartOption = date(2026, 1, 1),
    voids: Annotated[float, _share_option("--voids", "of invoices voided and of payments reversed")] = 0.01,
    duplicates: Annotated[float, _share_option("--duplicates", "of events sent twice")] = 0.0,
    shuffle: Annotated[float, _share_option("--shuffle", "of events sent out of order")] = 0.0,
    poison: Annotated[float, _share_option("--poison", "of broken events added")] = 0.0,
    rate: Annotated[
        float | None, typer.Option(min=0.01, max=1e6, help="events per second; default: as fast as they are taken")
    ] = None,
    publish: Annotated[bool, typer.Option("--publish", help="send to Kafka, unvalidated, instead of printing")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Print a simulated utility's events as JSON Lines, or publish them.

    A SHARE is written as 0.05 or 5%.

    Broken events are invalid in many ways; some are not JSON. `events publish` refuses them; --publish sends them.
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
        _print_counts(_published(options, deployment, rate), form)
    else:
        _write_lines(options, rate)


@app.command("schema")
def schema_command(
    event_type: Annotated[str | None, typer.Argument(metavar="[TYPE]", help="such as billing.invoice.issued")] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Print the JSON Schema of one event type, or of all by name; indented unless --format json."""
    from events.contract.schema import schema, schemas

    if event_type is not None and event_type not in TYPES:
        raise InputError(f"{event_type} is none of the event types {', '.join(TYPES)}")
    described = schemas() if event_type is None else schema(event_type)
    if form is Format.JSON:
        console.print_json(described)
    else:
        sys.stdout.write(json.dumps(described, indent=2) + "\n")


def _validated(lines: BinaryIO, deployment: settings.Settings, name: str, from_line: int) -> Mapping[str, int]:
    """Count the valid lines by topic; list the invalid ones on standard error, and raise.

    Raises:
        InputError: a line is invalid.

    """
    from events.contract.decode import Decoder
    from events.contract.types import topic_of
    from events.json_lines import PROBLEMS_MAX, check, describe
    from events.misspellings import told

    with told(name, console.say_on_stderr) as look:
        found = check(lines, Decoder(deployment.currency, deployment.topic_prefix), from_line, look)
    listed = [describe(name, *problem) for problem in found.problems]
    if found.invalid == 1:
        raise InputError(f"{listed[0]}; nothing was sent")
    for line in listed:
        console.say_on_stderr(line)
    if found.invalid:
        total, limit = found.invalid + sum(found.valid.values()), PROBLEMS_MAX
        which = f", of which the first {limit} are named" if found.invalid > limit else ""
        raise InputError(f"{name}: {found.invalid:,} of {total:,} lines are invalid{which}; nothing was sent")
    return {topic_of(entity, deployment.topic_prefix): count for entity, count in found.valid.items()}


def _is_regular(lines: BinaryIO) -> bool:
    """Tell whether lines can be read twice, and end."""
    return stat.S_ISREG(os.fstat(lines.fileno()).st_mode)


def _require_calendar(start: date, months: int) -> None:
    if start.year + (start.month + months + 1) // 12 > date.max.year:  # the last bills fall due two months later
        raise InputError(f"--start {start} --months {months}: the calendar ends with the year {date.max.year}")


def _published(options: "Options", deployment: settings.Settings, rate: float | None) -> Mapping[str, int]:
    from events.publish import sending
    from events.runtime import logs
    from events.simulate.pacing import paced
    from events.simulate.traffic import traffic

    logs.configure(deployment)
    with sending(deployment) as sender:
        stream = traffic(options)
        for sent in stream if rate is None else paced(stream, rate, before_pause=sender.poll):
            sender.send(sent.entity, sent.key, sent.line)
    return sender.counts


def _write_lines(options: "Options", rate: float | None) -> None:
    from events.simulate.pacing import paced
    from events.simulate.traffic import simulate

    output, stream = sys.stdout.buffer, simulate(options)
    lines = stream if rate is None else paced(stream, rate, before_pause=output.flush)
    output.writelines(line + b"\n" for line in lines)
    output.flush()


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


def _print_counts(counts: Mapping[str, int], form: Format, *, dry_run: bool = False) -> None:
    total = sum(counts.values())
    if form is Format.JSON:
        sums = {"published": 0, "valid": total} if dry_run else {"published": total}
        console.print_json({**sums, "topics": dict(sorted(counts.items()))})
        return
    title = "Valid; nothing was sent" if dry_run else "Published"
    console.print_table(title, ("Topic", "Events>"), [*sorted(counts.items()), ("total", total)])
