"""A run's report for programs: one JSON document; findings are streamed, so memory does not grow with them."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Final

from psycopg import Connection

from backfill.audit.estimate import eta_seconds
from backfill.reports.text_report import Report
from backfill.runs import drift
from backfill.runs.selection import KEY as SELECTION
from backfill.runs.store import Run
from events.runtime.console import escaped

FINDINGS: Final = ("entity", "entity_id", "column", "recorded", "expected", "difference", "cause", "evidence",
                   "found_at", "repaired_at", "positions", "name")  # fmt: skip
"""The members of a finding; `name` is a customer's name, `positions` the consumers' positions at which it holds."""
SIGNIFICANT: Final = ("customer_id", "name", "type", "before", "after", "difference")


def head(run: Run) -> dict[str, Any]:
    """Return a run and its tally as a JSON object."""
    return {
        "run_id": str(run.run_id),
        "command": run.command,
        "part_of": run.part_of,
        "selection": run.selection.options.get(SELECTION),
        "dry_run": run.dry,
        "state": run.state,
        "phase": run.phase,
        "rounds": run.round,
        "error": run.error,
        "started_at": run.started_at.isoformat(),
        "updated_at": run.updated_at.isoformat(),
        "finished_at": run.finished_at and run.finished_at.isoformat(),
        "drifted": run.tally.drifted,
        **asdict(run.tally),
    }


def print_document(connection: Connection[Any], report: Report) -> None:
    """Write the tally, the significant changes and all findings."""
    document = {
        **head(report.run),
        "eta_seconds": eta_seconds(connection, report.run),
        "currency": report.currency,
        "significant_threshold": report.threshold,
        "significant_count": report.significant_count,
    }
    sys.stdout.write(escaped(json.dumps(document, default=str, ensure_ascii=False))[:-1])
    changes = drift.each_significant_change(connection, report.run, report.threshold)
    _print_list("significant_changes", SIGNIFICANT, changes)
    _print_list("findings", FINDINGS, drift.each_finding(connection, report.run))
    sys.stdout.write("}\n")


def _print_list(name: str, members: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    write = sys.stdout.write
    write(f', "{name}": [')
    for number, row in enumerate(rows):
        each = dict(zip(members, row, strict=True))
        write((", " if number else "") + escaped(json.dumps(each, default=str, ensure_ascii=False)))
    write("]")
