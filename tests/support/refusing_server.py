"""A server that speaks PostgreSQL's start-up protocol up to a refusal, in whatever language (manual, 54.7 and 54.8)."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from struct import pack, unpack
from typing import Final

SSL_REQUEST: Final = 80_877_103
GSS_REQUEST: Final = 80_877_104
CLEARTEXT_PASSWORD: Final = 3


@contextmanager
def refusing_server(code: str, message: str) -> Iterator[str]:
    """Answer every connection with this SQLSTATE and message, or without one demand a password; yield the address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_serve, args=(listening, code, message), daemon=True).start()
        yield f"postgresql://user:x@127.0.0.1:{listening.getsockname()[1]}/billing"


def _serve(listening: socket.socket, code: str, message: str) -> None:
    with suppress(OSError):  # closed
        while True:
            client, _ = listening.accept()
            with client, suppress(OSError):
                _refuse(client, code, message)


def _refuse(client: socket.socket, code: str, message: str) -> None:
    while True:
        length, version = unpack("!ii", client.recv(8, socket.MSG_WAITALL))
        client.recv(length - 8, socket.MSG_WAITALL)
        if version not in {SSL_REQUEST, GSS_REQUEST}:
            break
        client.sendall(b"N")
    if not code:
        client.sendall(b"R" + pack("!ii", 8, CLEARTEXT_PASSWORD))
        return
    fields = {"S": "FATALE", "V": "FATAL", "C": code, "M": message}
    body = b"".join(name.encode() + text.encode() + b"\0" for name, text in fields.items()) + b"\0"
    client.sendall(b"E" + pack("!i", len(body) + 4) + body)
    client.shutdown(socket.SHUT_WR)
    while client.recv(1024):
        pass
