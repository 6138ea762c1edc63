"""Whether a session is ours alone, belongs to the user we asked for, and is served by a version that we know.

A pooler such as PgBouncer hands a server's connection to a client for its whole session, for one transaction or for one
statement. Only the first keeps what a session has: pinned settings, staging tables, advisory locks. A pooler shows by
the process number: the one told at start-up is not that of the process which serves the statements. Whether it hands
the connection on between two transactions is then tried: while ours is idle, a second session begins a transaction. It
is served by the same process, or ours by another one afterwards, where connections are handed on; it has a process of
its own, or waits for one, where they are not.
"""

import select
from collections.abc import Callable
from typing import Any, Final

import psycopg
from psycopg import Connection, pq
from psycopg.rows import tuple_row

from events.runtime.errors import ServiceUnavailableError, StateError
from projector.database.failures import server_of
from projector.database.statements import statements

SQL: Final = statements("projector.database", "poolers.sql")
VERSION_MIN: Final = 18
ANSWER_SECONDS: Final = 2.0  # a second session that waits longer for a process waits for ours, which is ours then


def require_own_session(connection: Connection[Any], another: Callable[[], Connection[Any]]) -> None:
    """Look at a new connection in autocommit.

    Args:
        connection: the new connection.
        another: makes a second one to the same address; it is called where a pooler stands between.

    Raises:
        StateError: PostgreSQL is older than 18.
        ServiceUnavailableError: the session belongs to another user, or a pooler hands it on between transactions.

    """
    with connection.cursor(row_factory=tuple_row) as cursor:
        user, process, version = cursor.execute(SQL["session"]).fetchone() or ("", 0, 0)
    info, where = connection.info, f"PostgreSQL at {server_of(connection)}"
    if version // 10_000 < VERSION_MIN:
        told = info.parameter_status("server_version")
        raise StateError(f"{where} is version {told}: {VERSION_MIN} or newer is needed")
    if user != info.user:
        raise ServiceUnavailableError(
            f"{where}: the session belongs to {user} and not to {info.user}: a pooler between logs in as a user of its "
            "own; have it log in as the client's user (PgBouncer: no user= in the line of this database)"
        )
    if process != info.backend_pid and _is_handed_on(connection, process, another):
        raise ServiceUnavailableError(
            f"{where}: a pooler between hands its connections on after each transaction, with their locks and staging "
            "tables; set pool_mode = session for this database, or give the address of PostgreSQL itself"
        )


def _is_handed_on(connection: Connection[Any], process: int, another: Callable[[], Connection[Any]]) -> bool:
    second = another()
    try:
        try:
            theirs = _process_of(second)
        except psycopg.OperationalError:  # a pooler that hands on after each statement allows no transaction
            theirs = process
        with connection.cursor(row_factory=tuple_row) as cursor:
            (now,) = cursor.execute(SQL["process"]).fetchone() or (0,)
        return process == theirs or now != process
    finally:
        second.close()


def _process_of(connection: Connection[Any]) -> int | None:
    """Begin a transaction and return the process that serves it; None where no process becomes free for it."""
    client = connection.pgconn
    client.send_query(b"BEGIN; " + SQL["process"].encode())
    while True:
        client.flush()
        if not any(select.select([client.socket], [], [], ANSWER_SECONDS)):
            return None
        client.consume_input()
        while not client.is_busy():
            result = client.get_result()
            if result is None:
                return None
            if result.status == pq.ExecStatus.TUPLES_OK:
                return int(result.get_value(0, 0) or 0)
