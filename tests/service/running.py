"""Services that really listen: one of one's own choice, or one after the other at one address."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.datastructures import State
from starlette.types import Receive, Scope, Send

from tuner.cli.serve import job_options, limits, measure, words
from tuner.service.app import application
from tuner.service.command import OptimizeCommand
from tuner.service.server import Server
from tuner.service.service import Service
from tuner.service.settings import Settings
from tuner.store.storage import Storage

# For clients that ask without TLS: reading all certificates takes longer than a test.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
# A request that goes on for so many seconds after its test is a fault.
_LONGEST_S = 20.0


def optimize() -> OptimizeCommand:
    """The command as `tuner serve` knows it."""
    return OptimizeCommand(job_options(), words, limits, measure)


class Stage:
    """The application that a web server has just now: starting a server takes a quarter second."""

    def __init__(self) -> None:
        self._app: FastAPI | None = None
        self._under_way = 0
        self._changed = threading.Condition()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._app is not None
        self._under_way += 1
        try:
            await self._app(scope, receive, send)
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    @property
    def state(self) -> State:
        """What the server lets go of at its end."""
        assert self._app is not None
        return self._app.state

    @contextmanager
    def given_to(self, app: FastAPI) -> Iterator[None]:
        """Have it answer, and wait for its last answer: it uses a database that is closed then."""
        self._app = app
        yield
        with self._changed:
            assert self._changed.wait_for(lambda: not self._under_way, _LONGEST_S)


@contextmanager
def serving(app: FastAPI | Stage, listening: socket.socket, **configured: Any) -> Iterator[Server]:
    """A web server that has the application."""
    server = Server(
        uvicorn.Config(
            app,
            lifespan="off",
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            **configured,
        )
    )
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield server
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def running(settings: Settings, storage: Storage, **configured: Any) -> Iterator[FastAPI]:
    """A service; the port is a free one, and stands in its settings."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        here = replace(settings, port=listening.getsockname()[1])
        app = application(Service(here, storage, optimize()), kept_s=0.0)
        with serving(app, listening, **configured):
            yield app
