"""`backfill validate`: whether the stored data is plausible, and which command fixes what is not."""

import re
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, Final, NamedTuple

from backfill.execution.runner import record, run_to_completion
from backfill.execution.worker import RunTuning
from backfill.exit_codes import EXIT_CLEAN, EXIT_FOUND, EXIT_PAUSED, EXIT_UNCHECKED
from backfill.migration.checks import CHECKS, METERS, NAMES, TOTALS, Check, Checked, meters_off, totals_off
from backfill.migration.connection import Database
from backfill.runs import store as runs
from backfill.runs.stopping import GivenUpError, asked_to_stop, giving_up_late
from backfill.runs.store import Run
from events.runtime.console import Format, print_json, print_table, say
from events.runtime.errors import InputError
from events.runtime.wording import agree, counted

IDS_MAX: Final = 20
COLUMNS: Final = ("Check", "Result", "Count>", "Which~", "Problem~", "Fix~")
COMMAND: Final = re.compile(r"\bbackfill [a-z-]+")
NOTHING_CHANGED: Final = "DRY RUN: nothing is changed. There is nothing to apply: validate only reads."


class Validation(NamedTuple):
    """The result of all checks; `paused` where a signal came before the end, or the drift check was cancelled.

    `failed` counts the chunks that the drift check could not compare.
    """

    checked: list[Checked]
    seconds: float
    paused: bool = False
    failed: int = 0

    def count(self, severity: str) -> int:
        """Count the checks of a severity that found something."""
        return sum(1 for each in self.checked if each.rows and each.check.severity == severity)

    @property
    def exit_code(self) -> int:
        """The exit code; warnings alone are no errors."""
        if self.paused:
            return EXIT_PAUSED
        if self.failed:
            return EXIT_UNCHECKED
        return EXIT_FOUND if self.count("error") else EXIT_CLEAN

    @property
    def result(self) -> str:
        """The result in a line."""
        total = counted(len(self.checked), "check")
        found = [f"{self.count(each)} with {each}s" for each in ("error", "warning") if self.count(each)]
        return f"{total}, {' and '.join(found) or agree(len(self.checked), 'passed', 'all passed')}"


def choose(names: Sequence[str]) -> list[Check]:
    """Choose checks by name; no name means all.

    Raises:
        InputError: there is no such check.

    """
    for name in names:
        if name not in NAMES:
            raise InputError(f"--check {name}: there is no such check; the checks are {', '.join(NAMES)}")
    return [check for check in CHECKS if not names or check.name in names]


def validate(database: Database, chosen: Sequence[Check], *, part_of: str = "validate") -> Validation:
    """Check; the two checks that compare with history rest on one drift check, a run that says whose part it is."""
    settings, _, connection = database
    began, checked = monotonic(), list[Checked]()
    run: Run | None = None
    values = {"ids_max": IDS_MAX, "currency": settings.currency}
    with asked_to_stop(settings.shutdown_seconds) as stop, suppress(GivenUpError):
        run = _drift_check(database, part_of) if {METERS, TOTALS} & set(chosen) else None
        for check in chosen:
            if stop():
                break
            if check.statement:
                with giving_up_late(connection):
                    count, ids = connection.execute(check.statement, values).fetchone() or (0, [])
                checked.append(Checked(check, count, ids))
            elif run:
                checked.append(totals_off(run) if check is TOTALS else meters_off(connection, run, IDS_MAX))
    unfinished = len(checked) < len(chosen) or bool(run and run.state != "finished")
    return Validation(checked, monotonic() - began, paused=unfinished, failed=run.tally.failed if run else 0)


def print_validation(validation: Validation, form: Format, *, dry: bool = False) -> None:
    """Print the results."""
    if form is Format.JSON:
        print_json(document(validation))
        return
    if dry:
        say(NOTHING_CHANGED)
    paused = " Paused; run it again." if validation.paused else ""
    failed = f" {counted(validation.failed, 'chunk')} could not be compared." if validation.failed else ""
    say(f"Result: {validation.result}. Duration: {validation.seconds:,.1f} s.{paused}{failed}")
    found = [each for each in validation.checked if each.rows]
    if found:
        print_table("Validation", COLUMNS, map(_row, found))
    if passed := [each.check.name for each in validation.checked if not each.rows]:
        say(f"Passed: {', '.join(passed)}")
    if dry:
        say(NOTHING_CHANGED)


def document(validation: Validation) -> dict[str, Any]:
    """Return the results as a JSON object."""
    return {
        "step": "validate",
        "checks": [
            {
                "name": each.check.name,
                "severity": each.check.severity,
                "noun": each.check.noun,
                "amiss": each.check.problem,
                "mend": each.check.fix,
                "ok": not each.rows,
                "count": each.rows,
                "ids": each.ids,
                "note": each.note,
            }
            for each in validation.checked
        ],
        "errors": validation.count("error"),
        "warnings": validation.count("warning"),
        "paused": validation.paused,
        "failed_chunks": validation.failed,
        "seconds": round(validation.seconds, 3),
    }


def _drift_check(database: Database, part_of: str) -> Run:
    """Compare everything as a drift check would; consumers come first."""
    settings, engine, connection = database
    run = runs.begin(connection, "drift-check", {"dry_run": False, runs.PART_OF: part_of})
    run = run_to_completion(settings, connection, run, engine=engine, tuning=RunTuning(governed=True))
    record(run)
    return run


def _row(each: Checked) -> tuple[object, ...]:
    check = each.check
    fix = COMMAND.sub(r"`\g<0>`", check.fix)
    return (check.name, check.severity, f"{each.rows:,}", _first(each), check.problem, fix)


def _first(each: Checked) -> str:
    more = ", ..." if each.rows > len(each.ids) else ""
    noun = each.check.noun.removesuffix("s") if len(each.ids) == 1 and not more else each.check.noun
    named = f"{noun} {', '.join(map(str, each.ids))}{more}" if each.ids else ""
    return "; ".join(filter(None, [named, each.note]))
