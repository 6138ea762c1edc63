"""What a running consumer makes of the answers about its log: doubted until proven, and never by an older answer."""

import threading
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from events.runtime.errors import ServiceTemporarilyUnavailableError
from projector.errors import PositionImpossibleError, TopicMissingError
from projector.kafka_log import continuity
from projector.kafka_log.continuity import Continuity, Positions
from projector.kafka_log.position_check import Position, created_again, deleted
from tests.conftest import WaitUntil

PLACE = ("billing.invoices", 0)
GIVEN = {PLACE: Position(next_offset=7, topic_id="ours")}


def _watch(ids: Callable[[], dict[str, str]], prove: Callable[[], Positions] = lambda: GIVEN) -> Continuity:
    made = Continuity(ids, prove)
    made.expect({PLACE[0]: "ours"})
    return made


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(continuity, "CHECK_SECONDS", 0.02)


def _missing() -> dict[str, str]:
    raise TopicMissingError(PLACE[0])


def _away() -> dict[str, str]:
    raise ServiceTemporarilyUnavailableError("away")


def _look_until_asked(watch: Continuity, asked: threading.Semaphore, times: int, wait_until: WaitUntil) -> None:
    """Look until so many questions were asked: each follows the answer to the one before it."""
    questions = 0

    def enough() -> bool:
        nonlocal questions
        watch.check_topic_ids()
        questions += asked.acquire(blocking=False)
        return questions == times

    wait_until(enough, what=f"{times} questions")


@pytest.mark.parametrize(
    ("ids", "said", "asked"),
    [
        ([{PLACE[0]: "another"}], created_again(PLACE[0], "while it was read"), 1),
        ([None, None], deleted(PLACE[0]), 2),  # a broker may not have heard of it yet
        ([None, {PLACE[0]: "ours"}, None, None], deleted(PLACE[0]), 4),
    ],
)
def test_another_topic_of_the_name_stops_and_so_does_none_at_the_second_look(
    ids: list[dict[str, str] | None], said: str, asked: int, wait_until: WaitUntil
) -> None:
    answers: list[dict[str, str] | None] = []

    def ask() -> dict[str, str]:
        answers.append(ids[len(answers)])
        return answers[-1] or _missing()

    watch = _watch(ask)

    def stopped() -> bool:
        try:
            watch.check_topic_ids()
        except PositionImpossibleError as impossible:
            return str(impossible) == said
        return False

    wait_until(stopped, what="the look")
    assert len(answers) == asked


def test_a_broker_that_is_away_is_no_answer(wait_until: WaitUntil) -> None:
    asked = threading.Semaphore(0)
    _look_until_asked(_watch(lambda: asked.release() or _away()), asked, 3, wait_until)  # type: ignore[func-returns-value]


def test_before_the_first_assignment_any_topic_is_the_right_one(wait_until: WaitUntil) -> None:
    asked = threading.Semaphore(0)
    watch = Continuity(lambda: asked.release() or {PLACE[0]: "another"}, lambda: GIVEN)  # type: ignore[func-returns-value]
    _look_until_asked(watch, asked, 3, wait_until)


def test_an_answer_to_an_older_doubt_proves_nothing(wait_until: WaitUntil) -> None:
    answers = iter([{PLACE: Position(next_offset=1, topic_id="ours")}, GIVEN])
    go, asked = threading.Semaphore(0), threading.Semaphore(0)

    def prove() -> Positions:
        asked.release()
        assert go.acquire(timeout=120)
        return next(answers)

    watch = _watch(lambda: {PLACE[0]: "ours"}, prove)
    watch.doubt("lost")
    assert watch.proven() is None
    assert asked.acquire(timeout=120)
    watch.doubt("lost")  # the connection was lost once more while the first proof was under way
    go.release()
    go.release()
    found: list[Positions | None] = [None]

    def proven() -> bool:
        found[0] = watch.proven()
        return found[0] is not None

    wait_until(proven, what="the proof")
    assert found == [GIVEN]
    assert not watch.doubted


def test_a_failed_try_is_told_even_if_the_connection_was_lost_again_meanwhile(wait_until: WaitUntil) -> None:
    """While a broker is away, connections are lost several times a second, and each try takes seconds."""
    go = threading.Semaphore(0)

    def prove() -> Positions:
        assert go.acquire(timeout=120)
        raise ServiceTemporarilyUnavailableError("away")

    watch = _watch(lambda: {PLACE[0]: "ours"}, prove)
    with capture_logs() as lines:
        watch.doubt("lost")
        assert watch.proven() is None
        watch.doubt("lost")
        go.release()

        def told() -> bool:
            assert watch.proven() is None
            return any(line["event"] == "retrying" for line in lines)

        wait_until(told, what="the line")
    assert watch.doubted
    go.release()


def test_a_doubt_is_told_once_and_each_try_to_prove_the_log_with_what_was_in_the_way(wait_until: WaitUntil) -> None:
    away = [True, False]

    def prove() -> Positions:
        if away.pop(0):
            raise ServiceTemporarilyUnavailableError("no leader")
        return GIVEN

    watch = _watch(lambda: {PLACE[0]: "ours"}, prove)
    assert watch.doubted is False
    with capture_logs() as lines:
        watch.doubt("lost")
        assert watch.doubted
        assert len(lines) == 1
        watch.doubt("lost")
        assert watch.proven() is None
        assert watch.doubted
        wait_until(lambda: watch.proven() is not None, what="the proof")
    assert not watch.doubted
    assert lines == [
        {"event": "broker connection lost, checking the log", "reason": "lost", "log_level": "warning"},
        {"event": "retrying", "reason": "no leader", "wait_seconds": 0.02, "log_level": "warning"},
    ]


def test_a_broker_that_hangs_holds_up_no_exit() -> None:
    """The thread that waits for it ends with the process."""
    go = threading.Semaphore(0)

    def hang() -> dict[str, str]:
        assert go.acquire(timeout=120)
        return {}

    before = set(threading.enumerate())
    _watch(hang).check_topic_ids()
    assert [thread.daemon for thread in set(threading.enumerate()) - before] == [True]
    go.release()
