"""A run's report for programs: one JSON document, its findings streamed so that none are held."""

import json
import sys
from dataclasses import asdict
from typing import Any

from psycopg import Connection

from backfill.report import Report
from backfill.runs import SQL, Run

FINDINGS = ("entity", "entity_id", "column", "recorded", "expected", "difference", "cause", "evidence",
            "found_at", "repaired_at")  # fmt: skip


def head(run: Run) -> dict[str, Any]:
    """Put a run and its tally into a JSON object."""
    return {
        "run_id": str(run.run_id),
        "command": run.command,
        "dry_run": run.dry,
        "state": run.state,
        "phase": run.phase,
        "error": run.error,
        "started_at": run.started_at.isoformat(),
        "updated_at": run.updated_at.isoformat(),
        "finished_at": run.finished_at and run.finished_at.isoformat(),
        "drifted": run.tally.drifted,
        **asdict(run.tally),
    }


def print_document(connection: Connection[Any], report: Report) -> None:
    """Write everything: the tally, the significant changes, and every finding."""
    names = ("customer_id", "name", "type", "before", "after", "difference")
    document = {
        **head(report.run),
        "currency": report.currency,
        "significant_threshold": report.threshold,
        "significant_count": report.significant_count,
        "significant_changes": [dict(zip(names, row, strict=True)) for row in report.significant],
    }
    write = sys.stdout.write
    write(json.dumps(document, default=str, ensure_ascii=False)[:-1] + ', "findings": [')
    with connection.transaction(), connection.cursor(name="findings") as cursor:
        cursor.execute(SQL["findings"], {"run_id": report.run.run_id, "limit": None})
        for number, row in enumerate(cursor):
            finding = dict(zip(FINDINGS, row, strict=True))
            write((", " if number else "") + json.dumps(finding, default=str, ensure_ascii=False))
    write("]}\n")
