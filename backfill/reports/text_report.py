"""A run's report for people: the three tables of the nightly recalculation, the drift, and a sentence."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from psycopg import Connection

from backfill.reports import verify_log_report
from backfill.reports.money import money, signed
from backfill.runs import drift
from backfill.runs.phases import State
from backfill.runs.store import Run
from events.runtime.console import print_table, say

ROWS_MAX: Final = 20  # of a table on a terminal; the rest is counted
UNFINISHED: Final[dict[State, str]] = {
    "running": "Not finished; `{}` shares what is left. Until now:",
    "paused": "Paused; go on with `{}`. Until now:",
    "failed": "Failed; once the cause is gone, go on with `{}`. Until now:",
    "cancelled": "Cancelled. Until then:",
}
NO_CUSTOMERS: Final = "No customers with meter assignments found."


@dataclass(frozen=True, kw_only=True)
class Report:
    """What is read once a run has stopped; everything else is in its tally."""

    run: Run
    currency: str
    threshold: Decimal
    significant: Sequence[tuple[Any, ...]]
    significant_count: int
    drift: Sequence[tuple[Any, ...]]


def read(connection: Connection[Any], run: Run, currency: str, threshold: Decimal) -> Report:
    """Read the largest findings of a run."""
    significant, significant_count = drift.significant_changes(connection, run, threshold, ROWS_MAX)
    return Report(
        run=run,
        currency=currency,
        threshold=threshold,
        significant=significant,
        significant_count=significant_count,
        drift=drift.findings(connection, run, ROWS_MAX),
    )


def banner(run: Run) -> None:
    """Say, before and after a dry run, that it changes nothing."""
    if run.dry:
        say(f"DRY RUN: nothing is changed. To apply: {apply_command(run)}")


def apply_command(run: Run) -> str:
    """Say what to type to have done what a check or a dry run found, within the same bounds."""
    command = "rebuild" if run.command == "drift-check" else run.command
    return " ".join(("backfill", command, *run.selection.arguments))


def print_report(report: Report) -> None:
    """Print the tables and the sentence."""
    tally = report.run.tally
    if report.run.command == "verify-log":
        verify_log_report.print_counts(report.run)
    elif not tally.customers:
        if report.run.selection.whole:
            say(NO_CUSTOMERS)
    else:
        _results(report)
        _significant(report)
        _totals(report)
    if report.drift:
        _drift(report)
    for failed in tally.failures:
        line = f"Failed: {failed.phase} {failed.first} to {failed.last}: {failed.reason}"
        say(line)
    say(sentence(report.run))


def sentence(run: Run) -> str:
    """Say how a run ended."""
    if run.command == "verify-log":
        return f"{_outcome(run)} {verify_log_report.seen(run)}"
    tally = run.tally
    rate = tally.customers / max(tally.seconds, 1e-9)
    seen = f"{tally.customers:,} customers and {tally.meters:,} meters compared with history"
    if not run.selection.whole:
        seen += f", limited to {run.selection}"
    pace = f"{tally.seconds:,.1f} s, {rate:,.0f} customers/s"
    return f"{_outcome(run)} {seen} ({pace})."


def _outcome(run: Run) -> str:
    if run.state != "finished":
        return UNFINISHED[run.state].format(run.resume_command)
    return verify_log_report.outcome(run) if run.command == "verify-log" else _compared(run)


def _compared(run: Run) -> str:
    tally = run.tally
    if run.matched_nothing:
        return f"Nothing is known of {run.selection}."
    failed = f" {tally.failed:,} chunks failed." if tally.failed else ""
    if not tally.drifted:
        return f"No drift.{_rounds(run)}{failed}" if not failed else f"No drift in what could be compared.{failed}"
    found = f"{tally.drifted_meters:,} meters and {tally.drifted_customers:,} customers drifted"
    if run.command == "drift-check" or run.dry:
        return f"Drift: {found}; `{apply_command(run)}` repairs them.{failed}"
    if tally.unrepaired:
        return f"{found}; {tally.unrepaired:,} of them still differ after the repair.{failed}"
    how_many = f"{tally.repaired:,} of them" if tally.failed else "all"
    return f"{found}; {how_many} repaired and compared again.{_rounds(run)}{failed}"


def _rounds(run: Run) -> str:
    """Say what came of the rounds after the first, if any meter or customer was touched meanwhile."""
    tally = run.tally
    if not tally.compared_again:
        return ""
    found = f"later ones found {tally.found_again:,} more, " if tally.found_again else ""
    return f" {run.round} rounds: {found}the last found nothing among what was touched meanwhile."


def _results(report: Report) -> None:
    tally = report.run.tally
    rows = [
        ("Customers Processed", tally.customers),
        ("With Balance", tally.with_balance),
        ("With Overpayment", tally.with_overpayment),
        ("Clear (Zero Balance)", tally.clear),
        ("Balances Changed", tally.balances_changed),
        ("Overpayments Changed", tally.overpayments_changed),
    ]
    print_table("Recalculation Results", ["Metric", "Count>"], [(name, f"{count:,}") for name, count in rows])


def _significant(report: Report) -> None:
    if not report.significant:
        return
    currency = report.currency
    rows = [
        (customer_id, name, kind, money(before, currency), money(after, currency), signed(difference, currency))
        for customer_id, name, kind, before, after, difference in report.significant
    ]
    print_table(
        f"Significant Changes Detected (> {currency} {report.threshold:,})",
        ["Customer ID>", "Name", "Type", "Before>", "After>", "Difference>"],
        rows,
    )
    _rest(report.significant_count - len(rows), report.run)


def _totals(report: Report) -> None:
    tally, currency = report.run.tally, report.currency
    rows = [
        (name, money(before, currency), money(after, currency), signed(after - before, currency))
        for name, before, after in (
            ("Balance", tally.balance_before, tally.balance_after),
            ("Overpayment", tally.overpayment_before, tally.overpayment_after),
        )
    ]
    print_table("Validation Summary", ["Metric", "Before Total>", "After Total>", "Difference>"], rows)


def _drift(report: Report) -> None:
    columns = ["Entity", "ID>", "Column", "Recorded>", "Expected>", "Difference>", "Cause", "Evidence"]
    print_table("Drift", columns, [(*row[:7], _evidence(row[7])) for row in report.drift])
    _rest(report.run.tally.findings - len(report.drift), report.run)


def _rest(count: int, run: Run) -> None:
    if count > 0:
        where = f"--format json shows all, as does: SELECT * FROM drift WHERE run_id = '{run.run_id}'"
        say(f"... and {count:,} more; {where}")


def _evidence(evidence: dict[str, Any]) -> str:
    """Put evidence into a few words."""
    words = [
        f"{part['rows']} {part['source']} ({part['field']}): {_ids(part['ids'], part['rows'])}"
        for part in evidence.get("history", ())
    ]
    if "uncertain" in evidence:
        words.append(f"{evidence['uncertain']}: the figures fit either")
    if "projection" in evidence:
        part = evidence["projection"]
        words.append(f"marks say {Decimal(part['amount']):+,} in {part['rows']:+d} rows")
    words += [
        f"{name.replace('_', ' ')} {at['topic']}/{at['partition']}@{at['offset']}"
        for name in ("message", "says_it_is_from")
        if (at := evidence.get(name))
    ]
    if evidence.get("assignments"):
        words.append(f"assignments {_ids(evidence['assignments'])}")
    if evidence.get("meters"):
        words.append(f"meters {_ids(evidence['meters'])}")
    if "sum_of_meter_rows" in evidence:
        words.append(f"its meter rows say {Decimal(evidence['sum_of_meter_rows']):,}")
    return "; ".join(words) or json.dumps(evidence)


def _ids(ids: Sequence[int], count: int | None = None) -> str:
    more = ", ..." if count is not None and count > len(ids) else ""
    return ", ".join(map(str, ids)) + more
