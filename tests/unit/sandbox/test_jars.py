"""Kafka's jars are fetched by one process at a time, however many start together in an empty cache."""

import fcntl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from events.runtime.errors import StateError
from projector.sandbox import jars


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _: tmp_path / "cache")
    monkeypatch.setattr(jars, "pinned", dict)
    return tmp_path / "cache"


def test_one_fetches_and_the_others_wait_for_it(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[Path] = []

    def fetch(folder: Path) -> None:
        with next(cache.glob("*.lock")).open("w") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fetched.append(folder)
        folder.mkdir()

    monkeypatch.setattr(jars, "_fetch", fetch)
    with ThreadPoolExecutor(4) as pool:
        paths = [pool.submit(jars.class_path) for _ in range(4)]
    assert {path.result() for path in paths} == {""}
    assert len(fetched) == 1


def test_a_cache_that_cannot_be_written_is_named(cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(StateError, match=f"cannot be kept in {cache}"):
        jars.class_path()
