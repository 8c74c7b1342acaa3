"""An HTTP/1.1 server that does nothing: what the load engine itself can do is measured against it.

Started by `calibrate` as `python -m tuner.load.null_server SOCKET_FD`, with a socket that listens
already; it ends with its standard input.
"""

import asyncio
import socket
import sys
from typing import cast

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class _Connection(asyncio.Protocol):
    """Answers every piece that comes: calibrating requests are small enough to come in one."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        del data
        self._transport.write(ANSWER)


async def _serve(listening: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    server = await loop.create_server(_Connection, sock=listening)
    async with server:
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(_serve(socket.socket(fileno=int(sys.argv[1]))))
