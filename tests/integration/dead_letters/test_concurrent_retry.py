"""Retries, discards and consumers that meet at one message: each is applied once, and none waits in a circle."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text

from events.runtime.settings import Settings
from projector.dead_letters import selection
from tests.conftest import WaitUntil
from tests.integration.dead_letters.conftest import EVENTS, Reader, dollars, in_dollars, letters, retried, states
from tests.support.examples import invoice, line
from tests.support.merge_harness import disagreement


def test_of_two_retries_at_once_each_message_has_one(
    reader: Reader, engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "CHUNK_LETTERS", 3)
    events = [invoice(n, n % 5 + 1, "1.00") for n in range(1, 61)]
    reader.read(dollars(*events))
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: retried(engine, settings), range(2)))
    assert done[0].applied + done[1].applied == len(events)
    assert {letter["attempts"] for letter in letters(engine)} == {1}
    assert not disagreement(engine, in_dollars(events))


def test_a_message_that_another_holds_is_left_to_it(reader: Reader, engine: Engine, settings: Settings) -> None:
    reader.read(dollars(*EVENTS[:2]))
    with engine.connect() as other:
        other.execute(text("SELECT FROM dead_letters ORDER BY dead_letter_id LIMIT 1 FOR UPDATE"))
        done = retried(engine, settings)
    assert (done.applied, done.elsewhere) == (1, 1)
    assert states(engine) == ["open", "applied"]


def test_a_consumer_that_reads_the_message_again_is_not_held_up_by_a_retry_that_waits(
    reader: Reader, engine: Engine, settings: Settings, wait_until: WaitUntil
) -> None:
    read_before = [line(invoice(50, 1, "1.00")), *dollars(EVENTS[2])]
    reader.read(read_before)
    with engine.connect() as hand, ThreadPoolExecutor(1) as pool:
        hand.execute(text("SELECT FROM meter_balances FOR UPDATE"))
        waiting = pool.submit(retried, engine, settings)
        wait_until(lambda: _blocked(engine), what="the retry to wait for its meter")
        reader.replay()
        assert reader.read(read_before).refused == 1
        hand.rollback()
        assert waiting.result(30).applied == 1
    assert states(engine) == ["applied"]
    assert not disagreement(engine, [invoice(50, 1, "1.00"), *in_dollars(EVENTS[2:3])])


def test_a_consumer_that_reads_the_message_again_waits_for_one_who_is_closing_it(
    reader: Reader, engine: Engine, wait_until: WaitUntil
) -> None:
    reader.read([b"no json"])
    reader.replay()
    with engine.connect() as closing, ThreadPoolExecutor(1) as pool:
        closing.execute(text("UPDATE dead_letters SET state = 'discarded'"))
        consumed = pool.submit(reader.read, [b"no json"])
        wait_until(lambda: _blocked(engine), what="the consumer to wait for the dead letter")
        closing.commit()
        assert consumed.result(30).refused == 1
    assert states(engine) == ["discarded"]


def _blocked(engine: Engine) -> bool:
    with engine.connect() as connection:
        waits = "SELECT count(*) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0"
        return bool(connection.execute(text(waits + " AND datname = current_database()")).scalar())
