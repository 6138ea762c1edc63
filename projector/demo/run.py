"""The sandbox, the scenes in order, and an end that leaves nothing behind."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

import psycopg

from events.runtime.console import Format
from events.runtime.errors import ServiceUnavailable
from projector.demo import figures, live, steps
from projector.demo.output import Narrator
from projector.demo.shell import open_shell
from projector.sandbox import processes
from projector.sandbox.sandbox import Sandbox, throwaway

ENDINGS: Final = (signal.SIGTERM, signal.SIGHUP)  # SIGINT is a KeyboardInterrupt already
SIGNALLED: Final = 128  # added to a signal's number, as shells report it


def run_demo(form: Format) -> None:
    """Tell the whole story.

    Raises:
        WorkFailed: a step did not hold.
        ServiceUnavailable: a server did not start, or was lost.

    """
    narrator = Narrator(form)
    with unwinding_on_signals():
        narrator.step("A PostgreSQL and an Apache Kafka of its own")
        since = time.monotonic()
        with _database_there(), throwaway() as sandbox, figures.connect(sandbox.postgres.url) as connection:
            shell = open_shell(sandbox, narrator)
            steps.services(shell, connection, time.monotonic() - since)
            steps.schema(shell)
            with steps.consumer(shell) as running:
                sound = steps.two_months(shell, connection, running)
                steps.one_customer(shell, connection)
                sent = steps.once_more(shell, connection, running, sound)
                sent = steps.poison(shell, connection, running, sent, sound)
                sent += live.damaged_and_repaired(shell, connection, running, sound)
                steps.drain(shell, connection, running, sent)
        narrator.require(not _left(sandbox), f"something of {sandbox.folder} is left")
        narrator.end()


def _left(sandbox: Sandbox) -> bool:
    """Tell whether a process still names the sandbox's folder, or the folder is there."""
    named = processes.find(lambda line: any(str(sandbox.folder) in word for word in line))
    return named is not None or sandbox.folder.exists()


@contextmanager
def _database_there() -> Iterator[None]:
    try:
        yield
    except psycopg.OperationalError as error:
        raise ServiceUnavailable(f"the demo lost its PostgreSQL: {str(error).splitlines()[0]}") from None


@contextmanager
def unwinding_on_signals() -> Iterator[None]:
    """Let signals that would end us at once run every `finally` first."""

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(SIGNALLED + number)

    before = {number: signal.signal(number, leave) for number in ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
