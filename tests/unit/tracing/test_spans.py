"""Which messages of a batch a span links to; and that nobody pays for traces who has none."""

import itertools
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.contract.types import Message, Refusal
from events.runtime.errors import SettingError
from events.runtime.settings import Settings
from projector.consume import run
from projector.consume.batch import Item, make_item
from projector.consume.spans import LINKS_MAX, sample

LOADED = (
    "import sys, projector.cli, projector.consume.run; print([name for name in sys.modules if 'opentelem' in name])"
)


def _items(count: int, refused: set[int]) -> list[Item]:
    found = []
    for offset in range(count):
        message = Message("billing.invoices", 0, offset, 0, None, b"", ())
        item = make_item(message, Refusal("not-json", ""))
        found.append(item if offset in refused else item._replace(refusal=None))
    return found


@given(count=st.integers(0, 400), refused=st.sets(st.integers(0, 399)))
def test_few_are_chosen_from_all_over_the_batch(count: int, refused: set[int]) -> None:
    items = _items(count, refused)
    chosen = sample(items)
    assert len(chosen) <= LINKS_MAX
    assert len({item.message.offset for item in chosen}) == len(chosen)
    bad = [item for item in items if item.refusal]
    assert [item for item in chosen if item.refusal] == bad[: LINKS_MAX // 2]
    good = [item for item in chosen if not item.refusal]
    offsets = [item.message.offset for item in items if not item.refusal]
    places = [offsets.index(item.message.offset) for item in good]
    assert len({after - before for before, after in itertools.pairwise(places)}) <= 1, "at equal distances"
    assert (places[:1] == [0]) == bool(offsets)
    if len(items) <= LINKS_MAX and len(bad) <= LINKS_MAX // 2:
        assert len(chosen) == len(items)


def test_whoever_has_no_traces_loads_nothing_of_them() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_the_extra_the_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "projector.tracing.delivery", None)
    settings = Settings(_env_file=None, traces_url="http://collector:4318/v1/traces")
    with (
        pytest.raises(SettingError, match=r"PROJECTOR_TRACES_URL needs an extra: run `pip install '\.\[tracing\]'`"),
        run.traced(settings),
    ):
        pass
