"""A TCP proxy that can misbehave: between a program and a server it stalls, trickles, resets, or is not there.

What was sent before a stall arrives after it, as with packets that a network holds back. Works on a thread of its own.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import Final, Literal

from projector.sandbox.ports import HOST, free_port

Mode = Literal["flow", "hang", "trickle", "away"]

READ_BYTES: Final = 1 << 16
TRICKLE_BYTES: Final = 48
TRICKLE_SECONDS: Final = 0.01
STALL_SECONDS: Final = 0.02  # how often a stalled connection looks whether it may go on
NO_LINGER: Final = struct.pack("ii", 1, 0)  # closing sends RST and throws away what was not sent


class Proxy:
    """Listens on `port`, hands everything on to an upstream port; `mode` says how."""

    def __init__(self, upstream: int) -> None:
        self.port = free_port(upstream)
        self.mode: Mode = "flow"
        self._upstream = upstream
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._call(self._listen)

    def away(self) -> None:
        """Reset every connection, and take none until `back`."""
        self.mode = "away"
        self.reset()

    def hang(self) -> None:
        """Hold back everything, in both directions, until `back`."""
        self.mode = "hang"

    def trickle(self) -> None:
        """Hand on a few bytes at a time until `back`."""
        self.mode = "trickle"

    def back(self) -> None:
        """Behave again."""
        self.mode = "flow"

    def reset(self) -> None:
        """Break every connection with RST."""
        self._call(self._reset)

    def ports(self) -> set[int]:
        """Return the ports from which the server sees us come: they tell whose session one is."""
        return {writer.get_extra_info("sockname")[1] for _, writer in set(self._pairs)}

    def close(self) -> None:
        """Break every connection and end."""
        self._call(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, what: Callable[[], object]) -> None:
        async def called() -> None:
            result = what()
            if asyncio.iscoroutine(result):
                await result

        asyncio.run_coroutine_threadsafe(called(), self._loop).result()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, self.port)

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        self._reset()
        self.mode = "flow"  # so that nobody waits for the end of a stall
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)

    def _reset(self) -> None:
        for pair in set(self._pairs):
            for writer in pair:
                _abort(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode == "away":
            _abort(writer)
            return
        try:
            there, beyond = await asyncio.open_connection(HOST, self._upstream)
        except OSError:
            _abort(writer)
            return
        pair = (writer, beyond)
        self._pairs.add(pair)
        try:
            await asyncio.gather(self._pump(reader, beyond), self._pump(there, writer))
        finally:
            self._pairs.discard(pair)
            for end in pair:
                _abort(end)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(READ_BYTES):
                while data:
                    part = data[:TRICKLE_BYTES] if self.mode == "trickle" else data
                    while self.mode == "hang":
                        await asyncio.sleep(STALL_SECONDS)
                    writer.write(part)
                    await writer.drain()
                    data = data[len(part) :]
                    if self.mode == "trickle":
                        await asyncio.sleep(TRICKLE_SECONDS)
            writer.close()
        except OSError:
            _abort(writer)  # so that the other side hears of it too


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close with RST; what is closed already stays so."""
    made: socket.socket | None = writer.get_extra_info("socket")
    if made is not None and made.fileno() >= 0:
        with contextlib.suppress(OSError):
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    writer.transport.abort()
