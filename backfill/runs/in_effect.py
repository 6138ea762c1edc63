"""Whether an assignment is in effect as of the clock: a part of every statement that asks who has a meter.

It is the auditor's own form of the rule, apart from the merge's (decision 0004: the auditor shares no merge code).
"""

from typing import Final

from projector.database.statements import statements

IN_EFFECT: Final = statements("backfill.runs", "in_effect.sql")["in_effect"]
