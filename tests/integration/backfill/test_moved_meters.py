"""A damaged meter that a consumer moves between its comparison and its repair: both customers come right."""

from typing import Any

import pytest
from psycopg import Connection
from sqlalchemy import Engine

from backfill import runs
from backfill.carry_out import carry_out
from backfill.runs import Run
from backfill.session import session
from tests.integration.backfill.conftest import Audit
from tests.integration.backfill.test_repair_beside_consumers import EDIT, reassign_meter


@pytest.mark.parametrize(
    "edit", [EDIT, "UPDATE meter_balances SET customer_id = NULL WHERE meter_id = 1"], ids=["total", "customer"]
)
def test_a_meter_that_moved_after_it_was_compared_leaves_nothing_wrong_with_its_former_customer(
    database: Connection[Any], engine: Engine, audit: Audit, edit: str
) -> None:
    """The consumer takes from the former customer what the damaged row says; who that was, only history knows then."""
    database.execute(edit)
    moved: list[str] = []

    def between(run: Run) -> None:
        if run.phase == "repair-meters" and not moved:
            _move_meter(database)
            moved.append(run.phase)

    with session(engine) as connection:
        run = runs.begin(connection, "rebuild", {"dry_run": False, "chunk_size": 2})
        run = carry_out(connection, run, stop=lambda: False, watch=between)
    assert (moved, run.state) == (["repair-meters"], "finished")
    assert audit()[1] == []


def _move_meter(consumer: Connection[Any]) -> None:
    consumer.execute("BEGIN")
    consumer.execute("UPDATE meter_assignments SET active = false WHERE assignment_id = 101")
    consumer.execute(
        "INSERT INTO meter_assignments (assignment_id, meter_id, customer_id, assigned_at, active)"
        " VALUES (301, 1, 6, '2026-02-01', true)"
    )
    reassign_meter(consumer)
