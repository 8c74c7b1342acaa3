"""What a service was started with."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where it listens, what it keeps, and what a job may use.

    `folder` has what belongs to the service alone: its token, logs and reports of jobs, models
    that were sent to it. Jobs may use models below the folders in `models` and `folder`, spaces
    that are built in or below the folders in `spaces`, images whose names are in `images`, and
    servers that already run at the addresses in `remotes` (http://HOST:PORT), and the hosts of the
    `fleets` with these addresses; the program of a space, and models that are programs, only with
    `allow_commands`. It is asked by the name
    `host`, or by one in `allowed_hosts`. A model that is sent to it has at most
    `largest_upload` bytes.
    """

    database: str
    folder: Path
    host: str = "127.0.0.1"
    port: int = 8900
    models: tuple[Path, ...] = ()
    spaces: tuple[Path, ...] = ()
    images: tuple[str, ...] = ()
    remotes: tuple[str, ...] = ()
    fleets: tuple[str, ...] = ()
    allow_commands: bool = False
    token_file: Path | None = None
    certificate: Path | None = None
    certificate_key: Path | None = None
    allowed_hosts: tuple[str, ...] = ()
    largest_upload: int = 2 * 2**30

    @property
    def reports(self) -> Path:
        """The `--output` of each job."""
        return self.folder / "reports"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def uploads(self) -> Path:
        return self.folder / "models"
