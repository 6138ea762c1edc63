"""A report's first line: whether there is drift, how much, and what to type; singular and plural."""

from dataclasses import replace
from decimal import Decimal
from typing import Any, get_args

import pytest

from backfill.audit.drift_types import Cause
from backfill.reports import verify_log_report
from backfill.reports.verdict import AmountsOff, compared, verdict
from backfill.runs.drift import HISTORY_EDITED
from backfill.runs.store import Run
from backfill.runs.tally import LogTally, Tally
from tests.unit.backfill import examples

OFF = AmountsOff("KES", Decimal(1500), Decimal(500))
CHECKED = "from history; nothing was changed. `backfill rebuild` repairs"
FROM_LOG = (
    "from the log; nothing was changed. `backfill verify-log --repair` replays what has a message in the log, and "
    "repairs the balances"
)
MISSING = "2 rows that the log has are missing from history"
SEEN: dict[str, Any] = {"customers": 20, "meters": 41}


def _run(command: Any = "drift-check", state: Any = "finished", error: str | None = None, **counts: Any) -> Run:  # noqa: ANN401 - a literal; a tally's members
    return replace(examples.run(), command=command, state=state, error=error, options={}, tally=Tally(**counts))


def test_an_edit_of_history_is_not_repaired_by_taking_it_as_right() -> None:
    edited = verdict(_run(drifted_meters=1, **SEEN), OFF._replace(history_edited=True))
    said = "History was edited: `backfill verify-log` shows which rows are wrong; a rebuild takes them as right."
    assert edited == f"Drift: 1 meter (by KES 1,500.00) differs from history; nothing was changed. {said}"
    followed = verdict(_run("rebuild", drifted_meters=1, repaired=1, **SEEN), OFF._replace(history_edited=True))
    assert followed == (
        "Drift: 1 meter (by KES 1,500.00) differed from history; repaired and compared again. History was edited, and "
        "balances follow it now: `backfill verify-log` shows which rows are wrong."
    )
    assert set(HISTORY_EDITED) < set(get_args(Cause))


def test_the_counts_of_rows_add_up(capsys: pytest.CaptureFixture[str]) -> None:
    log = LogTally(messages=9, rows=7, rows_confirmed=6, rows_wrong=3, rows_missing=2)
    verify_log_report.print_counts(_run("verify-log", log=log))
    printed = capsys.readouterr().out
    for name, count in (("Rows of History", 7), ("Confirmed by a Message", 6), ("Different From the Log", 1)):
        assert f"│ {name:<22} │     {count} │" in printed
    assert "│ Missing From History   │     2 │" in printed


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (_run(**SEEN), "No drift: every balance agrees with history."),
        (_run(), "No customers with meter assignments found. There was nothing to compare."),
        (
            _run(drifted_meters=2, drifted_customers=1, **SEEN),
            f"Drift: 2 meters (by KES 1,500.00 in all) and 1 customer (by KES 500.00) differ {CHECKED} them.",
        ),
        (
            _run(drifted_meters=1, **SEEN),
            f"Drift: 1 meter (by KES 1,500.00) differs {CHECKED} it.",
        ),
        (
            _run("rebuild", drifted_meters=2, repaired=2, **SEEN),
            "Drift: 2 meters (by KES 1,500.00 in all) differed from history; all repaired and compared again.",
        ),
        (
            _run("rebuild", drifted_customers=1, unrepaired=1, **SEEN),
            "Drift: 1 customer (by KES 500.00) differed from history; 1 still differs after the repair.",
        ),
        (_run(failed=1, **SEEN), "No drift in what could be compared. 1 chunk failed."),
        (_run(failed=2, **SEEN), "No drift in what could be compared. 2 chunks failed."),
        (_run("payment-meter-ids"), "Finished: payment-meter-ids, in 0.0 s. What it changed was printed when it ran."),
        (_run("verify-log"), "There was nothing to compare: no messages and no history."),
        (
            _run("verify-log", log=LogTally(messages=9, rows=9)),
            "No drift: history agrees with the log, as far back as it reaches.",
        ),
        (
            _run("verify-log", log=LogTally(messages=9, rows=9, rows_wrong=1)),
            f"Drift: 1 row of history differs {FROM_LOG}.",
        ),
        (
            _run("verify-log", log=LogTally(messages=9, rows=7, rows_wrong=3, rows_missing=2)),
            f"Drift: 1 row of history differs from the log and {MISSING}; {FROM_LOG.removeprefix('from the log; ')}.",
        ),
        (
            _run("verify-log", log=LogTally(messages=9, rows=9, unreadable=1)),
            "1 message would be refused now and is no dead letter; everything else agrees with the log.",
        ),
    ],
)
def test_the_result_is_one_sentence(run: Run, said: str) -> None:
    assert verdict(run, OFF) == said


def test_a_failed_run_says_why_and_how_to_go_on() -> None:
    run = _run("rebuild", "failed", "drift keeps coming")
    said = (
        f"Failed: drift keeps coming. Once the cause is removed, resume with `backfill rebuild --resume {run.run_id}`."
    )
    assert verdict(run).startswith(said)


def test_what_was_compared_is_counted_in_words() -> None:
    assert compared(_run(customers=1, meters=1)).startswith("1 customer and 1 meter compared with history (")
    assert compared(_run("verify-log", log=LogTally(messages=1, rows=2, rows_expired=1))).startswith(
        "1 message and 2 rows compared; 1 row not covered by the log ("
    )
    assert compared(_run("migrate")) == ""
