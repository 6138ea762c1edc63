"""How far the figures of one meter or customer can be trusted: applied as of when, compared when, an open finding.

PostgreSQL alone knows that: the functions `meter_trust`, `customer_trust` and `open_findings`, which reports join too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from psycopg import Connection
from psycopg.rows import dict_row

from events.runtime.console import say
from events.runtime.errors import InputError
from events.runtime.moments import written
from events.runtime.settings import Settings
from events.runtime.wording import counted
from projector.database.statements import statements
from projector.status.text import ago

SQL: Final = statements("projector.status", "trust.sql")

Entity = Literal["meter", "customer"]


@dataclass(frozen=True, kw_only=True)
class Trust:
    """What is known of one meter or customer, as plain values.

    `applied_at` is None where only a finding names it and the projection has no row; `last_compared` is None where no
    run compared it. `changed_since` is true then as well. `next_command` is what to type next; None where all is well.
    """

    entity: Entity
    id: int
    applied_at: datetime | None
    changed_since: bool
    last_compared: Mapping[str, Any] | None
    open_findings: Sequence[Mapping[str, Any]]
    next_command: str | None
    asked_at: datetime  # in the deployment's time zone


def read(connection: Connection[Any], entity: Entity, entity_id: int, now: datetime) -> Trust:
    """Read it.

    Raises:
        InputError: neither a balance nor an open finding is of this id.

    """
    where = {"entity": entity, "id": entity_id}
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(SQL[entity], where).fetchone()
        findings = cursor.execute(SQL["open_findings"], where).fetchall()
    if row is None and not findings:
        raise InputError(f"--{entity} {entity_id}: there is no balance of this {entity}, and no open finding")
    known = row or {"applied_at": None, "changed_since": True, "run_id": None}
    applied_at, changed_since = known.pop("applied_at"), known.pop("changed_since")
    next_command = None
    if findings:
        next_command = f"backfill explain --{entity} {entity_id}"
    elif changed_since:
        next_command = f"backfill drift-check --{entity} {entity_id}"
    return Trust(
        entity=entity,
        id=entity_id,
        applied_at=applied_at,
        changed_since=changed_since,
        last_compared=known if known["run_id"] else None,
        open_findings=findings,
        next_command=next_command,
        asked_at=now,
    )


def show(trust: Trust, settings: Settings) -> None:
    """Print it for people; the first line says whether to do something."""
    what, now = f"{trust.entity.capitalize()} {trust.id}", trust.asked_at
    if trust.open_findings:
        say(f"{what} needs attention: it is known to be off; `{trust.next_command}` shows what is behind it.")
    elif trust.changed_since:
        say(f"{what}: nothing is known to be wrong; `{trust.next_command}` compares it now.")
    else:
        say(f"{what}: nothing is known to be wrong, and it was compared as it is.")
    at = trust.applied_at
    say(f"Applied: {f'{ago(at, now)}, at {written(at, settings.zone)}' if at else 'never; it has no row'}")
    say(f"Last compared: {_compared(trust)}")
    for finding in trust.open_findings:
        off = f"off by {settings.currency} {finding['amount']:,.2f} in {counted(finding['findings'], 'column')}"
        say(f"Open finding: {finding['cause']}, {off}; `backfill runs show {finding['run_id']}` shows it")


def _compared(trust: Trust) -> str:
    run = trust.last_compared
    if run is None:
        return "never"
    began, ended = (ago(run[moment], trust.asked_at) for moment in ("started_at", "finished_at"))
    when = ended if began == ended else f"between {began} and {ended}"
    since = "written since" if trust.changed_since else "not written since"
    return f"{when}, by {run['command']} {run['run_id']}; {since}"
