"""What a step tells while it works and at its end, for people and for programs, paused or not."""

import json
import signal
from typing import Any

import pytest
from psycopg import Connection

from backfill.exit_codes import EXIT_PAUSED, exit_code
from backfill.migration.output import Tables
from backfill.migration.payment_meter_ids import STEP
from backfill.migration.run_step import perform
from backfill.migration.step import Options, Row
from backfill.runs import store as runs
from events.runtime.settings import Settings
from tests.conftest import RunCommand
from tests.integration.migration.conftest import Do
from tests.support.examples import assigned, payment
from tests.support.merge_harness import MergeHarness

LOST = 25


@pytest.fixture
def filled(harness: MergeHarness) -> MergeHarness:
    lost = [payment(number, "1000.00", reference=f"[red]{number}\x1b[31m") for number in range(1, LOST + 1)]
    harness.apply([assigned(1, 1, 7), payment(100, "5.00", customer_id=7), *lost])
    return harness


@pytest.mark.usefixtures("filled")
def test_people_see_the_first_rows_and_a_count_of_the_rest(
    settings: Settings, auditor: Connection[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    show = Tables()
    show.begin(STEP, dry=False)
    show.end(perform(settings, auditor, STEP, Options(chunk_size=3), show.rows))
    printed = capsys.readouterr().out
    assert "... and 5 more; --format json lists all" in printed
    assert "Result: 26 payments read, 1 changed, 25 to review. Duration: " in printed
    assert "[red]1\\x1b[31m" in printed, "text of an event is inert"
    assert "\x1b[31m" not in printed
    assert "DRY RUN" not in printed


@pytest.mark.usefixtures("filled")
def test_programs_get_every_row(run_command: RunCommand, environment: dict[str, str]) -> None:
    for options in (["--dry-run"], []):
        result = run_command(
            "backfill", STEP.command, "--format", "json", "--chunk-size", "3", *options, env=environment
        )
        document = json.loads(result.stdout)
        assert [row["payment_id"] for row in document["listed"]] == list(range(1, LOST + 1))
        assert document["listed"][0]["amount"] == "1000.00"
        assert (document["changed"], document["outcomes"]["no-customer"]) == (1, LOST)
        assert document["dry_run"] == bool(options)


def test_a_signal_pauses_after_the_chunk_at_hand(
    filled: MergeHarness, settings: Settings, auditor: Connection[Any], do: Do, capsys: pytest.CaptureFixture[str]
) -> None:
    del filled

    def stop(_: list[Row]) -> None:
        signal.raise_signal(signal.SIGTERM)

    performed = perform(settings, auditor, STEP, Options(chunk_size=3), stop)
    assert (performed.run.state, performed.counts.total()) == ("paused", 3)
    assert exit_code(performed.run) == EXIT_PAUSED
    Tables().end(performed)
    assert "Paused; resume with `backfill payment-meter-ids`." in capsys.readouterr().out
    assert do(STEP).counts["only-meter"] == 1


@pytest.mark.usefixtures("filled")
def test_each_step_leaves_a_run_behind(auditor: Connection[Any], do: Do) -> None:
    do(STEP, dry=True)
    do(STEP)
    found = runs.recent(auditor, 10)
    assert [(run.title, run.state, run.tally.repaired) for run in found] == [
        ("payment-meter-ids", "finished", 1), ("payment-meter-ids --dry-run", "finished", 0),
    ]  # fmt: skip
