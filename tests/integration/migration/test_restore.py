"""A restore writes old figures beside consumers without a deadlock, and a rebuild makes them right again."""

from collections.abc import Sequence
from typing import Any, Final

from psycopg import Connection
from sqlalchemy import Engine

from backfill.execution.pool import run_pool
from backfill.migration.backup import back_up, restore
from backfill.runs import store as runs
from backfill.runs.session import session
from events.runtime.settings import Settings
from tests.integration.migration.beside import play_everywhere
from tests.integration.migration.conftest import Contents, Drift
from tests.support.examples import CloudEvent, assigned, invoice, payment
from tests.support.merge_harness import MergeHarness

BEFORE: Final[list[CloudEvent]] = [
    assigned(1, 1, 7), assigned(2, 2, 7), assigned(3, 3, 8),
    invoice(1, 1, "100.00"), invoice(2, 2, "50.00"), payment(1, "70.00", meter_id=2),
]  # fmt: skip
SINCE: Final[list[CloudEvent]] = [
    invoice(3, 3, "10.00"), invoice(4, 4, "5.00"), payment(2, "20.00", invoice_id=1),
    assigned(4, 2, 8, assigned_at="2026-05-01T00:00:00Z"),
]  # fmt: skip


class RestoreLane:
    """A restore, held as `tests.support.interleaving` holds a consumer's batch."""

    def __init__(self, settings: Settings, connection: Connection[Any]) -> None:
        self.connection, self._settings = connection, settings
        self.run_id = runs.begin(connection, "migrate", {}).run_id
        back_up(connection, self.run_id)

    def apply(self, _events: Sequence[CloudEvent]) -> None:
        """Put the balances back."""
        restore(self._settings, self.connection, self.run_id, dry=False)


def test_a_dry_run_counts_what_a_restore_then_puts_back(
    harness: MergeHarness, settings: Settings, auditor: Connection[Any], contents: Contents
) -> None:
    harness.apply(BEFORE)
    before, backup = contents(), RestoreLane(settings, auditor)
    harness.apply(SINCE)
    now = contents()
    dry = restore(settings, auditor, backup.run_id, dry=True)
    assert contents() == now
    wet = restore(settings, auditor, backup.run_id, dry=False)
    assert (wet.meters, wet.customers) == (dry.meters, dry.customers) == (4, 2)
    after = contents()
    assert after["invoices"] == now["invoices"]
    assert [row for row in after["meter_balances"] if row["meter_id"] != 4] == before["meter_balances"]
    assert after["customer_balances"] == before["customer_balances"]
    again = restore(settings, auditor, backup.run_id, dry=False)
    assert (again.meters, again.customers) == (0, 0)


def test_beside_a_consumer_both_end_and_a_rebuild_makes_it_exact(
    harness: MergeHarness, engine: Engine, settings: Settings, auditor: Connection[Any], drift: Drift
) -> None:
    harness.apply(BEFORE)
    stand_in = RestoreLane(settings, auditor)
    with session(engine) as connection:

        def rebuilt() -> list[Any]:
            run = runs.begin(connection, "rebuild", {"chunk_size": 100})
            run = run_pool(connection, run, stop=lambda: False, watch=lambda _: None)
            assert (run.tally.failed, run.tally.unrepaired) == (0, 0)
            return drift()

        play_everywhere(engine, harness, stand_in, (BEFORE, SINCE), rebuilt)
