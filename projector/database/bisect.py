"""Find the part of a piece of work that PostgreSQL refuses, by halving it."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import psycopg

from projector.database.sqlstates import lies_in_values

Part = TypeVar("Part")
Result = TypeVar("Result")
Key = TypeVar("Key")


def bisect(
    part: Part,
    apply: Callable[[Part], Result],
    *,
    halve: Callable[[Part], tuple[Part, Part] | None],
    refuse: Callable[[Part, psycopg.Error], Result],
    lies_in_part: Callable[[psycopg.Error], bool] = lies_in_values,
) -> Iterator[Result]:
    """Apply a part in a transaction of its own; if PostgreSQL refuses something in it, apply its halves instead.

    Args:
        part: what is applied.
        apply: applies a part, in a transaction.
        halve: splits a part in two that have the same effect when applied in order; None if it cannot be split.
        refuse: records a part that cannot be split and that is refused, or raises to give up.
        lies_in_part: tells whether an error may go away with a part of the work; any other is raised.

    Yields:
        The result of each part that was applied or refused, in order.

    """
    try:
        result = apply(part)
    except psycopg.Error as error:
        if not lies_in_part(error):
            raise
        refusal = error
    else:
        yield result
        return
    halves = halve(part)
    if halves is None:
        yield refuse(part, refusal)
        return
    for half in halves:
        yield from bisect(half, apply, halve=halve, refuse=refuse, lies_in_part=lies_in_part)


def halve_keys(keys: Sequence[Key]) -> tuple[Sequence[Key], Sequence[Key]] | None:
    """Split keys in the middle; None for a single one."""
    middle = len(keys) // 2
    return (keys[:middle], keys[middle:]) if middle else None
