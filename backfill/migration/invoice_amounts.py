"""`backfill invoice-amounts`: an invoice's amount is what its lines charge; debt brought forward is kept apart."""

from typing import Final

from backfill.migration.step import Outcome, Statements, Step
from projector.database.statements import statements

SQL: Final = statements("backfill.migration", "invoice_amounts.sql")

STEP: Final = Step(
    command="invoice-amounts",
    title="Invoice Amounts by Their Lines",
    noun="invoices",
    outcomes={
        "right": Outcome("agree with their lines"),
        "amended": Outcome("amended to agree with their lines", changes=True),
        "without-lines": Outcome("unchanged: they have no lines", listed=True),
        "unreadable-lines": Outcome("unchanged: their lines are not types and amounts", listed=True),
    },
    statements=Statements(
        create=SQL["create_readings"],
        next_keys=SQL["next_invoices"],
        decide=SQL["read_lines"],
        tally=SQL["count_readings"],
        to_review=SQL["list_readings"],
        to_change=SQL["invoices_to_amend"],
        scope=SQL["scope_readings"],
        lock=SQL["lock_readings"],
        clear=SQL["clear_readings"],
        change=SQL["amend"],
    ),
)
