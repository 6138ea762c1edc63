"""Chunks of a run that an earlier version began are gone on with by this one."""

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from events.runtime.settings import Settings
from projector.deployment import schema
from tests.support import old_schema

RUN = (
    "INSERT INTO backfill_runs (run_id, command, state, options, phase, cursor, tally)"
    " VALUES ('01a205b7-b83d-7fd4-8a20-b6d0bb1d2d40', 'rebuild', 'running', '{}', 'customers', 9, '{}')"
)
CHUNKS = (
    "INSERT INTO backfill_chunks (run_id, phase, after_key, last_key, state)"
    " SELECT run_id, 'customers', n, n + 1, s.state FROM backfill_runs,"
    " unnest(ARRAY['open', 'repaired', 'done']) WITH ORDINALITY AS s (state, n)"
)


def test_an_upgrade_keeps_chunks_and_knows_one_state_more(settings: Settings) -> None:
    with old_schema.before(settings, "0012") as older:
        with older.begin() as connection:
            for statement in (RUN, CHUNKS):
                connection.execute(text(statement))
        schema.upgrade(older, old_schema.NAME)
        with older.begin() as connection:
            states = connection.execute(text("SELECT state FROM backfill_chunks ORDER BY after_key")).scalars().all()
            connection.execute(text("UPDATE backfill_chunks SET state = 'compared' WHERE state = 'open'"))
        with pytest.raises(IntegrityError) as refused, older.begin() as connection:
            connection.execute(text("UPDATE backfill_chunks SET state = 'half'"))
    assert states == ["open", "repaired", "done"]
    assert isinstance(refused.value.orig, psycopg.errors.CheckViolation)
