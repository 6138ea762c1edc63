"""`python -m tests.bench`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from events.runtime import boundary, console
from events.runtime.console import Format, FormatOption
from events.runtime.errors import InputError
from tests.bench import (
    auditing,
    beside,
    copying,
    hot,
    landlord,
    latency,
    machine,
    memory,
    metering,
    one_by_one,
    report,
    scale,
    streaming,
)
from tests.bench.figures import Figure, with_ratios
from tests.bench.plan import Measurement, Plan, chosen
from tests.bench.workload import Workload, prepared, say

app = console.app("Measure the projector and the auditor beside what they are compared with, on a throw-away sandbox.")

CALM: Final = 0.5  # load of other programs, in cores, from which on figures are to be read with care

OnlyOption = Annotated[list[Measurement] | None, typer.Option(help="measure this, and what it needs; may be repeated")]
OutputOption = Annotated[Path | None, typer.Option(metavar="FILE", help="write the whole as JSON")]


@app.command()
def bench(  # noqa: PLR0913, PLR0917 - one parameter an option
    events: Annotated[int, typer.Option(min=1, help="events in Kafka when the projector starts")] = 1_000_000,
    customers: Annotated[int, typer.Option(min=1)] = 100_000,
    meters: Annotated[int, typer.Option(min=1)] = 200_000,
    sample: Annotated[int, typer.Option(min=1, help="events applied in a transaction each")] = 3_000,
    rate: Annotated[int, typer.Option(min=1, help="events a second while latency is measured")] = 2_000,
    busy_rate: Annotated[int, typer.Option(min=1, help="events a second while a drift check runs beside")] = 5_000,
    seconds: Annotated[int, typer.Option(min=1, help="how long each of these lasts")] = 20,
    scale: Annotated[int, typer.Option(min=10, help="customers with twenty history rows each")] = 1_000_000,
    shape: Annotated[
        int, typer.Option(min=100, help="meters of one customer, payments of one invoice or meter")
    ] = 50_000,
    only: OnlyOption = None,
    output: OutputOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Measure everything in one run and print it side by side.

    A mark that is not met changes no exit code: it is for people to judge, on a machine that does nothing else.
    """
    plan = Plan(
        events=events,
        customers=customers,
        meters=meters,
        sample=min(sample, events),
        rate=rate,
        busy_rate=busy_rate,
        seconds=seconds,
        scale=scale,
        shape=shape,
        only=chosen(only or ()),
    )
    with prepared(plan) as workload:
        ran_on = machine.describe(workload)
        if ran_on["load_before"] > CALM:
            say(f"note: the machine is busy (load {ran_on['load_before']}); trust the ratios more than the rates")
        figures = with_ratios(_measured(workload))
    document = report.document(ran_on, plan, figures)
    if form is Format.JSON:
        console.print_json(document)
    else:
        report.print_tables(ran_on, plan, figures)
    if output is not None:
        _write(output, document)


def _measured(workload: Workload) -> Iterator[Figure]:
    """Measure what was asked for, in an order in which nothing disturbs what follows."""
    only = workload.plan.only
    if Measurement.PROJECTOR in only:
        projected = streaming.project(workload)
        yield from projected
        if Measurement.METRICS in only:
            yield from metering.measure(workload, projected)
    if Measurement.YARDSTICK in only:
        yield from copying.copy(workload)
    if only & {Measurement.DRIFT_CHECK, Measurement.PLAIN}:
        yield from auditing.audit(workload)
    if Measurement.DUPLICATES in only:
        yield from streaming.project_duplicates(workload)
    if Measurement.LATENCY in only:
        yield from latency.measure(workload)
    if Measurement.BESIDE in only:
        yield from beside.measure(workload)
    if Measurement.ONE_BY_ONE in only:
        yield from one_by_one.consume(workload)
    if Measurement.PROJECTOR in only:
        auditing.recompute(workload)
    yield from _apart(workload)


def _apart(workload: Workload) -> Iterator[Figure]:
    """Measure what makes its own events, and so leaves nothing of the others' as it was."""
    if Measurement.MEMORY in workload.plan.only:
        yield from memory.measure(workload)
    if Measurement.SCALE in workload.plan.only:
        yield from scale.measure(workload)
    if workload.plan.only & {Measurement.LANDLORD, Measurement.EVERYTHING_WRONG}:
        yield from landlord.measure(workload)
    if workload.plan.only & {Measurement.HOT_INVOICE, Measurement.HOT_METER}:
        yield from hot.measure(workload)


def _write(output: Path, document: dict[str, Any]) -> None:
    try:
        output.write_text(json.dumps(document, indent=2) + "\n")
    except OSError as error:
        raise InputError(f"{output}: {error.strerror}") from None


if __name__ == "__main__":
    boundary.run("bench", app)
