"""One alert of each cause when it appears, changes or is over; none while nothing changed."""

from backfill.alerts.alert import Found, State
from backfill.alerts.decide import LastAlert, decide

EDITED = "projection-edited"


def _found(digest: str = "a") -> dict[str, Found]:
    return {EDITED: Found(cause=EDITED, digest=digest)}


def _said(state: State, digest: str = "a") -> dict[str, LastAlert]:
    return {EDITED: LastAlert(state, Found(cause=EDITED, digest=digest))}


def _decided(found: dict[str, Found], said: dict[str, LastAlert], *, settled: bool) -> list[str]:
    return [state for state, _ in decide(found, said, {EDITED} if settled else set())]


def test_what_appears_is_raised_at_once() -> None:
    for settled in (True, False):
        assert _decided(_found(), {}, settled=settled) == ["raised"]
        assert _decided(_found(), _said("resolved"), settled=settled) == ["raised"]


def test_nothing_is_repeated_while_nothing_changed() -> None:
    assert _decided(_found(), _said("raised"), settled=True) == []
    assert _decided(_found(), _said("changed"), settled=True) == []
    assert _decided({}, _said("resolved"), settled=True) == []
    assert _decided({}, {}, settled=True) == []


def test_less_or_other_is_believed_only_once_all_was_seen() -> None:
    assert _decided(_found("b"), _said("raised"), settled=False) == []
    assert _decided(_found("b"), _said("raised"), settled=True) == ["changed"]
    assert _decided({}, _said("raised"), settled=False) == []
    assert _decided({}, _said("changed"), settled=True) == ["resolved"]
