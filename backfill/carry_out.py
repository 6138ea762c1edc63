"""A run, phase by phase and chunk by chunk, until it is done or asked to stop."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from time import monotonic
from typing import Any, Final

from psycopg import Connection

from backfill import check, repair, runs, verify
from backfill.runs import Phase, Run
from backfill.tally import Tally

STEPS: Final[Mapping[Phase, Callable[[Connection[Any], Run], Run]]] = {
    "customers": check.customers,
    "meters": check.meters,
    "repair-meters": repair.meters,
    "repair-customers": repair.customers,
    "verify-meters": verify.meters,
    "verify-customers": verify.customers,
}
"""What does the next chunk of each phase: it returns the run as it stands in the database afterwards."""


def carry_out(connection: Connection[Any], run: Run, *, stop: Callable[[], bool], watch: Callable[[Run], None]) -> Run:
    """Do chunk after chunk; end the run as finished, or as paused once `stop` says so."""
    while run.phase != "done" and not stop():
        began = monotonic()
        run = STEPS[run.phase](connection, run)
        run = replace(run, tally=run.tally + Tally(seconds=monotonic() - began))
        watch(run)
    with connection.transaction(), connection.cursor() as cursor:
        runs.advance(cursor, run)
        return runs.change_state(connection, run, "finished" if run.phase == "done" else "paused")
