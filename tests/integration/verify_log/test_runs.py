"""A run that is stopped or killed anywhere goes on to the report of an undisturbed one."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from backfill.runs import chunks
from backfill.runs.phases import VERIFY
from backfill.verify_log import partitions, plan, scan, verify
from events.runtime.errors import InputError, StateError
from tests.conftest import StartCommand, WaitUntil
from tests.integration.verify_log.conftest import Logged, Verified
from tests.support.examples import assigned, customer, invoice, payment

BLOCK: Final = 2
CHUNKS: Final = 5
EVENTS: Final = [
    customer(7, "Achieng"),
    assigned(1, 42, 7),
    *(invoice(key, 42, f"{key}.00", version=version) for version in (1, 2) for key in range(1, 7)),
    *(payment(key, f"{key}.00", invoice_id=key) for key in range(1, 4)),
]


@pytest.fixture
def damaged(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> Logged:
    """Have a history of which some is wrong, and blocks so small that a run has many chunks."""
    for module in (plan, scan, partitions):
        monkeypatch.setattr(module, "BLOCK", BLOCK)
    logged.apply(*EVENTS)
    logged.sql("UPDATE invoices SET amount = amount + 1 WHERE invoice_id = 2")
    logged.sql("UPDATE invoices SET source_offset = source_offset + 1 WHERE invoice_id = 4")
    logged.sql("DELETE FROM payments WHERE payment_id = 3")
    return logged


class Killed(BaseException):
    """What stands for the end of the process."""


def test_stopped_again_and_again_it_ends_with_the_same_report(damaged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = damaged.verify(chunk_size=1)
    assert len(undisturbed.found) >= 3
    with monkeypatch.context() as patched:
        patched.setattr(verify, "asked_to_stop", _after_some_chunks)
        runs = _until_finished(damaged)
    assert len(runs) > 2
    assert {run.exit_code for run in runs[:-1]} == {3}
    _require_same(runs[-1], undisturbed)


def test_killed_in_every_phase_it_ends_with_the_same_report(damaged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk of each is begun twice: the first time nothing of it is left."""
    undisturbed = damaged.verify(chunk_size=1)
    finish_chunk, begun = chunks.finish_chunk, set[str]()

    def killed_at_first(cursor: Any, run: Any, chunk: Any, *rest: Any) -> None:  # noqa: ANN401 - handed on
        if chunk.phase not in begun:
            begun.add(chunk.phase)
            raise Killed
        finish_chunk(cursor, run, chunk, *rest)

    monkeypatch.setattr(chunks, "finish_chunk", killed_at_first)
    with pytest.raises(Killed):
        damaged.verify(chunk_size=1)
    [(run_id,)] = damaged.sql("SELECT run_id::text FROM backfill_runs WHERE state = 'running'")
    for _ in range(100):
        try:
            resumed = damaged.verify(resume=run_id)
        except Killed:
            continue
        break
    assert begun == {*VERIFY} - {"done"}
    _require_same(resumed, undisturbed)


def test_a_signal_pauses_it_and_the_line_says_how_to_go_on(
    damaged: Logged, kafka_environment: dict[str, str], start_command: StartCommand, wait_until: WaitUntil
) -> None:
    started = start_command("backfill", "verify-log", "--max-rows-per-second", "1", env=kafka_environment)
    wait_until(lambda: damaged.sql("SELECT FROM backfill_runs WHERE phase = 'log' AND cursor > 0"), what="a chunk")
    started.process.send_signal(signal.SIGTERM)
    assert started.process.wait(120) == 3, started.stderr.read_text()
    [(run_id,)] = damaged.sql("SELECT run_id::text FROM backfill_runs WHERE state = 'paused'")
    assert f"backfill verify-log --resume {run_id}" in started.stdout.read_text()


def test_what_cannot_be_gone_on_with_is_told(damaged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is over, and one whose topic is another by now, found when a chunk would have kept what it found."""
    over = damaged.verify(chunk_size=1).document["run_id"]
    with pytest.raises(StateError, match="is finished"):
        damaged.verify(resume=over)
    with pytest.raises(InputError):
        damaged.verify(resume="17")
    with monkeypatch.context() as patched:
        patched.setattr(verify, "asked_to_stop", _after_some_chunks)
        run_id = damaged.verify(chunk_size=1).document["run_id"]
    damaged.sql(
        "UPDATE backfill_runs SET options = replace(options::text, :known, 'another')::jsonb WHERE run_id::text = :run",
        known=next(iter(damaged.logs().values())).topic_id, run=run_id,
    )  # fmt: skip
    with pytest.raises(StateError, match="was recreated"):
        damaged.verify(resume=run_id)


def _until_finished(damaged: Logged) -> list[Verified]:
    runs = [damaged.verify(chunk_size=1)]
    while runs[-1].document["state"] == "paused" and len(runs) < 100:
        runs.append(damaged.verify(resume=runs[0].document["run_id"]))
    return runs


def _require_same(resumed: Verified, undisturbed: Verified) -> None:
    assert resumed.exit_code == undisturbed.exit_code == 1
    assert resumed.found == undisturbed.found
    assert resumed.log == undisturbed.log


@contextmanager
def _after_some_chunks(_budget_seconds: float) -> Iterator[Callable[[], bool]]:
    """Ask to stop when some chunks are done."""
    asked = iter([False] * CHUNKS)
    yield lambda: next(asked, True)
