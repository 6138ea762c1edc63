"""Members of an event that look like a misspelled or misplaced member of `data`.

The contract ignores members that it does not know. Whoever publishes by hand is told of those that nearly have the name
of a member which the event lacks: its amount would count for no meter, and nothing would say so. A member of `data` may
also stand beside it by mistake. With an underscore in its name it is no attribute that CloudEvents allows there.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final

from pydantic_core import from_json

from events.contract.cloudevents import Attributes
from events.contract.decode import MEMBERS
from events.contract.types import Entity, Event, Refusal

NAMED_MAX: Final = 20  # misspellings that are named; the others are counted
NEAR: Final = 0.82  # how alike two names are: `meter` and `meter_id` by 0.83, `customer_no` and `customer_id` by 0.8
NEAR_REQUIRED: Final = 0.75  # of a member that is missing: `dat` and `data` are alike by 0.86, `typ` and `type` too
MISSING: Final = ": is missing"
KNOWN: Final = frozenset(Attributes.__annotations__) | {"data"} | {name for names in MEMBERS.values() for name in names}
NAME_CHARACTERS: Final = 60  # a longer name is no misspelling

Look = Callable[[int, Event, bytes], None]
"""Takes each valid event with its line number and its bytes."""


@contextmanager
def told(source: str, say: Callable[[str], None]) -> Iterator[Look]:
    """Give what looks at each event; say a line for each of the first misspellings, and at the end how many there are.

    Args:
        source: the name of the file.
        say: takes each line.

    """
    count = 0

    def look(number: int, event: Event, value: bytes) -> None:
        nonlocal count
        for given, meant in misspelled(event, value):
            count += 1
            if count <= NAMED_MAX:
                say(f"{source}:{number}: warning: {given} is ignored: did you mean {meant}?")

    yield look
    if count > NAMED_MAX:
        say(f"{source}: warning: {count:,} members may be misspelled, of which the first {NAMED_MAX} are named")


def instead_of_missing(refusal: Refusal, value: bytes) -> str:
    """Name the member that was probably meant for the one that a refusal calls missing; an empty text without one."""
    path, found, _ = refusal.detail.partition(MISSING)
    if not found:
        return ""
    try:
        envelope = from_json(value)
    except ValueError:
        return ""
    within, _, name = path.rpartition(".")
    members = envelope.get(within) if within and isinstance(envelope, dict) else envelope
    if not isinstance(members, dict):
        return ""
    given = {_plain(each): each for each in members if each not in KNOWN and len(each) <= NAME_CHARACTERS}
    near = get_close_matches(_plain(name), given, n=1, cutoff=NEAR_REQUIRED)
    return f" (is {within}{'.' * bool(within)}{given[near[0]]} meant for it?)" if near else ""


def misspelled(event: Event, value: bytes) -> Iterator[tuple[str, str]]:
    """Yield each member that is ignored with the member that was probably meant, and is absent."""
    envelope: dict[str, Any] = from_json(value)
    members = MEMBERS[event.entity]
    for name in envelope["data"]:
        meant = None if name in members else _meant(event.entity, name)
        if meant is not None and event.data[meant] is None:
            yield f"data.{name}", meant
    for name in envelope:
        if "_" in name and name in members and event.data[name] is None:
            yield name, f"data.{name}"


@lru_cache(maxsize=1024)
def _meant(entity: Entity, name: str) -> str | None:
    """Find the member that a name most resembles, whatever its case and its underscores."""
    if len(name) > NAME_CHARACTERS:
        return None
    plain = {_plain(member): member for member in MEMBERS[entity]}
    near = get_close_matches(_plain(name), plain, n=1, cutoff=NEAR)
    return plain[near[0]] if near else None


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
