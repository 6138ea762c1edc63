"""What happens to a chunk that PostgreSQL refuses: it is told, and the others go on."""

from collections.abc import Callable
from typing import Any

import psycopg
import structlog
from psycopg import Connection

from backfill import tally
from backfill.runs import Run
from backfill.session import RETRIED, reason
from backfill.tally import Tally

_log = structlog.get_logger()


def guarded(connection: Connection[Any], run: Run, first: int, last: int, compare: Callable[[], Tally]) -> Tally:
    """Compare in a savepoint: a chunk that PostgreSQL refuses is tallied and logged, and the others go on."""
    try:
        with connection.transaction():
            return compare()
    except RETRIED:
        raise
    except psycopg.Error as error:
        if connection.closed:
            raise
        _log.error("chunk failed", phase=run.phase, first=first, last=last, reason=reason(error))
        return tally.failure(run.phase, first, last, reason(error))
