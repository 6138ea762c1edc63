"""A run's report for people: its result in a sentence, the three tables of the nightly recalculation, and the drift."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal
from typing import Any, Final

from psycopg import Connection

from backfill.reports import drift_report, verdict, verify_log_report
from backfill.reports.money import money, signed
from backfill.reports.verdict import AmountsOff
from backfill.runs import drift
from backfill.runs.store import Run
from events.runtime.console import print_table, say
from events.runtime.settings import Settings

ROWS_MAX: Final = 20  # of a table on a terminal; the rest is counted


@dataclass(frozen=True, kw_only=True)
class Report:
    """What is read once a run has stopped; everything else is in its tally."""

    run: Run
    currency: str
    zone: tzinfo
    threshold: Decimal
    significant: Sequence[tuple[Any, ...]]
    significant_count: int
    drift: Sequence[tuple[Any, ...]]
    off: AmountsOff


def read(connection: Connection[Any], run: Run, threshold: Decimal, settings: Settings) -> Report:
    """Read the largest findings of a run."""
    currency = settings.currency
    significant, significant_count = drift.significant_changes(connection, run, threshold, ROWS_MAX)
    return Report(
        run=run,
        currency=currency,
        zone=settings.zone,
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
    """Print the result in a sentence, then the tables, then what was compared; below findings the result once more."""
    run, tally = report.run, report.run.tally
    result = verdict.verdict(run, report.off, report.zone)
    say(result)
    if run.command == "verify-log":
        verify_log_report.print_counts(run)
    elif tally.customers:
        _results(report)
        _significant(report)
        _totals(report)
    elif run.selection.whole and tally.meters:
        say(verdict.NO_CUSTOMERS)
    if report.drift:
        drift_report.print_findings(report.drift, report.zone, of_the_log=run.command == "verify-log")
        _rest(run.tally.findings - len(report.drift), run)
    for failed in tally.failures:
        say(verdict.describe_failure(failed.phase, failed))
    if seen := verdict.compared(run, report.zone):
        say(seen)
    if report.drift:
        say(result)


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
        ["Customer ID>", "Name", "Type", "Recorded>", "By History>", "Difference>"],
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
    print_table("Validation Summary", ["Metric", "Recorded Total>", "Total by History>", "Difference>"], rows)


def _rest(count: int, run: Run) -> None:
    if count > 0:
        where = f"--format json shows all, as does: SELECT * FROM drift WHERE run_id = '{run.run_id}'"
        say(f"... and {count:,} more; {where}")
