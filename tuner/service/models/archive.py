"""Archives of models made into folders: a zip, a tar or a tar.gz.

Whoever sends one may write nothing but plain files below the new folder. What an archive says of
itself is not believed: bytes are counted as they are unpacked, names are checked before anything
is written, and no part of an archive is read into memory that could be large.
"""

import gzip
import io
import math
import os
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

from tuner.errors import InputError, quoted

_CHUNK = 256 * 1024
# The table of contents of a zip: 10,000 files with names of 100 characters take 2 MB.
_LARGEST_CONTENTS = 4 * 2**20
# What a tar says of one file: its name, its times.
_LARGEST_HEADER = 64 * 2**10
# Zeros at the end of a tar: usually no more than 10 KiB.
_PADDING = 1 * 2**20
# Weights hardly shrink, texts to a tenth; a bomb of zeros to a thousandth.
_MOST_RATIO = 200
# Of fewer bytes than these no ratio is asked.
_SMALL = 16 * 2**20
_LONGEST_NAME, _LONGEST_PATH = 255, 1024
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_GZIP = b"\x1f\x8b"
_KINDS_OF_ZIP = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The most that is unpacked: bytes in all, files and folders, folders inside each other."""

    size: int
    entries: int = 10_000
    depth: int = 16


class ArchiveError(InputError):
    """An archive is none, or has something that is not unpacked."""


def unpack(archive: Path, folder: Path, limits: Limits) -> None:
    """Write the files of an archive into a new folder; what was written stays where it fails.

    Raises:
        ArchiveError: It is no zip and no tar, is damaged, exceeds the limits, or has what is no
            plain file below a folder: links, devices, paths that lead elsewhere, names that some
            file system takes for the same.
        OSError: The folder cannot be written.
    """
    folder.mkdir()
    unpacked = _Folder(folder, limits, archive.stat().st_size)
    with archive.open("rb") as file:
        start = file.read(len(_ZIP[0]))
        file.seek(0)
        with _damage_told():
            for entry in (_zipped if start in _ZIP else _tarred)(file):
                unpacked.add(entry)
    if not unpacked.files:
        raise ArchiveError("the archive has no files")


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class _Entry:
    """A file or a folder of an archive; `content` is None of a folder."""

    name: str
    content: _Readable | None = None


@dataclass
class _Folder:
    """The new folder, with what is in it by now."""

    root: Path
    limits: Limits
    archive_bytes: int
    size: int = 0
    # By their names as a file system would compare them that knows no capitals.
    files: dict[str, str] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)

    def add(self, entry: _Entry) -> None:
        parts = _parts(entry.name, self.limits.depth)
        folders = parts if entry.content is None else parts[:-1]
        for end in range(1, len(folders) + 1):
            self._add_folder("/".join(folders[:end]))
        if entry.content is not None:
            self._add_file("/".join(parts), entry.content)

    def _add_folder(self, path: str) -> None:
        key = _compared(path)
        if self.folders.get(key) == path:
            return
        if key in self.files or key in self.folders:
            raise ArchiveError(f"{quoted(path)} is there twice, or differs by capitals alone")
        self.folders[key] = path
        self._check_count()
        (self.root / path).mkdir()

    def _add_file(self, path: str, content: _Readable) -> None:
        key = _compared(path)
        if not path or key in self.files or key in self.folders:
            raise ArchiveError(f"{quoted(path)} is there twice, or differs by capitals alone")
        self.files[key] = path
        self._check_count()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(self.root / path, flags, 0o644), "wb") as file:
            while chunk := content.read(_CHUNK):
                self._count(len(chunk))
                file.write(chunk)

    def _check_count(self) -> None:
        if len(self.files) + len(self.folders) > self.limits.entries:
            raise ArchiveError(f"the archive has more than {self.limits.entries:,} files")

    def _count(self, more: int) -> None:
        self.size += more
        if self.size > self.limits.size:
            raise ArchiveError(f"unpacked, it has more than {self.limits.size:,} bytes")
        if self.size > max(_SMALL, _MOST_RATIO * self.archive_bytes):
            raise ArchiveError(f"unpacked, it is more than {_MOST_RATIO} times as large")


def _parts(name: str, depth: int) -> tuple[str, ...]:
    """The names that a path is made of; none of the folder itself (`./`)."""
    if not name.isprintable() or "\\" in name:
        raise ArchiveError(f"{quoted(name)} has characters that no path of a model has")
    if name.startswith("/") or name[1:2] == ":":
        raise ArchiveError(f"{quoted(name)} is not relative to the folder")
    parts = tuple(each for each in name.removesuffix("/").split("/") if each != ".")
    if ".." in parts or "" in parts:
        raise ArchiveError(f"{quoted(name)} leads out of the folder, or nowhere")
    if len(parts) > depth:
        raise ArchiveError(f"{quoted(name)} has more than {depth} folders inside each other")
    lengths = [len(each.encode()) for each in parts]
    if sum(lengths) + len(parts) > _LONGEST_PATH or any(n > _LONGEST_NAME for n in lengths):
        raise ArchiveError(f"{quoted(name)} is too long")
    return parts


def _compared(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _zipped(file: IO[bytes]) -> Iterator[_Entry]:
    with zipfile.ZipFile(_Bounded(file, _LARGEST_CONTENTS)) as archive:
        for info in archive.infolist():
            name = info.orig_filename  # the other one ends at a null character
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise ArchiveError(f"{quoted(name)} is a link or a device, not a file")
            if (kind == stat.S_IFDIR) != name.endswith("/") and kind != 0:
                raise ArchiveError(f"{quoted(name)} is not what its name says")
            if info.flag_bits & _ENCRYPTED or info.compress_type not in _KINDS_OF_ZIP:
                raise ArchiveError(f"{quoted(name)} is encrypted, or packed in an unusual way")
            if name.endswith("/"):
                yield _Entry(name)
                continue
            with archive.open(info) as content:
                yield _Entry(name, content)


def _tarred(file: IO[bytes]) -> Iterator[_Entry]:
    start = file.read(len(_GZIP))
    file.seek(0)
    bounded = _Bounded(gzip.GzipFile(fileobj=file) if start == _GZIP else file, _LARGEST_HEADER)
    bounded.renew()  # the first header is read at once
    with tarfile.TarFile(fileobj=bounded, encoding="utf-8") as archive:
        while member := _next(archive, bounded):
            if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE):
                raise ArchiveError(f"{quoted(member.name)} is a link or a device, not a file")
            if member.sparse is not None:
                raise ArchiveError(f"{quoted(member.name)} is packed in an unusual way")
            if member.type == tarfile.DIRTYPE:
                yield _Entry(member.name + "/")
            elif content := archive.extractfile(member):
                yield _Entry(member.name, _Renewing(content, bounded))
    _check_end(bounded)


def _next(archive: tarfile.TarFile, bounded: "_Bounded") -> tarfile.TarInfo | None:
    bounded.renew()
    return archive.next()


def _check_end(bounded: "_Bounded") -> None:
    """Python takes a header that is none for the end, and checks a sum only when all is read."""
    if any(bounded.last):
        raise tarfile.ReadError("a header is damaged")
    for _ in range(_PADDING // _LARGEST_HEADER):
        bounded.renew()
        if not bounded.read(_LARGEST_HEADER):
            return
    raise ArchiveError("the archive goes on behind its end")


class _Bounded(io.RawIOBase):
    """A file of which no more is read than is allowed: what it says of itself may be a lie.

    That is, no more at once; with `renew`, no more until it is called again. `last` is what was
    read last.
    """

    def __init__(self, file: IO[bytes] | gzip.GzipFile, most: int) -> None:
        self._file, self._most = file, most
        self._left = math.inf
        self.last = b""

    def renew(self) -> None:
        self._left = self._most

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = self._rest() if size is None or size < 0 else size
        if wanted > min(self._most, self._left):
            raise ArchiveError("what the archive says of its files is larger than can be true")
        self.last = self._file.read(wanted)
        self._left -= len(self.last)
        return self.last

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def _rest(self) -> int:
        here = self._file.tell()
        rest = self._file.seek(0, os.SEEK_END) - here
        self._file.seek(here)
        return rest


class _Renewing:
    """A file within a tar: its own bytes may be as many as they are."""

    def __init__(self, content: IO[bytes], bounded: _Bounded) -> None:
        self._content, self._bounded = content, bounded

    def read(self, size: int, /) -> bytes:
        self._bounded.renew()
        return self._content.read(min(size, _LARGEST_HEADER // 2))


@contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    except ArchiveError:
        raise
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        zlib.error,
        gzip.BadGzipFile,
        EOFError,
        ValueError,
        NotImplementedError,
        RecursionError,
        OverflowError,
    ) as error:
        raise ArchiveError(
            f"is no zip or tar archive, or is damaged: {quoted(str(error))}",
            hint="a file such as `model.onnx` is sent under a name with its ending",
        ) from None
