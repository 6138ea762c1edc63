"""How far a download has come: plain lines, one every few seconds, so that a log can hold them as well."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

EVERY_SECONDS: Final = 3.0
MEGABYTE: Final = 1_000_000


class Downloads:
    """The files of one download.

    Args:
        total_bytes: of all files, about.
        write: takes a line without its end.
        clock: seconds, from anywhere.

    """

    def __init__(
        self, total_bytes: int, write: Callable[[str], object], clock: Callable[[], float] = monotonic
    ) -> None:
        self._total = total_bytes
        self._write = write
        self._clock = clock
        self._bytes = 0
        self._told_at = clock()

    @contextmanager
    def file(self, _name: str, _size: int) -> Iterator[Callable[[int], None]]:
        """Give what the resolver calls with the number of bytes of each part of a file."""
        yield self._advance

    def _advance(self, count: int) -> None:
        self._bytes += count
        if self._clock() - self._told_at >= EVERY_SECONDS:
            self._told_at = self._clock()
            self._write(f"fetched {self._bytes / MEGABYTE:.0f} of about {self._total / MEGABYTE:.0f} MB")
