"""A wish to stop, which comes as a signal, ends a wait and disturbs nobody."""

import signal
from threading import Event, Thread, current_thread

import pytest

from events.runtime.stop import SIGNALLED, stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_wait_and_is_remembered(number: signal.Signals) -> None:
    ended = Event()

    def wait() -> bool:
        signal.raise_signal(number)
        return ended.wait(60)

    with stop_on_signals() as stop:
        assert stop.run_unless_stopped(wait) is None
        assert stop.requested
        assert stop.run_unless_stopped(lambda: 7) is None
    ended.set()


def test_without_a_signal_the_wait_s_answer_counts() -> None:
    def broken() -> None:
        raise LookupError("nothing there")

    with stop_on_signals() as stop:
        assert stop.run_unless_stopped(lambda: 7) == 7
        with pytest.raises(LookupError, match="nothing there"):
            stop.run_unless_stopped(broken)
        assert not stop.requested


def test_a_signal_outside_a_wait_is_remembered_and_raises_nothing() -> None:
    with stop_on_signals() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop.requested


def test_a_signal_raises_nothing_in_a_client_that_is_at_work() -> None:
    """Seeds 830771, 192252 of the faults: raised within librdkafka or a pool's ping it came back as another error."""
    at_work, go_on = Event(), Event()
    ended: list[bool] = []
    waiting: list[Thread] = []

    def wait() -> None:
        waiting.append(current_thread())
        at_work.set()
        ended.append(go_on.wait(60))

    def ask() -> None:
        at_work.wait(60)
        signal.raise_signal(signal.SIGTERM)

    with stop_on_signals() as stop:
        Thread(target=ask).start()
        assert stop.run_unless_stopped(wait) is None
    go_on.set()
    waiting[0].join(60)
    assert ended == [True]


def test_a_second_signal_goes_to_the_handler_of_before_where_it_shall_end_the_process() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    try:
        with stop_on_signals(second_ends=True) as stop:
            signal.raise_signal(signal.SIGINT)
            assert stop.requested
            at = stop.requested_at
            signal.raise_signal(signal.SIGTERM)
            assert seen == [signal.SIGTERM]
            assert stop.requested_at == at
        with stop_on_signals() as stop:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
            assert stop.requested
        assert seen == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_signal_may_unwind_the_program_at_once() -> None:
    before = signal.getsignal(signal.SIGHUP)
    with pytest.raises(SystemExit) as ended, stop_on_signals([signal.SIGHUP], raises=True):
        signal.raise_signal(signal.SIGHUP)
    assert ended.value.code == SIGNALLED + signal.SIGHUP
    assert signal.getsignal(signal.SIGHUP) == before
