"""What all parts of a service that runs share."""

from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock

from fastapi import Request

from runners.process_names import machine
from tuner.service.access import private
from tuner.service.command import OptimizeCommand
from tuner.service.settings import Settings
from tuner.store.storage import Storage


@dataclass(frozen=True)
class Service:
    """Its settings, its open database (used by several threads), and the command it starts.

    Whoever looks at a job and changes it then holds `changing`.
    """

    settings: Settings
    storage: Storage
    command: OptimizeCommand
    changing: Lock = field(default_factory=Lock)

    @cached_property
    def machine(self) -> str:
        """Whose its jobs are: the name that this machine had when the folder was first used.

        A container that is made anew has another name, and the same folder.
        """
        private.folder(self.settings.folder)
        return private.kept(self.settings.folder / "machine", machine)[0]


async def service_of(request: Request) -> Service:
    """The service that answers `request`; a dependency of routes."""
    found: Service = request.app.state.service
    return found
