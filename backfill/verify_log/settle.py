"""Compares suspected rows with the winning messages of the log, and keeps what is wrong as findings."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from psycopg import Connection, Cursor

from backfill.audit.findings import Finding
from backfill.runs import drift
from backfill.runs.chunks import Chunk
from backfill.runs.store import Run
from backfill.runs.tally import LogTally, Tally
from backfill.verify_log.plan import Plan
from backfill.verify_log.source import Source
from backfill.verify_log.staging import for_entity
from backfill.verify_log.verdict import NAMES, PLACE, Coverage, Suspect, Text, findings
from events.contract.types import ENTITIES, Entity, TopicPartition, topic_of
from projector.database.statements import statements
from projector.kafka_log.partitions import PartitionLog

SQL: Final = statements("backfill.verify_log", "settle.sql")
SUSPECTS_MAX: Final = 1_000  # compared at once in memory, a row and a message each


def next_suspects_end(cursor: Cursor[Any], run: Run, size: int) -> int | None:
    """Find the end of the next page of suspected rows."""
    return last_of_page(cursor, run, run.cursor, min(size, SUSPECTS_MAX))


def last_of_page(cursor: Connection[Any] | Cursor[Any], run: Run, after: int, size: int) -> int | None:
    """Read the key of the last of `size` suspected rows behind a key; None where none is left."""
    where = {"run_id": run.run_id, "after": after, "size": size}
    (last,) = cursor.execute(SQL["next_suspects"], where).fetchone() or (None,)
    return last


def settle(cursor: Cursor[Any], run: Run, chunk: Chunk, source: Source, prefix: str) -> Tally:
    """Compare the suspected rows of a page, and keep the findings."""
    wrong = {
        key: found for key, found in judge(cursor, run, (chunk.after, chunk.last), source, prefix).items() if found
    }
    found = [finding for each in wrong.values() for finding in each]
    drift.stage(cursor, found)
    drift.keep(cursor, run)
    missing = sum(each[0].cause == "history-missing" for each in wrong.values())
    return Tally(findings=len(found), log=LogTally(rows_wrong=len(wrong), rows_missing=missing))


def judge(
    cursor: Cursor[Any], run: Run, between: tuple[int, int], source: Source, prefix: str
) -> dict[tuple[Entity, int], list[Finding]]:
    """Find what is wrong with each suspected row in a range of ids; an empty list where nothing is."""
    plan = Plan.of(run.options)
    suspects = list(_suspects(cursor, run, between))
    logs = source.require_unchanged(plan)  # read after the rows: none of them is from behind these ends
    return {
        (each.entity, each.entity_id): findings(
            each, topic_of(each.entity, prefix), _covers(plan, logs, each.entity, topic_of(each.entity, prefix))
        )
        for each in suspects
    }


def _suspects(cursor: Cursor[Any], run: Run, between: tuple[int, int]) -> Iterator[Suspect]:
    where = {"run_id": run.run_id, "after": between[0], "last": between[1]}
    for entity in ENTITIES:
        logged = SQL["logged_assignment" if entity == "assignments" else "logged"]
        read = for_entity(SQL["read_suspects"], entity, logged=logged)
        for entity_id, winner, row, noted in cursor.execute(read, where).fetchall():
            yield Suspect(entity, entity_id, winner, row, noted)


def _covers(
    plan: Plan, logs: Mapping[TopicPartition, PartitionLog], entity: Entity, topic: str
) -> Callable[[Text], Coverage]:
    """Tell how far the run covers a row's place; the log's current beginning counts."""
    ends = {each.partition: each.end for each in plan.of_entity(entity)}

    def coverage(row: Text) -> Coverage:
        written, offset = (row[name] for name in PLACE)
        if written is None or offset is None:
            return "loaded"
        log = logs.get((topic, int(written)))
        if log is None or not 0 <= int(offset) < log.high:
            return "nowhere"
        if int(offset) < log.low:
            return "expired"
        return "covered" if int(offset) < ends.get(int(written), 0) else "newer"

    return coverage


def mark(cursor: Cursor[Any], run: Run, repaired: Iterable[tuple[Entity, int]]) -> None:
    """Record that these rows agree with the log now."""
    by_entity: dict[Entity, list[int]] = {}
    for entity, entity_id in repaired:
        by_entity.setdefault(entity, []).append(entity_id)
    for entity, ids in by_entity.items():
        drift.mark_repaired(cursor, run, NAMES[entity], ids)
