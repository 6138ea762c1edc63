"""A run as tests of pure code need it."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from backfill.runs import BEFORE_ALL_KEYS, Run
from backfill.tally import Tally


def run(**options: Any) -> Run:  # noqa: ANN401 - a run's options are of any type
    """Make a drift check that is under way."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Run(
        run_id=UUID(int=1), command="drift-check", state="running", options=options, phase="customers",
        cursor=BEFORE_ALL_KEYS, tally=Tally(), error=None, started_at=now, updated_at=now, finished_at=None,
    )  # fmt: skip
