"""An HTTP/1.1 server that does nothing: what the load engine itself can do is measured against it.

Started by `calibrate` as `python -m tuner.load.null_server SOCKET_FD REQUEST_BYTES`, with a
socket that listens already; it ends with its standard input. With 0 bytes, every piece that comes
is taken for a request.
"""

import asyncio
import socket
import sys
from typing import cast

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class _NullConnection(asyncio.Protocol):
    """Answers once for every `request_bytes` that came: all requests are of one size."""

    def __init__(self, request_bytes: int) -> None:
        self._request_bytes = request_bytes
        self._received = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        size = self._request_bytes or self._received
        requests, self._received = divmod(self._received, size)
        if requests:
            self._transport.write(requests * ANSWER)


async def _serve(listening: socket.socket, request_bytes: int) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    server = await loop.create_server(lambda: _NullConnection(request_bytes), sock=listening)
    async with server:
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(_serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])))
