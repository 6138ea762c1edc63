"""The two phases of a check, one chunk at a time: compare in one snapshot, and keep what was found.

A later round (`backfill.runs.rounds`) compares only what was written meanwhile: the written customers of a range, and
the written meters of a window of keys, whichever customer they belong to.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from psycopg import Connection, Cursor

from backfill.audit import comparison
from backfill.audit.comparison import IDS_MAX, Scope
from backfill.runs import drift, rounds
from backfill.runs.chunks import Chunk
from backfill.runs.in_effect import PARTS
from backfill.runs.selection import Selection
from backfill.runs.store import BEFORE_ALL_KEYS, Run
from backfill.runs.tally import Tally
from events.contract.limits import BIGINT_MAX
from projector.database.statements import statements

SQL: Final = statements("backfill.audit", "chunk_keys.sql", **PARTS)
METERS_A_CUSTOMER: Final = 8  # rows of assignments read for each customer wanted: more rows end the chunk sooner
WINDOW_ROWS: Final = 5  # keys in a window for each key of the chunk size: most are not compared


def next_customers_end(cursor: Cursor[Any], run: Run, size: int) -> int | None:
    """Find the end of the next chunk of customers: after `size` of them, or sooner if they have very many meters."""
    size = size if run.round == 1 else size * WINDOW_ROWS
    rows = comparison.METERS_MAX if run.selection.since else min(comparison.METERS_MAX, size * METERS_A_CUSTOMER)
    where = {"run_id": run.run_id, "after": run.cursor, "size": size, "meters_max": rows}
    selected = run.selection.parameters(cursor)
    (end,) = cursor.execute(SQL["next_customers"], {**where, **selected}).fetchone() or (None,)
    return None if end is None else int(end)


def customers(cursor: Cursor[Any], run: Run, chunk: Chunk) -> Sequence[int]:
    """Read the customers of a chunk in key order; in a later round those that were written meanwhile."""
    where = {"run_id": run.run_id, "after": chunk.after, "last": chunk.last, **run.selection.parameters(cursor)}
    ids = [customer_id for (customer_id,) in cursor.execute(SQL["customers_of_range"], where)]
    if run.round == 1:
        return ids
    earlier = {"run_id": run.run_id, "round": run.round, "touched_xid": run.touched_xid}
    these = {"ids": comparison.array(ids), **earlier}
    return [customer_id for (customer_id,) in cursor.execute(SQL["changed_customers"], these)]


def compare_customers(cursor: Cursor[Any], run: Run, ids: Sequence[int]) -> Tally:
    """Compare these customers, and the meters that history assigns to them."""
    if not ids:
        return Tally()
    rounds.resolve_compared(cursor, run, "customer", ids)
    first, *more = comparison.candidates(cursor, ids)
    scope = comparison.scope_of_customers(cursor, ids, first)
    delta = Tally() if more else comparison.tally_customers(cursor, scope, ids)
    if more or delta.drifted:
        comparison.keep_expected(cursor, scope)
    if more:
        delta = _tally_in_slices(cursor, ids, more, Tally(meters=len(scope.meters)))
    if not delta.drifted:
        return delta
    comparison.compare_customers(cursor, ids)
    return _explained(cursor, run, delta)


def _tally_in_slices(cursor: Cursor[Any], ids: Sequence[int], slices: Sequence[Sequence[int]], first: Tally) -> Tally:
    """Keep the expected figures of more slices of meters, then tally these customers over all slices."""
    meters = first
    for each in slices:
        scope = comparison.scope_of_customers(cursor, ids, each)
        comparison.keep_expected(cursor, scope)
        meters += Tally(meters=len(scope.meters))
    return comparison.tally_kept_customers(cursor, ids) + meters


def next_meters_end(cursor: Cursor[Any], run: Run, size: int) -> int | None:
    """Find the end of the next window of meter keys; the last window has none, nor has a run on named meters."""
    if run.selection.named:
        return BIGINT_MAX if run.selection.meters or run.round > 1 else None
    window = {"after": run.cursor, "rows": size * WINDOW_ROWS}
    (end,) = cursor.execute(SQL["next_meter"], window).fetchone() or (None,)
    return BIGINT_MAX if end is None else end


def unassigned_meters(cursor: Cursor[Any], run: Run, chunk: Chunk) -> Sequence[int]:
    """Read the meters of a window that history assigns to no customer, in key order."""
    window = {"after": chunk.after, "last": chunk.last, **run.selection.parameters(cursor)}
    (meters,) = cursor.execute(SQL["unassigned_meters"], window).fetchone() or (None,)
    return meters or []


def window_meters(cursor: Cursor[Any], run: Run, chunk: Chunk) -> Sequence[int]:
    """Read the meters of a window to compare: those without a customer, or in a later round those written meanwhile."""
    if run.round == 1:
        return unassigned_meters(cursor, run, chunk)
    window = {"after": chunk.after, "last": chunk.last, **run.selection.parameters(cursor)}
    earlier = {"run_id": run.run_id, "round": run.round, "touched_xid": run.touched_xid}
    (meters,) = cursor.execute(SQL["changed_meters"], {**window, **earlier}).fetchone() or (None,)
    return meters or []


def compare_meters(cursor: Cursor[Any], run: Run, ids: Sequence[int]) -> Tally:
    """Compare these meters; in the first round they have no customer."""
    if not ids:
        return Tally()
    rounds.resolve_compared(cursor, run, "meter", ids)
    delta = Tally(meters=len(ids), meters_without_customer=len(ids))
    for some in comparison.slices(ids):
        nobodys = Scope(meters=some, owners=[None] * len(some))
        scope = nobodys if run.round == 1 else comparison.scope_of_meters(cursor, some)
        part = comparison.tally_meters(cursor, scope)
        if part.drifted:
            comparison.keep_expected(cursor, scope)
        delta += part
    return _explained(cursor, run, delta) if delta.drifted else delta


def _explained(cursor: Cursor[Any], run: Run, delta: Tally) -> Tally:
    """Find out why the kept meters and the compared customers differ; return the counts with the findings.

    The findings are stored with the consumers' positions at which they hold.
    """
    found, owned = 0, defaultdict[int | None, list[int]](list)
    for page, meters in enumerate(comparison.drifted_meters(cursor)):
        if page:
            comparison.clear_evidence(cursor)
        found += drift.stage(cursor, comparison.explain_meters(cursor, meters))
        for meter in meters:
            named = owned[meter.expected.customer_id]
            if len(named) < IDS_MAX and meter.recorded != meter.expected:  # differing marks alone change no sum
                named.append(meter.meter_id)
    for customers in comparison.drifted_customers(cursor):
        found += drift.stage(cursor, comparison.explain_customers(cursor, customers, owned))
    delta = rounds.with_findings(cursor, run, delta, found)
    drift.keep(cursor, run)
    return delta


def found(cursor: Cursor[Any], run: Run, entity: str, ids: Sequence[int]) -> list[int]:
    """Read, in key order, which of these meters or customers this round found drifted and has not repaired."""
    where = {"run_id": run.run_id, "round": run.round, "entity": entity, "ids": comparison.array(ids)}
    return [entity_id for (entity_id,) in cursor.execute(SQL["found_among"], where)]


def found_of_customers(cursor: Cursor[Any], run: Run, ids: Sequence[int]) -> tuple[list[int], list[int]]:
    """Read the same of these customers: which of the meters assigned to them, and which of the customers."""
    meters = [meter_id for some in comparison.candidates(cursor, ids) for meter_id in some]
    return found(cursor, run, "meter", meters), found(cursor, run, "customer", ids)


def drifted(cursor: Cursor[Any], run: Run, entity: str, keys: tuple[int, int], size: int | None) -> list[int]:
    """Read the meters or customers of a range (after its first key, up to its last) that this round has to repair."""
    where = {
        "run_id": run.run_id,
        "round": run.round,
        "entity": entity,
        "after": keys[0],
        "last": keys[1],
        "size": size,
    }
    return [entity_id for (entity_id,) in cursor.execute(SQL["next_drifted"], where)]


def count_customers(connection: Connection[Any], selection: Selection, after: int = BEFORE_ALL_KEYS) -> int:
    """Count the selected customers behind a key."""
    with connection.cursor() as cursor:
        where = {"after": after, **selection.parameters(cursor)}
        (count,) = cursor.execute(SQL["count_customers"], where).fetchone() or (0,)
        return int(count)


def count_meters(connection: Connection[Any], after: int) -> int:
    """Count the meters that the projection shows behind a key."""
    (count,) = connection.execute(SQL["count_meters"], {"after": after}).fetchone() or (0,)
    return int(count)


def last_meter(connection: Connection[Any]) -> int:
    """Read the greatest meter key of the projection, 0 where there is none."""
    (last,) = connection.execute(SQL["last_meter"]).fetchone() or (0,)
    return int(last)
