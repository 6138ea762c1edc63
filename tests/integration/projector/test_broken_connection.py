"""A connection that broke is told by whoever uses it next, and by nobody else."""

import pytest
from sqlalchemy import Engine

from projector.deployment.identity import driver_of


def test_the_pool_throws_it_away_without_a_word(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    with engine.connect() as broken, engine.connect() as other:
        (pid,) = driver_of(broken).execute("SELECT pg_backend_pid()").fetchone() or (0,)
        other.exec_driver_sql("SELECT pg_terminate_backend(%s, 10000)", (pid,))
    assert caplog.records == []
    with engine.connect() as another:
        assert another.exec_driver_sql("SELECT 1").scalar() == 1
