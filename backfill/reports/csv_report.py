"""A run's findings as CSV (RFC 4180), one row each, streamed.

Text that a spreadsheet would take for a formula gets an apostrophe in front (OWASP, "CSV Injection"); numbers stay as
they are, whatever their sign. Characters that are not printable are made visible, as on a terminal.
"""

import csv
import json
import re
import sys
from collections.abc import Sequence
from typing import Any, Final

from psycopg import Connection

from backfill.reports.json_report import FINDINGS
from backfill.runs import drift
from backfill.runs.store import Run
from events.runtime.console import escaped, printable

NUMBER: Final = re.compile(r"[-+]?[0-9][0-9.]*")
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


def print_rows(connection: Connection[Any], run: Run) -> None:
    """Write the heading and every finding."""
    writer = csv.writer(sys.stdout, lineterminator="\r\n")
    writer.writerow(("run_id", *FINDINGS))
    for row in drift.each_finding(connection, run):
        writer.writerow(line(run, row))


def line(run: Run, row: Sequence[Any]) -> list[str]:
    """Return one finding as the cells of a line."""
    return [str(run.run_id), *map(_cell, row)]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, dict | list):
        return escaped(json.dumps(value, default=str, ensure_ascii=False))
    text = printable(str(value)).replace("\n", "\\n")
    return f"'{text}" if text.startswith(FORMULA_STARTS) and not NUMBER.fullmatch(text) else text
