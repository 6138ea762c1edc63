"""What befalls a connection in the middle of a batch ends in the batch applied once."""

import json
import os
import socket
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import psycopg
from psycopg import Cursor
from psycopg.errors import DeadlockDetected
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from events.runtime.deadline import Deadline
from events.runtime.errors import ServiceTemporarilyUnavailableError
from events.runtime.settings import Settings
from projector.consume.merge import MERGE, STAGING
from projector.consume.writer import Writer
from projector.database.engines import make_engine
from tests.conftest import WaitUntil
from tests.support.examples import assigned, invoice, payment
from tests.support.merge_harness import MergeHarness, disagreement

EVENTS: Final = [assigned(1, 1, 7), invoice(1, 1, "10.00"), payment(1, "4.00", invoice_id=1)]

GIVEN_UP: Final = [
    (socket.IPPROTO_TCP, option)
    for option in (socket.TCP_USER_TIMEOUT, socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
]
PATIENCE_SECONDS: Final = 60.0

Mishap = Callable[[psycopg.Connection[Any]], None]


class Struck:
    """An engine whose connections meet a mishap once, before one statement: the one that merges meters, if not said."""

    def __init__(self, settings: Settings, mishap: Mishap, *, before: str = MERGE["merge_meters"]) -> None:
        self.engine = make_engine(settings, program="struck")
        self.strikes = 0
        event.listen(self.engine, "connect", self._connected)
        self._mishap = mishap
        self._before = before

    def _connected(self, connection: Any, _record: object) -> None:  # noqa: ANN401 - psycopg's, as the listener gets it
        struck = self

        class Careless(Cursor[Any]):
            def execute(self, query: Any, *arguments: Any, **named: Any) -> "Careless":  # noqa: ANN401 - handed on
                if query == struck._before and not struck.strikes:
                    struck.strikes += 1
                    struck._mishap(self.connection)
                super().execute(query, *arguments, **named)
                return self

        connection.cursor_factory = Careless

    def write(self, harness: MergeHarness) -> int:
        """Apply the events; return how many were."""
        writer = Writer(self.engine, harness.settings)
        try:
            return writer.submit(harness.batch(EVENTS)).result(PATIENCE_SECONDS).applied
        finally:
            writer.close(Deadline.after(PATIENCE_SECONDS))
            self.engine.dispose()


def test_an_event_that_postgresql_refuses_is_logged_with_its_place_in_any_format(
    engine: Engine, settings: Settings, harness: MergeHarness
) -> None:
    most = "9999999999999999.99"
    writer = Writer(engine, settings)
    try:
        with capture_logs() as logs:
            batch = harness.batch([invoice(1, 1, most), invoice(2, 1, most)])
            applied = writer.submit(batch).result(PATIENCE_SECONDS)
    finally:
        writer.close(Deadline.after(PATIENCE_SECONDS))
    assert (applied.applied, applied.refused) == (1, 1)
    [refused] = [record for record in logs if record["event"] == "event refused by PostgreSQL"]
    message = batch.items[1].message
    assert refused["place"] == f"{message.topic}/{message.partition}@{message.offset}"
    assert "overflow" in json.dumps(refused)  # PROJECTOR_LOG_FORMAT=json can write it


def test_a_connection_that_the_server_ended(engine: Engine, settings: Settings, harness: MergeHarness) -> None:
    def terminated(connection: psycopg.Connection[Any]) -> None:
        with engine.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": connection.info.backend_pid})

    struck = Struck(settings, terminated)
    assert struck.write(harness) == len(EVENTS)
    assert struck.strikes == 1
    assert not disagreement(engine, EVENTS)


def test_a_connection_that_could_not_be_prepared_is_not_used(
    engine: Engine, settings: Settings, harness: MergeHarness
) -> None:
    """As on a full disk, the staging tables cannot be created and the connection lives on: a batch needs another."""

    def hasty(connection: psycopg.Connection[Any]) -> None:
        connection.execute("SET LOCAL statement_timeout = '1ms'")  # less than the tables take

    struck = Struck(settings, hasty, before=STAGING["create_staging"])
    assert struck.write(harness) == len(EVENTS)
    assert struck.strikes == 1
    assert not disagreement(engine, EVENTS)


def test_a_connection_that_failed_is_not_used_again(engine: Engine, settings: Settings, harness: MergeHarness) -> None:
    """A disk that fills up amid a COPY leaves the client a result too many, which the next statement stumbles over."""
    struck_pids: list[int] = []

    def full(connection: psycopg.Connection[Any]) -> None:
        struck_pids.append(connection.info.backend_pid)
        raise psycopg.errors.DiskFull("could not extend file")

    struck = Struck(settings, full)
    made: list[int] = []
    event.listen(struck.engine, "connect", lambda connection, _: made.append(connection.info.backend_pid))
    assert struck.write(harness) == len(EVENTS)
    assert struck.strikes == 1
    assert made[:1] == struck_pids
    assert len(made) == 2
    assert not disagreement(engine, EVENTS)


def test_closing_aborts_what_a_batch_waits_behind(
    engine: Engine, settings: Settings, harness: MergeHarness, wait_until: WaitUntil
) -> None:
    """A writer that looks at its last future only waits for ever: a cancelled batch is done."""
    writer = Writer(engine, settings)
    waiting = text("SELECT FROM pg_locks WHERE relation = 'consumer_stops'::regclass AND NOT granted")
    with engine.connect() as locker, ThreadPoolExecutor(1) as closing:
        locker.execute(text("LOCK TABLE consumer_stops"))
        forgotten = writer.forget_stops()
        wait_until(lambda: locker.execute(waiting).first() is not None, what="the writer to wait for the lock")
        batch = writer.submit(harness.batch(EVENTS))
        try:
            closing.submit(writer.close, Deadline.after(0)).result(PATIENCE_SECONDS)
        finally:
            locker.rollback()
    assert isinstance(forgotten.exception(), ServiceTemporarilyUnavailableError)
    assert batch.cancelled()


def test_a_connection_to_a_server_without_power_is_given_up(engine: Engine) -> None:
    """The system would try for a quarter of an hour to get through, and wait for two hours for an answer."""
    with engine.connect() as connection:
        fd = connection.connection.driver_connection.fileno()  # type: ignore[union-attr]
        with socket.socket(fileno=os.dup(fd)) as made:
            options = [made.getsockopt(*option) for option in GIVEN_UP]
    unsent_ms, idle, interval, count = options
    assert unsent_ms / 1000 <= 30
    assert idle + interval * count <= 30


def test_a_transaction_that_idled_beyond_the_servers_patience(
    engine: Engine, settings: Settings, harness: MergeHarness, wait_until: WaitUntil
) -> None:
    def idle(connection: psycopg.Connection[Any]) -> None:
        connection.execute("SET idle_in_transaction_session_timeout = '50ms'")
        pid = connection.info.backend_pid
        wait_until(lambda: not _lives(engine, pid), what="the server to end the idle transaction")

    struck = Struck(settings, idle)
    assert struck.write(harness) == len(EVENTS)
    assert not disagreement(engine, EVENTS)


def test_a_deadlock_with_a_hand_that_takes_locks_in_another_order(
    engine: Engine, settings: Settings, harness: MergeHarness, wait_until: WaitUntil
) -> None:
    """The hand holds a meter, and wants its history once we wait for the meter.

    PostgreSQL ends whoever looks while both wait. We wait for longer, so it is us, unless the machine is so busy that
    we have looked before the hand wants anything: then it is the hand.
    """
    with engine.connect() as hand, ThreadPoolExecutor(1) as pool:
        hand.execute(text("INSERT INTO meter_balances (meter_id) VALUES (1)"))
        hand.commit()
        hand.execute(text("SELECT FROM meter_balances FOR UPDATE"))

        def reach_across(pid: int) -> None:
            wait_until(lambda: _is_blocked(engine, pid), what="our wait for the meter")
            wanted = "INSERT INTO invoices (invoice_id, amount, currency, invoice_date) VALUES (1, 0, '', now())"
            try:
                hand.execute(text(wanted))
            except OperationalError as error:
                assert isinstance(error.orig, DeadlockDetected)  # noqa: PT017 - what else it might be is a failure
            hand.rollback()

        reaching: list[Future[None]] = []
        struck = Struck(settings, lambda ours: reaching.append(pool.submit(reach_across, ours.info.backend_pid)))
        assert struck.write(harness) == len(EVENTS)
        reaching[0].result(PATIENCE_SECONDS)
    assert not disagreement(engine, EVENTS)


def _is_blocked(engine: Engine, pid: int) -> bool:
    with engine.connect() as connection:
        blocked = text("SELECT cardinality(pg_blocking_pids(:pid)) > 0")
        return bool(connection.execute(blocked, {"pid": pid}).scalar())


def _lives(engine: Engine, pid: int) -> bool:
    with engine.connect() as connection:
        alive = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")
        return bool(connection.execute(alive, {"pid": pid}).scalar())
