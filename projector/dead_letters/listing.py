"""What is stored of refused messages, as tables or JSON; control characters in messages are escaped."""

import sys
from collections.abc import Mapping
from datetime import tzinfo
from typing import Any, Final

from psycopg import Connection
from psycopg.rows import dict_row

from events.runtime import console
from events.runtime.console import Format
from events.runtime.errors import InputError
from events.runtime.moments import written
from events.runtime.wording import agree, counted
from projector.database.statements import statements
from projector.dead_letters.resolve import headers_of
from projector.tracing import traceparent

SQL: Final = statements("projector.dead_letters", "listing.sql")

Row = Mapping[str, Any]


def print_list(
    connection: Connection[Any], filters: Mapping[str, str | None], limit: int, form: Format, zone: tzinfo
) -> None:
    """Print the latest dead letters that match, and how many match; times in a time zone, in JSON in UTC."""
    with connection.cursor(row_factory=dict_row) as cursor:
        matching = cursor.execute(SQL["count_matching"], filters).fetchall()[0]["count"]
        rows = cursor.execute(SQL["list_matching"], {**filters, "limit": limit}).fetchall()
    if form is Format.JSON:
        console.print_json({"matching": matching, "dead_letters": rows})
    elif not rows:
        console.say("No dead letters match.")
    else:
        console.print_table(
            "Dead letters, latest first",
            ["Id>", "Place", "Reason", "Detail~", "Refused", "Tried>", "State"],
            [
                [
                    r["dead_letter_id"], place(r), r["reason"], r["detail"], written(r["refused_at"], zone),
                    r["attempts"], r["state"],
                ]
                for r in rows
            ],
        )  # fmt: skip
        if matching > len(rows):
            more = matching - len(rows)
            console.say(f"{more:,} more {agree(more, 'matches', 'match')}; --limit shows more of them")


def read_one(connection: Connection[Any], letter: int) -> dict[str, Any]:
    """Read everything that is stored of one message.

    Raises:
        InputError: the id does not exist.

    """
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(SQL["read_one"], {"id": letter}).fetchone()
    if row is None:
        raise InputError(f"there is no dead letter {letter}; see `projector dead-letters list --state all`")
    return {**row, "headers": headers_of(row["headers"])}


def print_raw(row: Row) -> None:
    """Write the value's bytes as they were read."""
    sys.stdout.buffer.write(row["value"] or b"")
    sys.stdout.buffer.flush()


def print_one(row: Row, form: Format, zone: tzinfo) -> None:
    """Print everything of one dead letter; times in a time zone, in JSON in UTC."""
    if form is Format.JSON:
        bytes_of = {name: _both(row[name]) for name in ("key", "value")}
        trace = traceparent.read(row["headers"])
        headers = [{"name": name, **_both(value)} for name, value in row["headers"]]
        console.print_json({**row, **bytes_of, "headers": headers, "trace_id": trace and trace.trace_id})
        return
    trace = traceparent.read(row["headers"])
    facts = [
        ("Place", place(row)),
        ("Refused~", f"{written(row['refused_at'], zone)} for {row['reason']}: {row['detail']}"),
        ("State~", _state(row, zone)),
        ("Attempts", _attempts(row, zone)),
        ("Kafka timestamp", f"{row['timestamp_ms']} ms"),
        ("Topic id", row["topic_id"] or "not stored"),
        ("Trace", trace.trace_id if trace else ""),
        ("Key", _said(row["key"])),
        *((f"Header {name}", _said(value)) for name, value in row["headers"]),
    ]
    console.print_record(f"Dead letter {row['dead_letter_id']}", facts)
    size = "none" if row["value"] is None else counted(len(row["value"]), "byte")
    sys.stdout.write(f"Value ({size}):\n{console.printable(shown(row['value']))}\n")


def place(row: Row) -> str:
    """Write a message's topic, partition and offset."""
    return f"{row['topic']}/{row['partition']}@{row['offset']}"


def shown(raw: bytes | None) -> str:
    """Write bytes as text; bytes that are not UTF-8 as escapes."""
    return "" if raw is None else raw.decode("utf-8", "backslashreplace")


def _said(raw: bytes | None) -> str:
    """Write bytes as text, so that none and no bytes can be told apart; a record leaves an empty fact out."""
    return "(null)" if raw is None else shown(raw) or "(empty)"


def _both(raw: bytes | None) -> dict[str, str | None]:
    """Write bytes for JSON: as text if they are UTF-8, and always in hexadecimal."""
    if raw is None:
        return {"text": None, "hex": None}
    try:
        return {"text": raw.decode(), "hex": raw.hex()}
    except UnicodeDecodeError:
        return {"text": None, "hex": raw.hex()}


def _state(row: Row, zone: tzinfo) -> str:
    if row["closed_at"] is None:
        return str(row["state"])
    why = f": {row['closed_why']}" if row["closed_why"] else ""
    return f"{row['state']} {written(row['closed_at'], zone)} by {row['closed_by']}{why}"


def _attempts(row: Row, zone: tzinfo) -> str:
    last = "" if row["tried_at"] is None else f", last {written(row['tried_at'], zone)} by {row['tried_by']}"
    return f"{row['attempts']}{last}"
