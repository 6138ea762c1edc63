"""What a later round of a repair adds to the figures of its run."""

from dataclasses import replace
from typing import Any, cast

from psycopg import Cursor

from backfill.runs import rounds
from backfill.runs.tally import Failure, Tally
from tests.unit.backfill import examples

RUN = replace(examples.run(), command="rebuild", round=2)
DELTA = Tally(
    customers=1, meters=2, drifted_meters=4, drifted_customers=8, findings=16, repaired=32, unrepaired=64,
    found_again=128, failed=1, failures=(Failure(phase="customers", first=7, last=7, reason="why"),), history_rows=256,
)  # fmt: skip


class _Answers:
    """A cursor on which each statement returns the next of these rows."""

    def __init__(self, *rows: tuple[int, ...]) -> None:
        self._rows = iter(rows)

    def execute(self, *_: object) -> "_Answers":
        return self

    def fetchone(self) -> tuple[int, ...]:
        return next(self._rows)


def _answering(*rows: tuple[int, ...]) -> Cursor[Any]:
    return cast("Cursor[Any]", _Answers(*rows))


def test_a_later_round_adds_what_it_found_and_repaired_and_nothing_that_the_first_has_counted() -> None:
    assert rounds.counted(replace(RUN, round=1), DELTA) == DELTA
    assert rounds.counted(RUN, DELTA) == Tally(
        compared_again=3, found_again=128, fresh=12, drifted_meters=4, drifted_customers=8, findings=16, repaired=32,
        unrepaired=64, failed=1, failures=DELTA.failures,
    )  # fmt: skip


def test_a_later_round_counts_as_findings_those_of_which_the_run_knew_nothing() -> None:
    known = rounds.with_findings(_answering((5, 1, 2, 3)), RUN, DELTA, findings=16)
    assert known == replace(DELTA, findings=5, drifted_meters=1, drifted_customers=2, found_again=3)


def test_what_is_not_repaired_at_the_end_is_counted_anew_unless_a_chunk_failed() -> None:
    run = replace(RUN, tally=Tally(unrepaired=1))
    assert rounds.ended(_answering((3, 4)), run) == Tally(unrepaired=7)
    failed = replace(run, tally=Tally(unrepaired=1, failed=1))
    assert rounds.ended(_answering(), failed) == failed.tally
