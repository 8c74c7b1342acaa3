"""Opens the connections of the load engine: TCP or a Unix socket, plain or TLS."""

import asyncio
import errno
import ssl
from collections.abc import Callable
from typing import Any

from tuner.load.event_connection import EventConnection
from tuner.load.grpc.connection import GrpcConnection
from tuner.load.http_connection import HttpConnection
from tuner.load.lane import Connections, LaneOwner
from tuner.load.profile import Endpoint, LoadRun
from tuner.load.requests import RequestSet
from tuner.load.tls import tls_context

Connection = GrpcConnection | HttpConnection
# Makes what connects for the lanes of an owner.
Connecting = Callable[[LaneOwner, LoadRun, RequestSet], Connections]

# Errors that say something of this machine, not of the server.
_FAULTS_OF_THIS_MACHINE = {
    errno.EADDRNOTAVAIL: "no_local_port",
    errno.EMFILE: "too_many_files",
    errno.ENFILE: "too_many_files",
}
# Seconds that a peer may take to end TLS; nobody waits for it.
_TLS_SHUTDOWN_S = 0.5


class Connector:
    """Opens connections of one kind to one endpoint; `lanes` is how many lanes each will have.

    Raises:
        InputError: The certificates cannot be used.
    """

    def __init__(self, owner: LaneOwner, run: LoadRun, requests: RequestSet) -> None:
        self._endpoint = run.endpoint
        self._timeout_s = run.timeout_s
        self._new = _factory(owner, run, requests)
        self._tls = _tls_arguments(run.endpoint, "h2" if requests.call else "http/1.1")
        self.lanes = run.streams if requests.call else 1

    async def open(self) -> Connection | str:
        """A connection that is ready to send, or the kind of failure."""
        connection = None
        try:
            async with asyncio.timeout(self._timeout_s):
                connection = await self._open()
                if isinstance(connection, GrpcConnection):
                    await connection.ready
        except TimeoutError:
            if connection is not None:
                connection.close()
            return "connect_timeout"
        except ConnectionRefusedError:
            return "connection_refused"
        except ssl.SSLError:
            return "tls_failed"
        except OSError as error:
            lost = "connect_failed" if connection is None else "connection_lost"
            return _FAULTS_OF_THIS_MACHINE.get(error.errno or 0, lost)
        return connection

    async def _open(self) -> Connection:
        loop, endpoint = asyncio.get_running_loop(), self._endpoint
        if endpoint.unix_socket is not None:
            _, connection = await loop.create_unix_connection(
                self._new, str(endpoint.unix_socket), **self._tls
            )
        else:
            _, connection = await loop.create_connection(
                self._new, endpoint.host, endpoint.port, **self._tls
            )
        return connection


def _tls_arguments(endpoint: Endpoint, alpn: str) -> dict[str, Any]:
    """What the event loop wants to know of TLS."""
    tls = endpoint.tls
    if tls is None:
        return {}
    context = tls_context(tls)
    context.set_alpn_protocols([alpn])
    return {
        "ssl": context,
        "server_hostname": tls.server_name or endpoint.host,
        "ssl_shutdown_timeout": _TLS_SHUTDOWN_S,
    }


def _factory(owner: LaneOwner, run: LoadRun, requests: RequestSet) -> Callable[[], Connection]:
    call, rule, tokens = requests.call, requests.events, owner.tokens
    if rule is not None and tokens is not None:
        return lambda: EventConnection(owner, requests, rule, tokens)
    if call is None:
        return lambda: HttpConnection(owner, requests)
    scheme = "https" if run.endpoint.tls else "http"
    authority = run.endpoint.authority
    return lambda: GrpcConnection(
        owner, call, authority, scheme=scheme, streams=run.streams, check=requests.check
    )
