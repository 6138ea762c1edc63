"""Who has a meter, as parts of every statement that asks: whether an assignment is in effect, and whose the meter is.

They are the auditor's own form of the rule, apart from the merge's (decision 0004: the auditor shares no merge code).
"""

from collections.abc import Mapping
from typing import Final

from projector.database.statements import statements

_IN_EFFECT: Final = statements("backfill.runs", "in_effect.sql")["in_effect"]
_WINNERS: Final = statements("backfill.runs", "assigned_customer.sql", in_effect=_IN_EFFECT)

PARTS: Final[Mapping[str, str]] = {"in_effect": _IN_EFFECT, "assigned_customer": _WINNERS["assigned_customer"]}
