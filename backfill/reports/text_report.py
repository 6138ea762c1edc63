"""A run's report for people: the three tables of the nightly recalculation, the drift, and a sentence."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from psycopg import Connection

from backfill.reports import verify_log_report
from backfill.reports.money import money, signed
from backfill.reports.repaired import so_far
from backfill.runs import drift
from backfill.runs.phases import State
from backfill.runs.store import Run
from events.runtime.console import print_table, say

ROWS_MAX: Final = 20  # of a table on a terminal; the rest is counted
UNFINISHED: Final[dict[State, str]] = {
    "running": "Not finished; `{}` joins the run. So far:",
    "paused": "Paused; resume with `{}`. So far:",
    "failed": "Failed; once the cause is removed, resume with `{}`. So far:",
    "cancelled": "Cancelled. Up to then:",
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
    """Print, before and after a dry run, that it changes nothing."""
    if run.dry:
        say(f"DRY RUN: nothing is changed. To apply: {apply_command(run)}")


def apply_command(run: Run) -> str:
    """Return the command that repairs what a check or a dry run found, with the same selection."""
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
        line = f"Failed: {failed.phase} {failed.keys}: {failed.reason}"
        say(line)
    say(sentence(report.run))


def sentence(run: Run) -> str:
    """Return the sentence on how a run ended."""
    if run.command == "verify-log":
        return f"{_outcome(run)} {verify_log_report.seen(run)}"
    tally = run.tally
    rate = tally.customers / max(tally.seconds, 1e-9)
    seen = f"{tally.customers:,} customers and {tally.meters:,} meters compared with history"
    if not run.selection.whole:
        seen += f", limited to {run.selection}"
    pace = f"{tally.seconds:,.1f} s, {rate:,.0f} customers/s"
    return f"{_outcome(run)} {seen} ({pace}).{so_far(run)}"


def _outcome(run: Run) -> str:
    if run.state != "finished":
        return UNFINISHED[run.state].format(run.resume_command)
    return verify_log_report.outcome(run) if run.command == "verify-log" else _compared(run)


def _compared(run: Run) -> str:
    tally = run.tally
    if run.matched_nothing:
        return f"Nothing was compared: the database does not know {run.selection}."
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
    """Describe the later rounds, if anything was written while the run repaired."""
    tally = run.tally
    if not tally.compared_again:
        return ""
    found = f"later rounds found {tally.found_again:,} more, " if tally.found_again else ""
    return f" {run.round} rounds: {found}the last found nothing among what was written meanwhile."


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
    columns = ["Entity", "ID>", "Column", "Recorded>", "Expected>", "Difference>", "Cause", "Evidence~"]
    print_table("Drift", columns, [(*row[:7], describe_evidence(row[7])) for row in report.drift])
    _rest(report.run.tally.findings - len(report.drift), report.run)


def _rest(count: int, run: Run) -> None:
    if count > 0:
        where = f"--format json shows all, as does: SELECT * FROM drift WHERE run_id = '{run.run_id}'"
        say(f"... and {count:,} more; {where}")


def describe_evidence(evidence: dict[str, Any]) -> str:
    """Describe evidence in a few words."""
    words = [
        f"{part['rows']} {part['source']} ({part['field']}): {_ids(part['ids'], part['rows'])}"
        for part in evidence.get("history", ())
    ]
    if "uncertain" in evidence:
        words.append(f"{evidence['uncertain']}: the figures fit either edit")
    if "projection" in evidence:
        part = evidence["projection"]
        words.append(_of_projection(Decimal(part["amount"]), part["rows"]))
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
        words.append(f"the sum of its meter rows is {Decimal(evidence['sum_of_meter_rows']):,}")
    return "; ".join(words) or json.dumps(evidence)


def _of_projection(amount: Decimal, rows: int) -> str:
    """Describe what was counted for history rows, less what the balance row holds: an amount and a number of rows."""
    if rows < 0:
        return f"the balance row counts {-rows:,} rows of {-amount:+,} that history does not have"
    if rows > 0:
        return f"history counts {rows:,} rows of {amount:+,} that the balance row does not have"
    return f"the balance row was edited by {-amount:+,}; history counts the same rows"


def _ids(ids: Sequence[int], count: int | None = None) -> str:
    more = ", ..." if count is not None and count > len(ids) else ""
    return ", ".join(map(str, ids)) + more
