"""Ports that stay the same after a restart, so that a client that was connected finds the server again."""

import json
import random
import socket
from pathlib import Path
from typing import Final

from events.runtime.errors import ServiceUnavailableError
from projector.sandbox.folder import write_atomically

HOST: Final = "127.0.0.1"
LOWEST: Final = 15_000
HIGHEST: Final = 32_000
"""Below the ports that systems assign to clients (from 32,768 on Linux): otherwise a client that retries the port of a
dead server can be assigned that port itself, and connects to itself."""
ATTEMPTS: Final = 200


def stored(path: Path) -> dict[str, int]:
    """Read the ports chosen before; none if the file is missing or damaged."""
    try:
        content = json.loads(path.read_text())
        return {str(name): int(port) for name, port in content.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def settle(path: Path, *names: str) -> dict[str, int]:
    """Return a free port for each name, the same as before if that is free, and store them.

    Raises:
        ServiceUnavailableError: there is no free port.

    """
    before = stored(path)
    chosen: dict[str, int] = {}
    for name in names:
        port = before.get(name)
        chosen[name] = port if port and port not in chosen.values() and is_free(port) else free_port(*chosen.values())
    write_atomically(path, json.dumps(chosen))
    return chosen


def is_free(port: int) -> bool:
    """Tell whether a server could listen on a port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_port(*taken: int) -> int:
    """Return a free port other than those taken.

    Raises:
        ServiceUnavailableError: there is no free port.

    """
    for _ in range(ATTEMPTS):
        port = random.randint(LOWEST, HIGHEST)  # noqa: S311 - spreads sandboxes, protects nothing
        if port not in taken and is_free(port):
            return port
    raise ServiceUnavailableError(f"no free port between {LOWEST} and {HIGHEST} on {HOST}")
