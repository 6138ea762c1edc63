"""What is wrong with a suspected row, compared with the greatest message of its entity in the log. Pure.

Rows are dicts of PostgreSQL's own text. The rank of a row is (version, event id, place), with ids compared as bytes,
and of two equal ones the earlier place is the greater: the merge's rule, implemented a second time.
"""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

from backfill.audit.drift_types import Cause
from backfill.audit.findings import Finding
from backfill.verify_log.staging import CONTENT
from events.contract.types import KEY_OF, Entity

Coverage = Literal["covered", "expired", "newer", "nowhere", "loaded"]
"""What the run knows of a row's place in the log.

    covered  it was read
    expired  it is before the log's beginning: the message was deleted
    newer    it is after what was read
    nowhere  no message can be there
    loaded   the row names no place

"""
Text = Mapping[str, str | None]

NAMES: Final[Mapping[Entity, str]] = {
    "invoices": "invoice", "payments": "payment", "assignments": "assignment", "customers": "customer-record"
}  # fmt: skip
"""What a finding on a history row is about, as the table `drift` has it."""
STATE: Final = ("version", "event_id")
PLACE: Final = ("source_partition", "source_offset")
MONEY: Final = {"amount", "balance_brought_forward"}


class Suspect(NamedTuple):
    """A row as it is now, and the winning message; `noted` if the row still is what made its place suspect."""

    entity: Entity
    entity_id: int
    winner: Text | None
    row: Text | None
    noted: bool


def findings(suspect: Suspect, topic: str, coverage: Callable[[Text], Coverage]) -> list[Finding]:
    """Name what is wrong: nothing, one finding for each column, or one for the whole row."""
    row, winner = suspect.row, suspect.winner
    if row is None:
        return [] if winner is None else [_missing(suspect, winner, topic)]
    claims = suspect.noted and coverage(row) in {"covered", "nowhere"}
    if winner is None:
        return [_unknown(suspect, row, topic)] if claims else []
    if _state(row) > _state(winner) and not claims:
        return []  # from a message that was applied since, or that the broker no longer has
    columns = list(_differing(suspect.entity, row, winner))
    return [_edited(suspect, column, row, winner, topic) for column in columns]


def _differing(entity: Entity, row: Text, winner: Text) -> Iterator[str]:
    """Name the columns; in the same state, the place may be an earlier one that the log no longer has in this form."""
    same_state = _state(row) == _state(winner)
    content = [name for name in CONTENT[entity] if row[name] != winner[name]]
    if same_state and set(content) <= MONEY and _amended(row, winner):
        content = []
    yield from () if same_state else (name for name in STATE if row[name] != winner[name])
    yield from content
    if not (same_state and not content and _place(row) < _place(winner)) and None not in {row[name] for name in PLACE}:
        yield from (name for name in PLACE if row[name] != winner[name])


def _amended(row: Text, winner: Text) -> bool:
    """Whether an invoice is what `backfill invoice-amounts` makes of its lines."""
    if winner.get("charges") is None:
        return False
    charged = (Decimal(str(winner["charges"])), Decimal(str(winner["brought_forward"])))
    return charged == (Decimal(str(row["amount"])), Decimal(row["balance_brought_forward"] or 0))


def _state(row: Text) -> tuple[int, bytes]:
    return int(row["version"] or 0), (row["event_id"] or "").encode()


def _place(row: Text) -> tuple[int, int]:
    return int(row["source_partition"] or 0), int(row["source_offset"] or 0)


def _missing(suspect: Suspect, winner: Text, topic: str) -> Finding:
    values = (None, str(suspect.entity_id), _money(winner.get("amount")))
    return _finding(suspect, KEY_OF[suspect.entity], values, "history-missing", {"message": _at(winner, topic)})


def _unknown(suspect: Suspect, row: Text, topic: str) -> Finding:
    amount = _money(row.get("amount"))
    values = (str(suspect.entity_id), None, None if amount is None else -amount)
    evidence = {"says_it_is_from": _at(row, topic), "version": row["version"], "event_id": row["event_id"]}
    return _finding(suspect, KEY_OF[suspect.entity], values, "history-unknown", evidence)


def _edited(suspect: Suspect, column: str, row: Text, winner: Text, topic: str) -> Finding:
    recorded, expected = row[column], winner[column]
    difference = None
    if column in MONEY:
        difference = (_money(expected) or Decimal(0)) - (_money(recorded) or Decimal(0))
    evidence = {"message": _at(winner, topic)}
    return _finding(suspect, column, (recorded, expected, difference), "history-edited", evidence)


def _finding(
    suspect: Suspect,
    column: str,
    values: tuple[str | None, str | None, Decimal | None],
    cause: Cause,
    evidence: dict[str, Any],
) -> Finding:
    return Finding(NAMES[suspect.entity], suspect.entity_id, column, *values, cause, evidence)


def _at(row: Text, topic: str) -> dict[str, Any]:
    partition, offset = (row[name] for name in PLACE)
    return {"topic": topic, "partition": partition and int(partition), "offset": offset and int(offset)}


def _money(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
