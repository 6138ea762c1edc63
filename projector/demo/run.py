"""`projector demo`: the sandbox, the steps in order, and the clean-up."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

from events.runtime.console import Format
from events.runtime.errors import ServiceUnavailableError
from events.runtime.stop import stop_on_signals
from projector.demo import figures, live, steps
from projector.demo.output import Narrator
from projector.demo.shell import open_shell
from projector.sandbox import processes
from projector.sandbox.sandbox import Sandbox, throwaway

SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP)  # SIGINT raises KeyboardInterrupt already


def run_demo(form: Format) -> None:
    """Run every step.

    Raises:
        WorkFailedError: a step failed.
        ServiceUnavailableError: a server did not start, or was lost.

    """
    narrator = Narrator(form)
    with stop_on_signals(SIGNALS, raises=True):
        narrator.step("A PostgreSQL and an Apache Kafka of its own")
        since = time.monotonic()
        with _translate_lost_connection(), throwaway() as sandbox, figures.connect(sandbox.postgres.url) as connection:
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
    """Tell whether a process still has the sandbox's folder on its command line, or the folder exists."""
    named = processes.find(lambda line: any(str(sandbox.folder) in word for word in line))
    return named is not None or sandbox.folder.exists()


@contextmanager
def _translate_lost_connection() -> Iterator[None]:
    try:
        yield
    except psycopg.OperationalError as error:
        raise ServiceUnavailableError(f"the demo lost its PostgreSQL: {str(error).splitlines()[0]}") from None
