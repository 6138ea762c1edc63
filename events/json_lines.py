"""JSON Lines of CloudEvents: numbered lines, and which of them are not events of the contract."""

import codecs
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from events.contract.decode import Decoder
from events.contract.types import Entity, Refusal
from events.misspellings import Look, instead_of_missing
from events.runtime.errors import InputError

PROBLEMS_MAX: Final = 20  # invalid lines that are named; the others are counted


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What lines are.

    Args:
        valid: how many valid lines there are of each entity.
        invalid: how many lines are not valid.
        problems: of the first invalid lines the number, the refusal and the bytes.

    """

    valid: Mapping[Entity, int]
    invalid: int
    problems: tuple[tuple[int, Refusal, bytes], ...]


def numbered(lines: Iterable[bytes], from_line: int) -> Iterator[tuple[int, bytes]]:
    """Yield each line that is not blank with its number, which counts all lines from 1; without a byte order mark.

    Raises:
        InputError: there are lines, and none of this number.

    """
    number = 0
    for number, line in enumerate(lines, 1):
        if number >= from_line and (value := _without_mark(line, number).strip()):
            yield number, value
    if 0 < number < from_line:
        raise InputError(f"--from-line {from_line}: the last line is {number}")


def check(lines: Iterable[bytes], decode: Decoder, from_line: int, look: Look) -> Checked:
    """Decode every line, and let `look` see each valid event; raises the same."""
    valid: Counter[Entity] = Counter()
    problems: list[tuple[int, Refusal, bytes]] = []
    invalid = 0
    for number, value in numbered(lines, from_line):
        event = decode.structured(value)
        if not isinstance(event, Refusal):
            valid[event.entity] += 1
            look(number, event, value)
            continue
        invalid += 1
        if len(problems) < PROBLEMS_MAX:
            problems.append((number, event, value))
    return Checked(valid=valid, invalid=invalid, problems=tuple(problems))


def describe(source: str, number: int, refusal: Refusal, value: bytes) -> str:
    """Name an invalid line, with the reason and, where a member is missing, the one that may be meant for it."""
    return f"{source}:{number}: {refusal.reason}: {refusal.detail}{instead_of_missing(refusal, value)}"


def _without_mark(line: bytes, number: int) -> bytes:
    """Leave out the byte order mark that some editors write before the first line."""
    return line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
