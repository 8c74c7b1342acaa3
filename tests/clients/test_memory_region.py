"""Regions of shared memory: where tensors lie, whose they are, and that they go away."""

import os
from pathlib import Path

import pytest

from tests.runner_tests.waiting import dead_process
from tuner.clients.memory_region import (
    SharedMemoryRegion,
    existing_regions,
    is_abandoned,
    lay_out,
    new_name,
    unlink,
)
from tuner.errors import LoadError
from tuner.load.requests import TensorSpec
from tuner.protocols.v2 import SharedTensor

FOLDER = Path("/dev/shm")  # noqa: S108 - where they are


class TestLayout:
    def test_slices(self) -> None:
        """Each tensor of each request has its own slice, on a cache line of its own."""
        specs = [TensorSpec(name, "INT8", (1,)) for name in "xyz"]
        x, y, z = zip(specs, (64, 65, 1), strict=True)
        layout = lay_out("region", [[x, y], [z]])
        assert layout.requests == (
            (
                SharedTensor("x", "INT8", (1,), "region", 0, 64),
                SharedTensor("y", "INT8", (1,), "region", 64, 65),
            ),
            (SharedTensor("z", "INT8", (1,), "region", 192, 1),),
        )
        assert layout.byte_size == 256

    @pytest.mark.parametrize("requests", [[], [[]], [[(TensorSpec("empty", "INT8", (0,)), 0)]]])
    def test_never_empty(self, requests: list[list[tuple[TensorSpec, int]]]) -> None:
        """There is no region of no bytes: neither the system nor a server would take it."""
        assert lay_out("region", requests).byte_size == 64


class TestRegion:
    def test_content(self) -> None:
        """What is written lies under the name of the region; the rest is zeros."""
        name = new_name("input")
        with SharedMemoryRegion(name, 8) as region:
            region.write(b"abc")
            assert region.key == f"/{name}"
            assert (FOLDER / name).read_bytes() == b"abc\0\0\0\0\0"
            assert name in existing_regions()
            # Other users can neither read nor write it.
            assert (FOLDER / name).stat().st_mode & 0o777 == 0o600

    def test_gone(self) -> None:
        """It is gone when the block ends, also with an error, and also if it was gone before."""
        name = new_name("input")
        with pytest.raises(KeyError), SharedMemoryRegion(name, 8):
            raise KeyError
        assert name not in existing_regions()
        with SharedMemoryRegion(name, 8):
            unlink(name)
        assert name not in existing_regions()

    @pytest.mark.parametrize(
        ("name", "size", "said", "hint"),
        [
            # Too little memory is told before anything is written;
            (
                new_name("input"),
                1 << 50,
                "of 1,125,899,906,842,624 bytes could be made: No space left on device",
                "see `df /dev/shm`; in a container, give it more with `--shm-size`",
            ),
            # whatever else the system says is told in its words.
            (
                "no/folder",
                64,
                "of 64 bytes could be made: No such file or directory",
                "see whether this user may write in /dev/shm",
            ),
        ],
        ids=["room", "access"],
    )
    def test_not_made(self, name: str, size: int, said: str, hint: str) -> None:
        """What cannot be had is refused, and leaves nothing."""
        with pytest.raises(LoadError) as caught, SharedMemoryRegion(name, size):
            pass
        assert str(caught.value) == f"no shared memory {said}"
        assert caught.value.hint == hint
        assert name not in existing_regions()

    def test_never_taken_over(self) -> None:
        """A region of that name that is there already stays what it is."""
        name = new_name("input")
        with SharedMemoryRegion(name, 8):
            with pytest.raises(LoadError, match="File exists"), SharedMemoryRegion(name, 8):
                pass
            assert name in existing_regions()


class TestNames:
    def test_own(self) -> None:
        """A name says who owns it, and is given once."""
        first, second = new_name("input"), new_name("input")
        assert first.startswith(f"tuner-{os.getpid()}-")
        assert first != second
        assert not is_abandoned(first)

    def test_dead_owner(self) -> None:
        """What a process leaves that is gone is abandoned."""
        name = new_name("input").replace(f"-{os.getpid()}-", f"-{dead_process()}-")
        assert is_abandoned(name)

    @pytest.mark.parametrize(
        "name",
        ["", "other", "tuner-9999999", "tuner-9999999-folder-input", "tuner-x-00000000-input"],
    )
    def test_of_others(self, name: str) -> None:
        """A name that this module does not give is nobody's to judge."""
        assert not is_abandoned(name)

    def test_largest_number(self) -> None:
        """Linux has no process of this number."""
        assert is_abandoned("tuner-9999999-00000000-input")
