"""POSIX shared memory, in which requests hand their tensors to a server on the same machine.

A region is a file of Linux's shm filesystem (shm_overview(7)). Its name begins with the process
that owns it, so that what a dead process left can be told from what is in use.
"""

import errno
import mmap
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from tuner.clients.v2 import V2Control
from tuner.errors import LoadError
from tuner.load.requests import TensorSpec
from tuner.protocols.v2 import SharedTensor

# Bytes: the tensors of two requests share no cache line.
_ALIGNMENT = 64
_FOLDER = Path("/dev/shm")  # noqa: S108 - where shm_open(3) looks
_NAME = re.compile(r"tuner-(\d{1,7})-[0-9a-f]{8}-[a-z]+")


@dataclass(frozen=True)
class Layout:
    """A region of `byte_size` bytes, and the tensors of each request in it."""

    region: str
    byte_size: int
    requests: tuple[tuple[SharedTensor, ...], ...]


def lay_out(region: str, requests: Iterable[Iterable[tuple[TensorSpec, int]]]) -> Layout:
    """The layout of tensors with their sizes in bytes, aligned to 64 bytes."""
    placed: list[list[SharedTensor]] = []
    end = 0
    for tensors in requests:
        placed.append([])
        for spec, byte_size in tensors:
            at = SharedTensor(spec.name, spec.datatype, spec.shape, region, end, byte_size)
            placed[-1].append(at)
            end += -(-byte_size // _ALIGNMENT) * _ALIGNMENT
    return Layout(region, max(end, _ALIGNMENT), tuple(map(tuple, placed)))


class SharedMemoryRegion:
    """A new region within a `with` block: filled with zeros, for this user only.

    Raises:
        LoadError: The system does not give that much shared memory.
    """

    def __init__(self, name: str, byte_size: int) -> None:
        self.name = name
        self.key = f"/{name}"  # what shm_open(3) takes
        self.byte_size = byte_size

    def __enter__(self) -> Self:
        try:
            self._memory = _new_memory(_FOLDER / self.name, self.byte_size)
        except OSError as error:
            raise _no_memory(error, self.byte_size) from None
        return self

    def __exit__(self, *_: object) -> None:
        self._memory.close()
        unlink(self.name)

    def write(self, content: bytes) -> None:
        """Put `content` where the region begins; it must not be longer than the region."""
        self._memory[: len(content)] = content

    def share(self, control: V2Control) -> None:
        """Let the server use it under its name."""
        control.share_system_memory(self.name, key=self.key, byte_size=self.byte_size)


def new_name(role: str) -> str:
    """A name that no other region has or had; `role` is in lower-case letters."""
    return f"tuner-{os.getpid()}-{secrets.token_hex(4)}-{role}"


def is_abandoned(name: str) -> bool:
    """Whether `name` was given by a process that is gone."""
    match = _NAME.fullmatch(name)
    return match is not None and not psutil.pid_exists(int(match[1]))


def existing_regions() -> Iterator[str]:
    """The names of all regions of this machine, whoever made them."""
    with suppress(OSError):
        yield from os.listdir(_FOLDER)  # noqa: PTH208 - only the names are needed


def unlink(name: str) -> None:
    """Remove a region; nothing happens if it is gone, or another user's."""
    with suppress(OSError):
        (_FOLDER / name).unlink()


def _new_memory(path: Path, byte_size: int) -> mmap.mmap:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    try:
        # Where there is no room, writing would end the process (SIGBUS) instead of raising.
        os.posix_fallocate(descriptor, 0, byte_size)
        return mmap.mmap(descriptor, byte_size)
    except OSError:
        path.unlink()
        raise
    finally:
        os.close(descriptor)


def _no_memory(error: OSError, byte_size: int) -> LoadError:
    hint = "see `df /dev/shm`; in a container, give it more with `--shm-size`"
    if error.errno != errno.ENOSPC:
        hint = "see whether this user may write in /dev/shm"
    return LoadError(
        f"no shared memory of {byte_size:,} bytes could be made: {error.strerror}", hint=hint
    )
