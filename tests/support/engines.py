"""Engines that commands make where they run in the tests' own process."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine

from projector.database import engines as database


@pytest.fixture(autouse=True)
def _engines_are_disposed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close what a command left in its engine's pool, as the end of its process would."""
    made: list[Engine] = []

    def create(*given: Any, **options: Any) -> Engine:  # noqa: ANN401 - handed on
        made.append(create_engine(*given, **options))
        return made[-1]

    monkeypatch.setattr(database, "create_engine", create)
    yield
    for engine in made:
        engine.dispose()
