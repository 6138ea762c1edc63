"""The format of a run's report, and where it goes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Final, assert_never

from psycopg import Connection

from backfill.options import ReportFormat
from backfill.reports import csv_report, json_report, text_report
from backfill.reports.text_report import Report
from backfill.reports.verdict import sentence
from backfill.runs.store import Run
from events.runtime.errors import InputError, SettingError
from events.runtime.extras import how_to_install
from events.runtime.settings import Settings

OWNER_ALONE: Final = 0o600


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Format and file of a report (none: standard output), and the least significant change."""

    format: ReportFormat = ReportFormat.TABLE
    output: Path | None = None
    significant: Decimal = Decimal(100)

    @property
    def to_people(self) -> bool:
        """Whether it is read on standard output."""
        return self.format is ReportFormat.TABLE and self.output is None


def require_possible(report: ReportOptions) -> None:
    """Refuse, before anything is begun, a format that cannot be written.

    Raises:
        InputError: Parquet needs a file.
        SettingError: the package that writes Parquet is not installed.

    """
    if report.format is not ReportFormat.PARQUET:
        return
    if report.output is None:
        raise InputError("--format parquet is not text: give --output FILE")
    if find_spec("pyarrow") is None:
        raise SettingError(f"--format parquet needs an extra: {how_to_install('parquet')}")


@contextmanager
def opened(report: ReportOptions) -> Iterator[IO[str] | None]:
    """Open the file that a report goes to, under a temporary name until it is complete.

    It contains names, so only its owner can read it, whatever the umask and the rights of the file that it replaces.

    Raises:
        InputError: it cannot be written.

    """
    if report.output is None:
        yield None
        return
    if not report.output.name or (report.output.exists() and not report.output.is_file()):
        raise InputError(f"--output {report.output}: not a file that can be replaced")
    draft = report.output.with_name(f".{report.output.name}.{os.getpid()}")
    try:
        file = open(draft, "x", encoding="utf-8", newline="", opener=_for_its_owner)  # noqa: SIM115 - closed below
    except OSError as error:
        raise InputError(f"--output {report.output}: {error.strerror}") from None
    try:
        with file:
            yield file
        with _written(report):
            draft.replace(report.output)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _written(report: ReportOptions) -> Iterator[None]:
    """Report a full disk as such, and not as a failed run: the findings are kept with the run.

    Raises:
        InputError: the file cannot be written.

    """
    try:
        yield
    except OSError as error:
        hint = (
            "the findings are kept: `backfill runs` lists the run, `backfill runs show RUN --output FILE` writes them"
        )
        raise InputError(f"--output {report.output}: {error.strerror or error}; {hint}") from None


def _for_its_owner(path: str, flags: int) -> int:
    return os.open(path, flags, OWNER_ALONE)


def begin(run: Run, report: ReportOptions) -> None:
    """Print what is printed before a run, where a person reads the report."""
    if report.to_people:
        text_report.banner(run)


def write_report(
    settings: Settings, connection: Connection[Any], run: Run, report: ReportOptions, file: IO[str] | None
) -> str:
    """Write a run's report; if it goes to a file, return the sentence that names the file.

    Raises:
        InputError: it cannot be written there.

    """
    found = text_report.read(connection, run, report.significant, settings)
    if file is None:
        _write(connection, found, report)
        return ""
    with _written(report):
        if report.format is ReportFormat.PARQUET:
            from backfill.reports import parquet_report  # noqa: PLC0415 - an extra

            parquet_report.write(connection, run, Path(file.name))
        else:
            with redirect_stdout(file):
                _write(connection, found, report)
            file.flush()
    return f"{sentence(run, found.off, found.zone)} Report: {report.output}"


def _write(connection: Connection[Any], found: Report, report: ReportOptions) -> None:
    match report.format:
        case ReportFormat.JSON:
            json_report.print_document(connection, found)
        case ReportFormat.CSV:
            csv_report.print_rows(connection, found.run)
        case ReportFormat.TABLE:
            text_report.print_report(found)
            text_report.banner(found.run)
        case ReportFormat.PARQUET:
            raise AssertionError("unreachable: Parquet is written into a file")
        case other:
            assert_never(other)
