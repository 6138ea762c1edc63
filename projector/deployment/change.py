"""Change what a deployment is: planned from the row that was read, applied only while no program is at work.

The row is locked exclusively for the change. A program that starts meanwhile waits for the lock, then compares its
settings with the new row; one that has compared already is connected, so it is among the sessions that are listed under
the lock. A consumer that waits for an unavailable PostgreSQL is a member of its group, which the broker counts. So no
program continues with facts that have just been changed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine

from events.runtime.errors import StateError
from events.runtime.settings import Settings
from projector.database.engines import transaction
from projector.database.statements import statements
from projector.deployment.identity import FACTS, Identity, read, require_currency

SQL: Final = statements("projector.deployment", "change.sql")
PROGRAM: Final = "projector deployment set"
MEANINGS: Final = {
    "currency": "Events in {new} are counted from now on, and those in {old} are refused; nothing is converted. Dead "
    "letters in {new} can be retried.",
    "timezone": "The days of `backfill explain` begin and end by {new}; no balance and no stored time changes.",
    "topic_prefix": "Consumers read {new}.* from its beginning; positions on {old}.* stay and are not used. Rows that "
    "came from there are shown as if they had come from {new}.*, and offsets of the two cannot be distinguished.",
    "kafka_cluster": "Stored offsets mean nothing on cluster {new}. Consumers stop until `projector positions set "
    "all all earliest`; what is read again changes nothing that was applied, and what only the old "
    "cluster has is never read.",
}


@dataclass(frozen=True, kw_only=True)
class Change:
    """One fact, its old value and its new one."""

    fact: str
    old: str | None
    new: str

    @property
    def meaning(self) -> str:
        """What follows from the change."""
        return MEANINGS[self.fact].format(old=self.old or "none", new=self.new)


def plan(recorded: Identity, now: Identity, facts: Iterable[str]) -> list[Change]:
    """Return the changes to these facts."""
    return [
        Change(fact=fact, old=recorded[fact], new=str(now[fact]))
        for fact in FACTS
        if fact in facts and recorded[fact] != now[fact]
    ]


def apply(engine: Engine, settings: Settings, recorded: Identity, changes: Iterable[Change]) -> None:
    """Write the changes.

    Raises:
        StateError: a program is at work, the row has changed since it was read, or history contradicts a currency.

    """
    wanted = {**recorded, **{change.fact: change.new for change in changes}}
    with transaction(engine) as connection:
        connection.execute(SQL["lock_identity"])
        if read(connection) != recorded:
            raise StateError("the deployment was changed meanwhile: look again with `projector deployment show`")
        at_work = connection.execute(SQL["programs_at_work"], {"own": PROGRAM}).fetchone()
        if at_work:
            name, user, pid = at_work
            raise StateError(f"`{name}` of user {user} is at work (session {pid}): nothing was changed; stop it first")
        require_currency(connection, settings.schema_name, str(wanted["currency"]))
        connection.execute(SQL["change_identity"], wanted)
