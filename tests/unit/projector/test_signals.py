"""A wish to stop, which comes as a signal and ends a wait wherever that is."""

import signal
from threading import Event

import pytest

from projector.signals import stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_wait_and_is_remembered(number: signal.Signals) -> None:
    def wait() -> bool:
        signal.raise_signal(number)
        return Event().wait(60)

    with stop_on_signals() as stop:
        assert stop.unless_wanted(wait) is None
        assert stop.wanted
        assert stop.unless_wanted(lambda: 7) is None


def test_without_a_signal_the_wait_s_answer_counts() -> None:
    with stop_on_signals() as stop:
        assert stop.unless_wanted(lambda: 7) == 7
        assert not stop.wanted


def test_a_signal_outside_a_wait_is_remembered_and_raises_nothing() -> None:
    with stop_on_signals() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop.wanted


def test_a_signal_that_comes_while_a_client_in_c_goes_on_with_the_exception_set_ends_the_wait_as_well() -> None:
    """Seed 830771 of the faults: SIGTERM within `AdminClient.describe_topics` was a SystemError, and exit code 1."""

    def described() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException as wanted:
            raise SystemError("<method> returned a result with an exception set") from wanted

    with stop_on_signals() as stop:
        assert stop.unless_wanted(described) is None
        assert stop.wanted


def test_another_error_of_the_system_stays_one() -> None:
    def broken() -> None:
        raise SystemError("bad internal call")

    with stop_on_signals() as stop, pytest.raises(SystemError, match="bad internal call"):
        stop.unless_wanted(broken)
