"""Why a server refused a connection, as its SQLSTATE: psycopg tells only a text, which may be in any language.

libpq keeps no result of a connection that failed, but it can trace what the server sends (PostgreSQL manual, PQtrace).
So a connection that failed is tried once more and traced, and the last error message of the protocol is read. The trace
holds what a login exchanges: it lies in a file that has no name, and is gone when it is read.
"""

import re
import select
from collections.abc import Mapping
from tempfile import TemporaryFile
from time import monotonic
from typing import Any, Final

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

from projector.database.address import parameter_names

TRACE_SECONDS: Final = 5.0  # for a server that has just refused to refuse again
CODE: Final = re.compile(rb'\tErrorResponse\t.*? C "([0-9A-Z]{5})" ')


def refusal_code(conninfo: str, parameters: Mapping[str, Any], error: psycopg.Error) -> str | None:
    """Return the SQLSTATE with which the server refuses this connection; None where no server answers with one."""
    if isinstance(error, psycopg.errors.ConnectionTimeout):
        return None
    options = {name: parameters[name] for name in parameter_names() if name in parameters}
    with TemporaryFile() as file:
        connection = pq.PGconn.connect_start(make_conninfo(conninfo, **options).encode())
        try:
            connection.trace(file.fileno())
            _poll(connection)
            connection.untrace()
        finally:
            connection.finish()
        file.seek(0)
        codes = CODE.findall(file.read())
    return codes[-1].decode() if codes else None


def _poll(connection: pq.abc.PGconn) -> None:
    """Go through the start-up until it ends either way, or takes too long."""
    deadline = monotonic() + TRACE_SECONDS
    while connection.status != pq.ConnStatus.BAD:
        status = connection.connect_poll()
        if status not in {pq.PollingStatus.READING, pq.PollingStatus.WRITING}:
            return
        ends = [connection.socket]
        reading, writing = (ends, []) if status == pq.PollingStatus.READING else ([], ends)
        if not any(select.select(reading, writing, [], max(0.0, deadline - monotonic()))):
            return
