"""What a run found, for people: a block for each meter, customer or history row, with its cause and the evidence."""

import json
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from decimal import Decimal
from typing import Any, Final

from events.runtime.console import print_table
from events.runtime.moments import rewritten
from events.runtime.wording import agree, counted

COLUMNS: Final = ("Column", "Recorded>", "By History>", "Difference>")
OF_THE_LOG: Final = ("Column", "In History>", "By the Log>", "Difference>")


def print_findings(rows: Sequence[tuple[Any, ...]], zone: tzinfo, *, of_the_log: bool) -> None:
    """Print findings as `backfill.runs.drift.findings` returns them; an entity's are together, where its first is."""
    for title, figures in blocks(rows, zone):
        print_table(title, OF_THE_LOG if of_the_log else COLUMNS, figures)


def blocks(rows: Sequence[tuple[Any, ...]], zone: tzinfo) -> Iterator[tuple[str, list[tuple[str | None, ...]]]]:
    """Yield a title for each entity, cause and evidence, and the columns that differ for it."""
    entities: dict[tuple[Any, ...], dict[str, list[tuple[str | None, ...]]]] = {}
    for row in rows:
        entities.setdefault(row[:2], {}).setdefault(_title(row), []).append(_figures(zone, *row[2:6]))
    for titles in entities.values():
        yield from titles.items()


def _title(row: tuple[Any, ...]) -> str:
    """Name entity, cause and evidence, without a sum that is one of the figures in the row."""
    entity, entity_id, _, recorded, expected, _, cause, evidence = row[:8]
    if evidence.get("sum_of_meter_rows") in {recorded, expected}:
        evidence = {name: value for name, value in evidence.items() if name != "sum_of_meter_rows"}
    title = f"Drift of {entity} {entity_id}: {cause}"
    return f"{title}; {words}" if (words := describe_evidence(evidence)) else title


def _figures(
    zone: tzinfo, column: str, recorded: str | None, expected: str | None, difference: Decimal | None
) -> tuple[str | None, ...]:
    """Write one column; amounts and counts as elsewhere in the report, times in the zone, the rest as it is.

    A whole row that is missing, or should not be there, is its key in the finding; here it is its amount.
    """
    if difference is not None and column.endswith("_id"):
        recorded, expected = (None if of is None else str(abs(difference)) for of in (recorded, expected))
        column = "amount"
    if difference is None and column.endswith("_at"):
        recorded, expected = (None if of is None else rewritten(of, zone) for of in (recorded, expected))
    if difference is None:
        return column, recorded, expected, _signed(difference)
    return column, _number(recorded), _number(expected), _signed(difference)


def _number(text: str | None) -> str | None:
    return None if text is None else f"{Decimal(text):,}"


def _signed(difference: Decimal | None) -> str | None:
    return None if difference is None else f"{difference:+,}"


def describe_evidence(evidence: dict[str, Any]) -> str:
    """Describe evidence in a few words."""
    words = [_of_history(part) for part in evidence.get("history", ()) if part["rows"]]
    if "uncertain" in evidence:
        words.append(f"{evidence['uncertain']}: the figures fit either edit")
    if "projection" in evidence:
        part = evidence["projection"]
        words.append(_of_projection(Decimal(part["amount"]), part["rows"]))
    words += [
        f"{name.replace('_', ' ')} {at['topic']}/{at['partition']}@{at['offset']}"
        for name in ("message", "says_it_is_from")
        if (at := evidence.get(name))
    ]
    if evidence.get("assignments"):
        words.append(
            f"{agree(len(evidence['assignments']), 'assignment', 'assignments')} {_ids(evidence['assignments'])}"
        )
    if evidence.get("meters"):
        words.append(f"{agree(len(evidence['meters']), 'meter', 'meters')} {_ids(evidence['meters'])}")
    if "sum_of_meter_rows" in evidence:
        words.append(f"the sum of its meter rows is {Decimal(evidence['sum_of_meter_rows']):,}")
    if not words and any(evidence.values()):
        return json.dumps(evidence)
    return "; ".join(words)


def _of_history(part: dict[str, Any]) -> str:
    """Name history rows and what of them was edited: `invoice 3 (amount)`, `21 payments (meter): 1, 2, ...`."""
    rows, ids, field = part["rows"], part["ids"], part["field"]
    if rows == 1 and ids:
        return f"{part['source'].removesuffix('s')} {ids[0]} ({field})"
    return f"{counted(rows, part['source'].removesuffix('s'))} ({field}): {_ids(ids, rows)}"


def _of_projection(amount: Decimal, rows: int) -> str:
    """Describe what was counted for history rows, less what the balance row holds: an amount and a number of rows."""
    if rows < 0:
        return f"the balance row counts {counted(-rows, 'row')} and {-amount:+,} that history does not have"
    if rows > 0:
        return f"history counts {counted(rows, 'row')} and {amount:+,} that the balance row does not have"
    return f"the balance row was edited by {-amount:+,}; history counts the same rows"


def _ids(ids: Sequence[int], count: int | None = None) -> str:
    more = ", ..." if count is not None and count > len(ids) else ""
    return ", ".join(map(str, ids)) + more
