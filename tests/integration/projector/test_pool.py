"""The engine's pool, where a connection breaks off once its work is done."""

import pytest
from sqlalchemy import Engine, text


def test_a_connection_that_broke_off_after_its_work_is_given_back_without_a_traceback(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    given = engine.raw_connection()
    cursor = given.cursor()
    cursor.execute("SELECT pg_backend_pid()")
    [(pid,)] = cursor.fetchall()
    with engine.connect() as other:
        other.execute(text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": pid})
    given.close()
    assert caplog.records == []
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT pg_backend_pid()")) != pid
