"""Simulated traffic: a utility's events as they would reach the topics, deterministic by seed, never held."""

from collections import deque
from collections.abc import Iterator
from itertools import islice
from random import Random

from events.simulate.options import Options
from events.simulate.poison import poisoned
from events.simulate.render import Sent
from events.simulate.utility import Utility

WINDOW = 10_000  # how many events a shuffled one may wait, and a late duplicate does wait


def simulate(options: Options) -> Iterator[bytes]:
    """Yield the events as JSON Lines, without line feeds; broken events are not always JSON."""
    return (sent.line for sent in traffic(options))


def traffic(options: Options) -> Iterator[Sent]:
    """Yield the events with their entity and key, in the order in which they are sent.

    Each disturbance has its own random numbers, so the shares do not change what the utility does.
    """
    stream = Utility(options).events()
    if options.poison:
        stream = _with_poison(stream, options.poison, _numbers(options, "poison"))
    if options.duplicates:
        stream = _with_duplicates(stream, options.duplicates, _numbers(options, "duplicates"))
    if options.shuffle:
        stream = _shuffled(stream, options.shuffle, _numbers(options, "shuffle"))
    return islice(stream, options.events_max)


def _numbers(options: Options, purpose: str) -> Random:
    return Random(f"{purpose} {options.seed}")  # noqa: S311 - determinism is the point


def _with_poison(stream: Iterator[Sent], share: float, numbers: Random) -> Iterator[Sent]:
    for sent in stream:
        yield sent
        if numbers.random() < share:
            yield poisoned(sent, numbers.random())


def _with_duplicates(stream: Iterator[Sent], share: float, numbers: Random) -> Iterator[Sent]:
    """Send some events twice: half of them at once, as a retry does, half of them a window later."""
    later: deque[tuple[int, Sent]] = deque()
    for number, sent in enumerate(stream):
        yield sent
        while later and later[0][0] <= number:
            yield later.popleft()[1]
        draw = numbers.random()
        if draw < share / 2:
            yield sent
        elif draw < share:
            later.append((number + WINDOW, sent))
    yield from (sent for _, sent in later)


def _shuffled(stream: Iterator[Sent], share: float, numbers: Random) -> Iterator[Sent]:
    """Delay some events in a window: when it is full, each new one releases a random other."""
    waiting: list[Sent] = []
    for sent in stream:
        if numbers.random() >= share:
            yield sent
        elif len(waiting) < WINDOW:
            waiting.append(sent)
        else:
            place = int(numbers.random() * WINDOW)
            yield waiting[place]
            waiting[place] = sent
    while waiting:
        place = int(numbers.random() * len(waiting))
        waiting[place], waiting[-1] = waiting[-1], waiting[place]
        yield waiting.pop()
