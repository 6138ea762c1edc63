"""Change what a deployment is: planned against what was read, carried out only while no program is at work.

The row is held exclusively for the change. A program that starts meanwhile waits for it and then compares with the new
one; a program that has already compared is connected, so it is among the sessions that are looked at under that lock. A
consumer that waits for a PostgreSQL that was away is a member of its group, which the broker counts. So no program goes
on with what has just been changed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine

from events.runtime.errors import StateError
from events.runtime.settings import Settings
from projector.deployment.identity import FACTS, SQL, Identity, driver_of, read, require_currency

PROGRAM: Final = "projector deployment set"
MEANINGS: Final = {
    "currency": "Events in {new} are counted from now on, and those in {old} are refused; nothing is converted. Dead "
    "letters in {new} can be retried.",
    "timezone": "The days of `backfill explain` begin and end by {new}; no balance and no stored moment changes.",
    "topic_prefix": "Consumers read {new}.* from its beginning; positions on {old}.* stay and are not used. Rows that "
    "came from there are shown as if they had come from {new}.*, and offsets of the two cannot be told apart.",
    "kafka_cluster": "Stored offsets mean nothing on cluster {new}. Consumers stop until `projector positions set "
    "TOPIC all earliest` for each topic; what is read again changes nothing that was applied, and what only the old "
    "cluster has is never read.",
}


@dataclass(frozen=True, kw_only=True)
class Change:
    """One fact, from what to what."""

    fact: str
    old: str | None
    new: str

    @property
    def meaning(self) -> str:
        """Say what follows from it."""
        return MEANINGS[self.fact].format(old=self.old or "none", new=self.new)


def plan(kept: Identity, now: Identity, facts: Iterable[str]) -> list[Change]:
    """Say which of these facts would change."""
    return [
        Change(fact=fact, old=kept[fact], new=str(now[fact]))
        for fact in FACTS
        if fact in facts and kept[fact] != now[fact]
    ]


def carry_out(engine: Engine, settings: Settings, kept: Identity, changes: Iterable[Change]) -> None:
    """Change it.

    Raises:
        StateError: a program is at work, somebody changed it meanwhile, or history contradicts a currency.

    """
    wanted = {**kept, **{change.fact: change.new for change in changes}}
    with engine.begin() as connection:
        driver = driver_of(connection)
        driver.execute(SQL["hold_identity"])
        if read(driver) != kept:
            raise StateError("somebody changed it meanwhile: look again with `projector deployment show`")
        at_work = driver.execute(SQL["programs_at_work"], {"own": PROGRAM}).fetchone()
        if at_work:
            name, user, pid = at_work
            raise StateError(f"`{name}` of user {user} is at work (session {pid}): nothing was changed; stop it first")
        require_currency(connection, settings.schema_name, str(wanted["currency"]))
        driver.execute(SQL["change_identity"], wanted)
