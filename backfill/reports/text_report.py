"""A run's report for people: its result in a sentence, the three tables of the nightly recalculation, and the drift."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from psycopg import Connection

from backfill.reports import verdict, verify_log_report
from backfill.reports.money import money, signed
from backfill.reports.verdict import AmountsOff
from backfill.runs import drift
from backfill.runs.store import Run
from events.runtime.console import print_table, say
from events.runtime.wording import agree, counted

ROWS_MAX: Final = 20  # of a table on a terminal; the rest is counted


@dataclass(frozen=True, kw_only=True)
class Report:
    """What is read once a run has stopped; everything else is in its tally."""

    run: Run
    currency: str
    threshold: Decimal
    significant: Sequence[tuple[Any, ...]]
    significant_count: int
    drift: Sequence[tuple[Any, ...]]
    off: AmountsOff


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
        off=AmountsOff(currency, *drift.amounts_off(connection, run)),
    )


def banner(run: Run) -> None:
    """Print, before and after a dry run, that it changes nothing."""
    if run.dry:
        say(f"DRY RUN: nothing is changed. To apply: {verdict.apply_command(run)}")


def print_report(report: Report) -> None:
    """Print the result in a sentence, then the tables, then what was compared."""
    run, tally = report.run, report.run.tally
    say(verdict.verdict(run, report.off))
    if run.command == "verify-log":
        verify_log_report.print_counts(run)
    elif tally.customers:
        _results(report)
        _significant(report)
        _totals(report)
    elif run.selection.whole and tally.meters:
        say(verdict.NO_CUSTOMERS)
    if report.drift:
        _drift(report)
    for failed in tally.failures:
        say(verdict.describe_failure(failed.phase, failed))
    if seen := verdict.compared(run):
        say(seen)


def _results(report: Report) -> None:
    tally, run = report.run.tally, report.run
    how = "Differ" if run.command == "drift-check" or run.dry else "Changed"
    counts = [
        ("With Balance", tally.with_balance),
        ("With Overpayment", tally.with_overpayment),
        ("Clear (Zero Balance)", tally.clear),
        (f"Balances {how}", tally.balances_changed),
        (f"Overpayments {how}", tally.overpayments_changed),
    ]
    rows = [("Customers Processed", tally.customers), *((name, count) for name, count in counts if count)]
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
        ["Customer ID>", "Name", "Type", "Recorded>", "Expected>", "Difference>"],
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
    print_table("Validation Summary", ["Metric", "Recorded Total>", "Expected Total>", "Difference>"], rows)


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
        f"{counted(rows, part['source'].removesuffix('s'))} ({part['field']}): {_ids(part['ids'], rows)}"
        for part in evidence.get("history", ())
        if (rows := part["rows"])
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
        words.append(
            f"{agree(len(evidence['assignments']), 'assignment', 'assignments')} {_ids(evidence['assignments'])}"
        )
    if evidence.get("meters"):
        words.append(f"{agree(len(evidence['meters']), 'meter', 'meters')} {_ids(evidence['meters'])}")
    if "sum_of_meter_rows" in evidence:
        words.append(f"the sum of its meter rows is {Decimal(evidence['sum_of_meter_rows']):,}")
    return "; ".join(words) or json.dumps(evidence)


def _of_projection(amount: Decimal, rows: int) -> str:
    """Describe what was counted for history rows, less what the balance row holds: an amount and a number of rows."""
    if rows < 0:
        return f"the balance row counts {counted(-rows, 'row')} of {-amount:+,} that history does not have"
    if rows > 0:
        return f"history counts {counted(rows, 'row')} of {amount:+,} that the balance row does not have"
    return f"the balance row was edited by {-amount:+,}; history counts the same rows"


def _ids(ids: Sequence[int], count: int | None = None) -> str:
    more = ", ..." if count is not None and count > len(ids) else ""
    return ", ".join(map(str, ids)) + more
