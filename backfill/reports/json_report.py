"""A run's report for programs: one JSON document, its findings streamed so that none are held."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from psycopg import Connection

from backfill.reports.text_report import Report
from backfill.runs.store import SQL, Run
from events.runtime.console import escaped

FINDINGS: Final = ("entity", "entity_id", "column", "recorded", "expected", "difference", "cause", "evidence",
                   "found_at", "repaired_at", "positions", "name")  # fmt: skip
"""The members of a finding; `name` is a customer's, `positions` those of the consumers at which it holds."""
SIGNIFICANT: Final = ("customer_id", "name", "type", "before", "after", "difference")


def head(run: Run) -> dict[str, Any]:
    """Put a run and its tally into a JSON object."""
    return {
        "run_id": str(run.run_id),
        "command": run.command,
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
    """Write everything: the tally, the significant changes, and every finding."""
    document = {
        **head(report.run),
        "currency": report.currency,
        "significant_threshold": report.threshold,
        "significant_count": report.significant_count,
    }
    sys.stdout.write(escaped(json.dumps(document, default=str, ensure_ascii=False))[:-1])
    where = {"run_id": report.run.run_id, "threshold": report.threshold, "limit": None}
    _print_list("significant_changes", SIGNIFICANT, _streamed(connection, "significant_changes", where))
    _print_list("findings", FINDINGS, each_finding(connection, report.run))
    sys.stdout.write("}\n")


def each_finding(connection: Connection[Any], run: Run) -> Iterator[tuple[Any, ...]]:
    """Read a run's findings as `FINDINGS` names them, whatever moved most money first; none are held."""
    return _streamed(connection, "findings", {"run_id": run.run_id, "limit": None})


def _streamed(connection: Connection[Any], name: str, where: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    with connection.transaction(), connection.cursor(name=name) as cursor:
        yield from cursor.execute(SQL[name], where)


def _print_list(name: str, members: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    write = sys.stdout.write
    write(f', "{name}": [')
    for number, row in enumerate(rows):
        each = dict(zip(members, row, strict=True))
        write((", " if number else "") + escaped(json.dumps(each, default=str, ensure_ascii=False)))
    write("]")
