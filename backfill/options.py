"""The options that a check, a rebuild and the recalculating steps have in common."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

WORKERS_MAX: Final = 8  # connections of one process; further processes share a run by --resume


class ReportFormat(StrEnum):
    """How a run's report is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


SignificantOption = Annotated[
    str, typer.Option(metavar="AMOUNT", help="list customers whose balance or overpayment is off by more than this")
]
ReportOption = Annotated[
    ReportFormat,
    typer.Option("--format", help="table for people, json for programs; csv and parquet hold the findings alone"),
]
OutputOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="where the report goes, in place of standard output")
]

ChunkSizeOption = Annotated[
    int | None,
    typer.Option(min=1, max=100_000, help="keys in one chunk; otherwise as many as take a quarter of a second"),
]
RowRateOption = Annotated[
    float | None, typer.Option(min=1, help="history rows compared a second by this process at most")
]
GovernorOption = Annotated[
    bool, typer.Option("--governor/--no-governor", help="give way to the consumers when they are pressed")
]
ResumeOption = Annotated[
    str | None, typer.Option(metavar="RUN", help="go on with a run that did not finish, or share one that is under way")
]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What may be asked of a run: what it covers, how fast it goes, and how it is reported."""

    customer: Annotated[list[int] | None, typer.Option(metavar="ID", help="only this customer; may be repeated")] = None
    meter: Annotated[
        list[int] | None,
        typer.Option(metavar="ID", help="only this meter and its customer's others; may be repeated"),
    ] = None
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="only what the stream touched since: 24h ago, or 2026-01-31T08:00+03:00"),
    ] = None
    sample: Annotated[
        str | None, typer.Option(metavar="SHARE", help="only this share of the customers, as 5%; the same each time")
    ] = None
    chunk_size: ChunkSizeOption = None
    workers: Annotated[int, typer.Option(min=1, max=WORKERS_MAX, help="chunks done at once in this process")] = 1
    max_rows_per_second: RowRateOption = None
    governor: GovernorOption = True
    resume: ResumeOption = None
    significant: SignificantOption = "100"
    form: ReportOption = ReportFormat.TABLE
    output: OutputOption = None


def takes_run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command whose last parameter is `options: RunOptions` each of them as an option of its own."""
    *own, _ = inspect.signature(command, eval_str=True).parameters.values()
    shared = [
        inspect.Parameter(
            field.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=field.default, annotation=field.type
        )
        for field in fields(RunOptions)
    ]
    names = {parameter.name for parameter in own}

    def spread(**given: Any) -> None:  # noqa: ANN401 - each of its option's type
        mine = {name: given.pop(name) for name in names}
        command(**mine, options=RunOptions(**given))

    parameters = [*own, *shared]
    spread.__name__ = command.__name__
    spread.__doc__ = command.__doc__
    spread.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    spread.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return spread
