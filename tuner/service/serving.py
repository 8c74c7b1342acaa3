"""A service for as long as it runs: its database, its dispatcher, its web server."""

import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace

import uvicorn

from tuner.errors import TunerError
from tuner.service.access import private
from tuner.service.access.listening import check_listening, greeting
from tuner.service.app import application
from tuner.service.command import OptimizeCommand
from tuner.service.jobs import lock
from tuner.service.jobs.dispatcher import Dispatcher
from tuner.service.jobs.webhooks import Webhooks
from tuner.service.server import Server
from tuner.service.service import Service
from tuner.service.settings import Settings
from tuner.store import services
from tuner.store.queue import ACTIVE, queued_jobs
from tuner.store.storage import Storage

# A request that is being answered is cut off after these seconds.
_LONGEST_END_S = 3
# Connections that wait to be taken.
_BACKLOG = 2048


def serve(
    settings: Settings, command: OptimizeCommand, *, say: Callable[[str], None] = lambda _: None
) -> None:
    """Serve until the process is asked to end (SIGINT, SIGTERM); jobs in progress go on.

    `say` is told where it is, and how to log in.

    Raises:
        TunerError: The database, the folder or the address cannot be used, or another service has
            the folder, or jobs in the database.
    """
    check_listening(settings)
    private.folder(settings.folder)
    with ExitStack() as stack:
        stack.enter_context(lock.held(settings.folder))
        storage = stack.enter_context(Storage(settings.database, create=True))
        listening = stack.enter_context(listener(settings.host, settings.port))
        here = replace(settings, port=listening.getsockname()[1])
        service = Service(here, storage, command)
        services.look_after(storage, service.machine)
        app = application(service)
        app.state.dispatcher = stack.enter_context(Dispatcher(service))
        stack.enter_context(Webhooks(service))
        say(f"the service listens on {address(here)}; what it keeps is in {here.folder}")
        for line in greeting(app.state.access):
            say(line)
        server = Server(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                # Anybody could say that they are somewhere else.
                proxy_headers=False,
                ssl_certfile=here.certificate,
                ssl_keyfile=here.certificate_key,
                timeout_graceful_shutdown=_LONGEST_END_S,
            )
        )
        with suppress(KeyboardInterrupt):  # uvicorn repeats the signal once it has ended
            server.run(sockets=[listening])
        _say_what_goes_on(service, say)


def listener(host: str, port: int) -> socket.socket:
    """A socket that listens there, before anything else is begun.

    Raises:
        TunerError: It cannot.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        reason, _, _ = str(error.strerror).partition(" (while")
        raise TunerError(
            f"the service cannot listen on {host}:{port}: {reason}",
            hint="another program has the port, or this machine not the address: choose others "
            "with `--port` and `--host`",
        ) from None


def address(settings: Settings) -> str:
    """The URL of a service with these settings."""
    scheme = "https" if settings.certificate else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{host}:{settings.port}"


def _say_what_goes_on(service: Service, say: Callable[[str], None]) -> None:
    for job in queued_jobs(service.storage, states=ACTIVE, machine=service.machine):
        say(
            f"job {job.id} (study {job.study}) goes on without the service, which will see it "
            "again when it is started"
        )
