"""The two phases of a check, a chunk at a time: compare in one snapshot, keep what is found.

A later round (`backfill.rounds`) compares only what was touched meanwhile: of the customers of a range those, and of a
window's meters those, whoever has them.
"""

from collections.abc import Sequence
from typing import Any, Final

from psycopg import Cursor
from psycopg.types.json import Jsonb

from backfill import comparison, rounds
from backfill.comparison import COMPARE, Scope
from backfill.findings import Finding
from backfill.ledger import Chunk
from backfill.runs import SQL as RUNS
from backfill.runs import Run
from backfill.selection import SQL as SELECTION
from backfill.tally import Tally
from events.types import BIGINT_MAX
from projector.statements import statements

CHUNKS: Final = {
    name: statement.replace("{selected_customers}", SELECTION["selected_customers"])
    .replace("{selected_meters}", SELECTION["selected_meters"])
    .replace("{touched}", SELECTION["touched"])
    for name, statement in statements("backfill", "sql/chunks.sql").items()
}
WINDOW_ROWS: Final = 5  # keys in a window, of which most are not asked for, for each key of the chunk size


def cut_customers(cursor: Cursor[Any], run: Run, size: int) -> int | None:
    """Find where the next chunk of customers ends."""
    size = size if run.round == 1 else size * WINDOW_ROWS
    return max(_customers(cursor, run, run.cursor, BIGINT_MAX, size), default=None)


def customers(cursor: Cursor[Any], run: Run, chunk: Chunk) -> Sequence[int]:
    """Read the customers of a chunk, in key order; in a later round those that were touched."""
    ids = _customers(cursor, run, chunk.after, chunk.last, None)
    if run.round == 1:
        return ids
    touched = {"ids": comparison.array(ids), "touched_xid": run.touched_xid}
    return [customer_id for (customer_id,) in cursor.execute(CHUNKS["touched_customers"], touched)]


def compare_customers(cursor: Cursor[Any], run: Run, ids: Sequence[int]) -> Tally:
    """Compare these customers, and the meters that history assigns to them."""
    if not ids:
        return Tally()
    scope = comparison.scope_of_customers(cursor, ids)
    share = comparison.tally_customers(cursor, scope, ids)
    if not share.drifted:
        return share
    comparison.keep_expected(cursor, scope)
    cursor.execute(COMPARE["compare_customers"], {"ids": list(ids)})
    meters, drifted = comparison.drifted_meters(cursor), comparison.drifted_customers(cursor)
    found = [
        *comparison.explain_meters(cursor, meters),
        *comparison.explain_customers(cursor, drifted, meters),
    ]
    return _kept(cursor, run, share, found)


def cut_meters(cursor: Cursor[Any], run: Run, size: int) -> int | None:
    """Find where the next window of meter keys ends; the last one has no end, nor has one of meters that are named."""
    if run.selection.named:
        return BIGINT_MAX if run.selection.meters or run.round > 1 else None
    window = {"after": run.cursor, "rows": size * WINDOW_ROWS}
    (end,) = cursor.execute(CHUNKS["next_meter"], window).fetchone() or (None,)
    return BIGINT_MAX if end is None else end


def unassigned_meters(cursor: Cursor[Any], run: Run, chunk: Chunk) -> Sequence[int]:
    """Read the meters of a window that history assigns to nobody, in key order."""
    window = {"after": chunk.after, "last": chunk.last, **run.selection.parameters(cursor)}
    (meters,) = cursor.execute(CHUNKS["unassigned_meters"], window).fetchone() or (None,)
    return meters or []


def window_meters(cursor: Cursor[Any], run: Run, chunk: Chunk) -> Sequence[int]:
    """Read what is compared of a window: what history assigns to nobody, or in a later round what was touched."""
    if run.round == 1:
        return unassigned_meters(cursor, run, chunk)
    window = {"after": chunk.after, "last": chunk.last, "run_id": run.run_id, "touched_xid": run.touched_xid}
    selected = run.selection.parameters(cursor)
    (meters,) = cursor.execute(CHUNKS["touched_meters"], {**window, **selected}).fetchone() or (None,)
    return meters or []


def compare_meters(cursor: Cursor[Any], run: Run, ids: Sequence[int]) -> Tally:
    """Compare these meters, which have no customer unless this is a later round."""
    if not ids:
        return Tally()
    nobodys = Scope(meters=ids, owners=[None] * len(ids))
    scope = nobodys if run.round == 1 else comparison.scope_of_meters(cursor, ids)
    share = comparison.tally_meters(cursor, scope) + Tally(meters=len(ids), meters_without_customer=len(ids))
    if not share.drifted:
        return share
    comparison.keep_expected(cursor, scope)
    found = comparison.explain_meters(cursor, comparison.drifted_meters(cursor))
    return _kept(cursor, run, share, found)


def _customers(cursor: Cursor[Any], run: Run, after: int, last: int, size: int | None) -> list[int]:
    where = {"run_id": run.run_id, "after": after, "last": last, "size": size, **run.selection.parameters(cursor)}
    return [customer_id for (customer_id,) in cursor.execute(CHUNKS["next_customers"], where)]


def _kept(cursor: Cursor[Any], run: Run, share: Tally, findings: Sequence[Finding]) -> Tally:
    """Store a chunk's findings, with the positions at which they hold; return the share with them."""
    (positions,) = cursor.execute(RUNS["positions"]).fetchone() or (None,)
    with cursor.copy("COPY found FROM STDIN") as copy:
        for finding in findings:
            copy.write_row((*finding[:-1], Jsonb(finding.evidence)))
    share = rounds.with_findings(cursor, run, share, len(findings))
    values = {"run_id": run.run_id, "round": run.round, "positions": Jsonb(positions)}
    cursor.execute(RUNS["keep_findings"], values)
    return share
