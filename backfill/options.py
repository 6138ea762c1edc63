"""The options that checks, rebuilds and recalculations have in common."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

WORKERS_MAX: Final = 8  # connections of one process; more processes join a run by --resume


class ReportFormat(StrEnum):
    """The format of a run's report."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


SignificantOption = Annotated[
    str, typer.Option(metavar="AMOUNT", help="list customers whose balance or overpayment differs by more than this")
]
ReportOption = Annotated[
    ReportFormat,
    typer.Option("--format", help="table for people, json for programs; csv and parquet contain only the findings"),
]
OutputOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="write the report to this file instead of standard output")
]

ChunkSizeOption = Annotated[
    int | None,
    typer.Option(min=1, max=100_000, help="keys in one chunk; default: as many as take a quarter of a second"),
]
RowRateOption = Annotated[
    float | None, typer.Option(min=1, help="compare at most this many history rows a second in this process")
]
GovernorOption = Annotated[
    bool, typer.Option("--governor/--no-governor", help="slow down while consumers are overloaded")
]
ResumeOption = Annotated[
    str | None, typer.Option(metavar="RUN", help="resume a run that did not finish, or join one that is running")
]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What a run covers, how fast it goes, and how it is reported."""

    customer: Annotated[list[int] | None, typer.Option(metavar="ID", help="only this customer; may be repeated")] = None
    meter: Annotated[
        list[int] | None,
        typer.Option(metavar="ID", help="only this meter and the other meters of its customer; may be repeated"),
    ] = None
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="only what the stream changed since: 24h (ago), or 2026-01-31T08:00+03:00"),
    ] = None
    sample: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE", help="only this share of the customers, such as 5%; each run takes the same ones"
        ),
    ] = None
    chunk_size: ChunkSizeOption = None
    workers: Annotated[int, typer.Option(min=1, max=WORKERS_MAX, help="chunks processed at once in this process")] = 1
    max_rows_per_second: RowRateOption = None
    governor: GovernorOption = True
    resume: ResumeOption = None
    significant: SignificantOption = "100"
    form: ReportOption = ReportFormat.TABLE
    output: OutputOption = None


def takes_run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command whose last parameter is `options: RunOptions` each of these as an option of its own."""
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
