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

from events.contract.decode import MEMBERS
from events.contract.types import Entity, Event

NAMED_MAX: Final = 20  # misspellings that are named; the others are counted
NEAR: Final = 0.82  # how alike two names are: `meter` and `meter_id` by 0.83, `customer_no` and `customer_id` by 0.8
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
    plain = {member.replace("_", ""): member for member in MEMBERS[entity]}
    written = name.lower().replace("_", "").replace("-", "")
    near = get_close_matches(written, plain, n=1, cutoff=NEAR)
    return plain[near[0]] if near else None
