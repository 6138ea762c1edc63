"""How much of a run is done, how long the rest takes, and how the end of the keys is told."""

from dataclasses import replace

import pytest
from rich.console import Console
from rich.progress import Progress

from backfill.audit.estimate import Work, describe
from backfill.execution.progress import TITLES, TITLES_AGAIN, columns, done, figure
from backfill.runs.phases import Phase
from backfill.runs.store import BEFORE_ALL_KEYS, Run
from backfill.runs.tally import Failure, LogTally, Tally
from events.contract.limits import BIGINT_MAX
from tests.unit.backfill.examples import run

WORK = Work(customers=1_000, meters=2_000, last_meter=8_000)


def _at(phase: Phase, *, customers: int, cursor: int = BEFORE_ALL_KEYS, seconds: float = 60.0) -> Run:
    return replace(run(), phase=phase, cursor=cursor, tally=Tally(customers=customers, seconds=seconds))


def test_the_time_left_is_the_time_taken_scaled_to_the_work_left() -> None:
    """Of 1,400 customers' work, 400 is that of looking through the meters."""
    assert WORK.seconds_left(_at("customers", customers=350)) == pytest.approx(60 * 1_050 / 350)
    assert WORK.seconds_left(_at("customers", customers=700)) == pytest.approx(60)
    halfway = _at("meters", customers=1_000, cursor=4_000)
    assert WORK.seconds_left(halfway) == pytest.approx(60 * 200 / 1_200)


@pytest.mark.parametrize("cursor", [8_000, 9_000, BIGINT_MAX])
def test_nothing_is_left_behind_the_last_key(cursor: int) -> None:
    assert WORK.seconds_left(_at("meters", customers=1_000, cursor=cursor)) == 0


def test_customers_that_came_meanwhile_leave_no_negative_time() -> None:
    assert WORK.seconds_left(_at("customers", customers=5_000)) == 0


def test_what_is_not_known_is_not_estimated() -> None:
    assert WORK.seconds_left(_at("customers", customers=0)) is None
    assert WORK.seconds_left(_at("repair-meters", customers=1_000)) is None
    assert WORK.seconds_left(replace(_at("customers", customers=1_000), round=2)) is None
    nothing = Work(customers=0, meters=0, last_meter=0)
    assert nothing.seconds_left(_at("meters", customers=0)) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "less than a minute"), (29, "less than a minute"), (61, "about 1 min"), (3_599, "about 1 h"),
     (12_000, "about 3 h 20 min")],
)  # fmt: skip
def test_a_time_is_told_in_words(seconds: float, words: str) -> None:
    assert describe(seconds) == words


def test_the_last_range_of_keys_is_told_as_the_end_and_not_as_a_key() -> None:
    meters = _at("meters", customers=6, cursor=5)
    assert done(meters, 11, 0) == 5
    assert done(replace(meters, cursor=BIGINT_MAX), 11, 5) == 11
    assert done(replace(meters, cursor=40), 11, 5) == 11, "keys of history may lie behind those of the projection"
    assert done(replace(meters, cursor=BEFORE_ALL_KEYS), 11, 0) == 0
    rows = replace(meters, phase="rows-invoices", cursor=BIGINT_MAX)
    assert done(rows, None, 4_000) == 4_000


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [(3, 4, "3 to 4"), (3, 3, "3"), (BEFORE_ALL_KEYS, 8, "up to 8"), (9, BIGINT_MAX, "from 9 on"),
     (BEFORE_ALL_KEYS, BIGINT_MAX, "all")],
)  # fmt: skip
def test_the_keys_of_a_failed_chunk_are_told_in_words(first: int, last: int, words: str) -> None:
    assert Failure(phase="meters", first=first, last=last, reason="no").keys == words


@pytest.mark.parametrize("title", sorted({*TITLES.values(), *TITLES_AGAIN.values()}))
def test_a_line_of_progress_fits_a_terminal_of_80_columns(title: str) -> None:
    is_customers = title == TITLES["customers"]
    progress = Progress(*columns(), console=Console(width=80))
    progress.add_task(
        title, total=1_000_000, completed=999_000, left=23 * 3600 + 1200.0, by_key=title == TITLES["meters"],
        rate="17,675 customers/s" if is_customers else "", figure="",
    )  # fmt: skip
    [line] = progress.console.render_lines(progress.get_renderable(), pad=False)
    said = "".join(segment.text for segment in line)
    assert said.startswith(title)
    assert said.rstrip().endswith("about 23 h 20 min left")
    assert ("100 %" if title == TITLES["meters"] else "999000/1000000") in said


@pytest.mark.parametrize(
    ("phase", "cursor", "said"),
    [
        ("log", 4_000, ""), ("rows-payments", 900_000_000, "12,345 rows so far"), ("places", 2, "2 of 4 tables"),
        ("places", BEFORE_ALL_KEYS, "0 of 4 tables"), ("places", BIGINT_MAX, "4 of 4 tables"),
        ("winners", 4_000, ""), ("verdicts", 77_000, "1 row wrong"),
    ],
)  # fmt: skip
def test_a_comparison_with_the_log_names_units_and_never_an_id(phase: Phase, cursor: int, said: str) -> None:
    """Offsets are a share of those to read; ids of rows and of suspects have no known end, and what was done has."""
    tally = Tally(log=LogTally(rows=12_345, rows_wrong=1))
    at = replace(run(), phase=phase, cursor=cursor, tally=tally)
    assert figure(at) == said
    known = phase in {"log", "winners"}
    progress = Progress(*columns(), console=Console(width=80))
    total = 8_000 if known else None
    progress.add_task(
        TITLES[phase], total=total, completed=cursor if known else 0, left=None, by_key=True, rate="", figure=said
    )
    [line] = progress.console.render_lines(progress.get_renderable(), pad=False)
    shown = "".join(segment.text for segment in line)
    assert (said or " 50 %") in shown
    assert f"{cursor}" not in shown or phase == "places"


def test_nothing_is_left_of_what_is_done() -> None:
    progress = Progress(*columns(), console=Console(width=80))
    progress.add_task(TITLES["meters"], total=13, completed=13, left=0.0, by_key=True, rate="", figure="")
    [line] = progress.console.render_lines(progress.get_renderable(), pad=False)
    assert "left" not in "".join(segment.text for segment in line)
