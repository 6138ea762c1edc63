"""A TLS front for a PostgreSQL server that was built without: it answers the client's request for TLS, and forwards.

What the client does is all its own: it checks the certificate's authority and name, encrypts, and then proves its
password to the server behind. Only the end of the tunnel is here instead of inside the server.
"""

import select
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Final

from projector.sandbox.ports import HOST
from tests.integration.security.certificates import Identity

SSL_REQUEST: Final = struct.pack("!ii", 8, 80877103)  # the protocol's "Message Formats": SSLRequest
GSS_REQUEST: Final = struct.pack("!ii", 8, 80877104)  # and GSSENCRequest
CHUNK: Final = 1 << 16


@contextmanager
def tls_front(upstream: tuple[str, int], identity: Identity) -> Iterator[int]:
    """Listen on loopback while the block lasts; gives the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    with socket.create_server((HOST, 0)) as server:
        threading.Thread(target=_accept, args=(server, upstream, context), daemon=True).start()
        yield server.getsockname()[1]
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts


def _accept(server: socket.socket, upstream: tuple[str, int], context: ssl.SSLContext) -> None:
    with suppress(OSError):  # the end of the block
        while True:
            client, _ = server.accept()
            threading.Thread(target=_serve, args=(client, upstream, context), daemon=True).start()


def _serve(client: socket.socket, upstream: tuple[str, int], context: ssl.SSLContext) -> None:
    """Serve one connection; one that does not ask for TLS, or breaks its handshake off, is closed."""
    with closing(client), suppress(OSError):
        if (request := client.recv(8, socket.MSG_WAITALL)) == GSS_REQUEST:
            client.sendall(b"N")
            request = client.recv(8, socket.MSG_WAITALL)
        if request != SSL_REQUEST:
            return
        client.sendall(b"S")
        with context.wrap_socket(client, server_side=True) as secure, socket.create_connection(upstream) as plain:
            _tunnel(secure, plain)


def _tunnel(secure: ssl.SSLSocket, plain: socket.socket) -> None:
    """Forward both ways until one side ends; one thread, because OpenSSL's connection is not to be shared by two."""
    other: dict[socket.socket, socket.socket] = {secure: plain, plain: secure}
    while True:
        ready = [secure] if secure.pending() else select.select([secure, plain], [], [])[0]
        for source in ready:
            data = source.recv(CHUNK)
            if not data:
                return
            other[source].sendall(data)
