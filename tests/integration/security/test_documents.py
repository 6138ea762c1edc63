"""What a lesser role writes is data to whoever reads it: it breaks nothing, and is nothing to type."""

from datetime import UTC, datetime
from typing import Any, Final

import pytest
from psycopg.types.json import Jsonb
from pydantic import SecretStr
from sqlalchemy import Engine

from backfill.runs import store as runs
from backfill.runs.session import session
from events.runtime.errors import StateError
from projector.database.engines import make_engine, transaction
from projector.status import status, text
from projector.status.kafka_view import KafkaView
from tests.integration.security.conftest import OWNER, Deployed

RUN: Final = """
INSERT INTO backfill_runs (run_id, command, state, options, tally, finished_at)
VALUES (uuidv7(), 'drift-check', 'finished', %s, %s, now()) RETURNING run_id
"""
ODD: Final[tuple[Any, ...]] = ("x", None, [], {}, -1, 1e300, "Infinity", True, [1e300], {"a": 1})


def test_what_the_auditor_left_breaks_no_status(deployed: Deployed) -> None:
    with deployed.connected("backfill") as auditor:
        for odd in ODD:
            auditor.execute(RUN, [Jsonb({"promised_seconds": odd}), Jsonb({"failed": odd})])
            assert _status(deployed).last_verified is None
        for odd in ODD:
            auditor.execute(RUN, [Jsonb(odd), Jsonb(odd)])
            found = _status(deployed)
            assert found.last_check is not None
            text.show(found)


@pytest.mark.parametrize(
    "selection",
    [
        {"customers": ["1; touch /tmp/owned"]},
        {"meters": ["$(touch /tmp/owned)"]},
        {"sample": "0.1; touch /tmp/owned"},
        {"since": "24h; touch /tmp/owned"},
        {"evil": 1},
        ["x"],
    ],
)
def test_a_stored_selection_is_nothing_to_type(deployed: Deployed, selection: object) -> None:
    with deployed.connected("backfill") as auditor:
        rows = auditor.execute(RUN, [Jsonb({"selection": selection}), Jsonb({})]).fetchall()
    with deployed.connected(OWNER) as owner, pytest.raises(StateError, match="no selection"):
        print(runs.find(owner, str(rows[0][0])).selection.arguments)  # noqa: T201 - what would be shown


def test_temporary_objects_stand_before_no_table_and_are_nobody_elses(deployed: Deployed) -> None:
    lesser, owner = (_engine(deployed, role) for role in ("backfill", OWNER))
    with session(lesser) as mine, session(owner) as theirs:
        mine.execute("CREATE TEMP TABLE customers (customer_id bigint, name text)")
        mine.execute("INSERT INTO pg_temp.customers VALUES (1, 'evil')")
        for each in (mine, theirs):
            assert each.execute("SELECT name FROM customers").fetchall() == []
            assert each.execute("SHOW search_path").fetchall() == [(f"{deployed.settings.schema_name}, pg_temp",)]
        assert theirs.execute("SELECT to_regclass('pg_temp.customers')").fetchall() == [(None,)]
    for engine in (lesser, owner):
        engine.dispose()


def _status(deployed: Deployed) -> status.Status:
    """Read it as the projector's user."""
    engine = _engine(deployed, "projector")
    try:
        with transaction(engine) as connection:
            return status.read(connection, deployed.settings.group_id, KafkaView(), datetime.now(UTC))
    finally:
        engine.dispose()


def _engine(deployed: Deployed, role: str) -> Engine:
    address = SecretStr(deployed.url(role))
    return make_engine(deployed.settings.model_copy(update={"database_url": address}), program="tests")
