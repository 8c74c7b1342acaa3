"""The web server of a service: it ends although somebody watches, and drops who does not read."""

import socket

import uvicorn

from tuner.service.api.watching import Watching
from tuner.service.repeated import RepeatingConnection

# A connection whose other end takes nothing for so long, in milliseconds, is given up by the
# system (TCP_USER_TIMEOUT, tcp(7)); streams have no other limit.
_UNREAD_MS = 60_000


class Server(uvicorn.Server):
    """Serves an application of this package."""

    def __init__(self, config: uvicorn.Config) -> None:
        config.http, config.server_header = RepeatingConnection, False
        super().__init__(config)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen. What accepted connections are to have is set on the listening ones."""
        await super().startup(sockets=sockets)
        for server in self.servers:
            for each in server.sockets:
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Watchers are let go first: they would be waited for."""
        watching: Watching = self.config.app.state.watching  # type: ignore[union-attr]
        watching.close()
        await super().shutdown(sockets=sockets)
