"""How the files of a job reach a host: as one stream of bytes, each checked by its digest.

What a job names by a path is packed on the driver's machine, and unpacked into a folder of the
host. Absolute paths in a space file's `serve` and the mounts of containers are the hosts' own.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

from tuner.errors import TunerError
from tuner.study.job import Job
from tuner.targets import staging

CHUNK_BYTES = 4 << 20
"""How much travels at once: enough for the network, little for Ray's store of objects."""


@dataclass(frozen=True)
class SentFile:
    """One file; `path` is relative to the folder that all are unpacked into, `digest` SHA-256."""

    path: str
    size: int
    digest: str
    executable: bool = False


@dataclass(frozen=True)
class Parcel:
    """What a host gets: the job, with relative paths where its files come with it."""

    job: Job
    files: tuple[SentFile, ...] = ()
    folders: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(file.size for file in self.files)

    @property
    def chunks(self) -> int:
        """How many are to be sent."""
        return -(-self.size // CHUNK_BYTES)


class Packed:
    """A parcel, with where its files are on the driver's machine."""

    def __init__(self, parcel: Parcel, sources: tuple[Path, ...]) -> None:
        self.parcel = parcel
        self._sources = sources
        self._ends = tuple(accumulate(file.size for file in parcel.files))

    def chunk(self, number: int) -> bytes:
        """The bytes of this chunk of the stream of all files.

        Raises:
            ModelError: A file cannot be read any more.
        """
        begin = number * CHUNK_BYTES
        return b"".join(self._pieces(begin, min(begin + CHUNK_BYTES, self.parcel.size)))

    def _pieces(self, begin: int, end: int) -> Iterator[bytes]:
        files = zip(self.parcel.files, self._sources, self._ends, strict=True)
        for file, source, its_end in files:
            its_begin = its_end - file.size
            first, last = max(begin, its_begin), min(end, its_end)
            if first < last:
                with staging.readable(source), source.open("rb") as opened:
                    opened.seek(first - its_begin)
                    # One that has become shorter must not shift those behind it.
                    yield opened.read(last - first).ljust(last - first, b"\0")


class Unpacking:
    """The host's end: files written as their bytes come, into the `folder`."""

    def __init__(self, parcel: Parcel, folder: Path) -> None:
        for name in parcel.folders:
            (folder / name).mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._coming = iter(parcel.files)
        self._opened: BinaryIO | None = None
        self._open_next()

    @property
    def is_complete(self) -> bool:
        """Whether all files are there."""
        return self._opened is None

    def take(self, content: bytes) -> None:
        """The next bytes.

        Raises:
            OSError: There is no room for them.
            TunerError: A file is not what the driver saw.
        """
        while content and self._opened:
            piece, content = content[: self._missing], content[self._missing :]
            self._opened.write(piece)
            self._digest.update(piece)
            self._missing -= len(piece)
            if not self._missing:
                self._check()
                self._open_next()

    def close(self) -> None:
        if self._opened:
            self._opened.close()
            self._opened = None

    def _open_next(self) -> None:
        """Those without content are complete at once."""
        self.close()
        for file in self._coming:
            path = self._folder / file.path
            self._opened = path.open("wb")
            path.chmod(0o700 if file.executable else 0o600)
            self._file, self._missing, self._digest = file, file.size, hashlib.sha256()
            if file.size:
                return
            self.close()

    def _check(self) -> None:
        self.close()
        if self._digest.hexdigest() != self._file.digest:
            raise TunerError(
                f"{self._file.path} is not what the driver read when the study began",
                hint="leave the model's files as they are while the study begins",
            )
