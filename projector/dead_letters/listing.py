"""What is kept of refused messages, for people and for programs; what the messages say is printed inert."""

import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from events.runtime import console
from events.runtime.console import Format
from events.runtime.errors import InputError
from projector.dead_letters.resolve import headers_of
from projector.dead_letters.selection import STATEMENTS

Row = Mapping[str, Any]


def print_list(connection: Connection, filters: Mapping[str, str | None], limit: int, output: Format) -> None:
    """Print the latest dead letters of a selection, and how many there are."""
    matching = connection.exec_driver_sql(STATEMENTS["count_matching"], dict(filters)).scalar_one()
    found = connection.exec_driver_sql(STATEMENTS["list_matching"], {**filters, "limit": limit})
    rows = [dict(row) for row in found.mappings()]
    if output is Format.JSON:
        console.print_json({"matching": matching, "dead_letters": rows})
    elif not rows:
        console.stdout().print("No dead letters match.")
    else:
        console.print_table(
            "Dead letters, latest first",
            ["Id>", "Place", "Reason", "Detail", "Refused", "Tried>", "State"],
            [
                [r["dead_letter_id"], place(r), r["reason"], r["detail"], moment(r), r["attempts"], r["state"]]
                for r in rows
            ],
        )
        if matching > len(rows):
            console.stdout().print(f"{matching - len(rows):,} more match; --limit shows more of them")


def read_one(connection: Connection, letter: int) -> dict[str, Any]:
    """Read all that is kept of one message.

    Raises:
        InputError: there is none of that id.

    """
    row = connection.exec_driver_sql(STATEMENTS["read_one"], {"id": letter}).mappings().one_or_none()
    if row is None:
        raise InputError(f"there is no dead letter {letter}; `projector dead-letters list --state all` shows which are")
    return {**row, "headers": headers_of(row["headers"])}


def print_raw(row: Row) -> None:
    """Write the value's bytes as they were read."""
    sys.stdout.buffer.write(row["value"] or b"")
    sys.stdout.buffer.flush()


def print_one(row: Row, output: Format) -> None:
    """Print one dead letter whole."""
    if output is Format.JSON:
        bytes_of = {name: _both(row[name]) for name in ("key", "value")}
        headers = [{"name": name, **_both(value)} for name, value in row["headers"]]
        console.print_json({**row, **bytes_of, "headers": headers})
        return
    facts = [
        ("Place", place(row)),
        ("Refused", f"{moment(row)} for {row['reason']}: {row['detail']}"),
        ("State", _state(row)),
        ("Tries", _tries(row)),
        ("Kafka timestamp", f"{row['timestamp_ms']} ms"),
        ("Topic id", row["topic_id"] or "not kept"),
        ("Key", shown(row["key"])),
        *((f"Header {name}", shown(value)) for name, value in row["headers"]),
    ]
    console.print_table(f"Dead letter {row['dead_letter_id']}", ["What", "Is"], facts)
    size = "none" if row["value"] is None else f"{len(row['value']):,} bytes"
    sys.stdout.write(f"Value ({size}):\n{console.printable(shown(row['value']))}\n")


def place(row: Row) -> str:
    """Write where a message was read."""
    return f"{row['topic']}/{row['partition']}@{row['offset']}"


def moment(row: Row) -> str:
    """Write when a message was first refused, in UTC."""
    return _utc(row["refused_at"])


def shown(raw: bytes | None) -> str:
    """Write bytes for people: text where they are text, hexadecimal for the rest."""
    return "" if raw is None else raw.decode("utf-8", "backslashreplace")


def _both(raw: bytes | None) -> dict[str, str | None]:
    """Write bytes for programs: the text where they are UTF-8, and always all of them in hexadecimal."""
    if raw is None:
        return {"text": None, "hex": None}
    try:
        return {"text": raw.decode(), "hex": raw.hex()}
    except UnicodeDecodeError:
        return {"text": None, "hex": raw.hex()}


def _state(row: Row) -> str:
    if row["closed_at"] is None:
        return str(row["state"])
    why = f": {row['closed_why']}" if row["closed_why"] else ""
    return f"{row['state']} {_utc(row['closed_at'])} by {row['closed_by']}{why}"


def _tries(row: Row) -> str:
    last = "" if row["tried_at"] is None else f", last {_utc(row['tried_at'])} by {row['tried_by']}"
    return f"{row['attempts']}{last}"


def _utc(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}Z"
