"""The addresses that brokers advertise: a client connects to these, whichever address it was given first.

A client asks a bootstrap server for the brokers' addresses, and sends everything else there. An address that this
machine cannot resolve or reach is therefore a mistake of the brokers' `advertised.listeners`, not of our settings.
"""

import socket
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import suppress
from typing import Final

from events.runtime.errors import ServiceTemporarilyUnavailableError

RESOLVE_SECONDS: Final = 5.0  # a name server that answers later does not answer; glibc alone would wait for 30 s
REMEDY: Final = (
    "set advertised.listeners of the broker to an address that clients reach, or make this one known to this machine"
)


def require_resolvable(servers: str, advertised: Iterable[tuple[str, int]]) -> None:
    """Refuse to go on if a broker's name cannot be resolved; every request to that broker would time out.

    Args:
        servers: the bootstrap address.
        advertised: host and port of each broker.

    Raises:
        ServiceTemporarilyUnavailableError: naming the address, the reason and what to set.

    """
    answers = {address: _begin_resolving(*address) for address in sorted(set(advertised))}
    wait_for(answers.values(), RESOLVE_SECONDS)
    for (host, port), answer in answers.items():
        reason = answer.result() if answer.done() else f"no answer within {RESOLVE_SECONDS:g} s"
        if reason is not None:
            raise ServiceTemporarilyUnavailableError(
                f"Kafka at {servers} answers, but a broker advertises {host}:{port}, which this machine cannot resolve "
                f"({reason}): {REMEDY}"
            )


def explain(servers: str, failure: str | None) -> str:
    """Write librdkafka's last connection failure as the end of an error's sentence; empty if there is none."""
    if failure is None:
        return ""
    address = failure.partition("/")[0]
    if "/bootstrap: " in failure or address in {each.strip() for each in servers.split(",")}:
        return f" ({failure})"
    return f" ({failure}; this address is advertised by a broker: {REMEDY})"


def _begin_resolving(host: str, port: int) -> "Future[str | None]":
    """Resolve on a daemon thread, which nobody has to wait for; the answer is the reason of a failure."""
    answer: Future[str | None] = Future()

    def resolve() -> None:
        reason: str | None = None
        try:
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            reason = error.strerror or str(error)
        except UnicodeError:  # a label that is empty or too long
            reason = "no host name"
        with suppress(Exception):
            answer.set_result(reason)

    threading.Thread(target=resolve, name="resolving", daemon=True).start()
    return answer
