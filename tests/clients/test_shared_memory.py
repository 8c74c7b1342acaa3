"""Tensors in shared memory: the server reads and writes them, and nothing is ever left behind."""

import os
import signal
import struct
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from runners.base import RunningServer
from tests.clients.v2_calls import endpoint_of
from tests.refusals import refused
from tests.runner_tests.waiting import dead_process, holding, wait_until, wait_until_gone
from tests.targets.answering import misbehaving, says
from tuner.clients.memory_region import existing_regions, new_name
from tuner.clients.shared_memory import OUTPUT_BYTE_SIZE, SharedMemory
from tuner.clients.v2_address import V2Address
from tuner.errors import ServerError
from tuner.load.profile import Endpoint
from tuner.load.requests import Tensor
from tuner.protocols import v2_http
from tuner.protocols.v2 import MemoryKind, SharedTensor, V2Options, V2Protocol

pytest_plugins = ["tests.targets.triton.plain_triton"]

OUTPUTS = {"doubled": 16, "same": 64}
FOLDER = Path("/dev/shm")  # noqa: S108 - where they are
both = pytest.mark.parametrize("protocol", V2Protocol)


def inputs(numbers: Sequence[float], words: Sequence[str]) -> tuple[Tensor, ...]:
    content = b"".join(struct.pack("<I", len(word)) + word.encode() for word in words)
    return (
        Tensor("numbers", "FP32", (1, 4), np.array(numbers, np.float32).tobytes()),
        Tensor("words", "BYTES", (1, 2), content),
    )


REQUESTS = [
    inputs([1, 2, 3, 4], ["a", "longer"]),
    inputs([5, 6, 7, 8], ["", "b" * 40]),
    inputs([-1, 0, 0.5, 1e9], ["x", "y"]),
]


def address_of(server: RunningServer, protocol: V2Protocol = V2Protocol.HTTP) -> V2Address:
    return V2Address(Endpoint(server.host, server.ports[protocol]), protocol)


def regions_of(memory: SharedMemory) -> set[str]:
    return {each.region for request in memory.requests for tensors in request for each in tensors}


def left_behind(address: V2Address, regions: Sequence[str] | set[str]) -> set[str]:
    """Which of the regions the server or the machine still has."""
    with address.control() as control:
        shared = control.shared_memory(MemoryKind.SYSTEM)
    return set(regions) & {*shared, *existing_regions()}


class TestInference:
    @both
    def test_right_numbers(self, plain_triton: RunningServer, protocol: V2Protocol) -> None:
        """The server reads each request's inputs and writes its outputs where it was told."""
        address = address_of(plain_triton, protocol)
        with (
            SharedMemory(address, REQUESTS, OUTPUTS) as memory,
            httpx.Client(base_url=plain_triton.url("http")) as client,
        ):
            for inputs, outputs in memory.requests:
                headers, body = v2_http.infer_body(inputs, V2Options(outputs=outputs))
                response = client.post("/v2/models/double/infer", content=body, headers=headers)
                assert response.status_code == httpx.codes.OK, response.text
            for tensors, (_, [doubled, same]) in zip(REQUESTS, memory.requests, strict=True):
                numbers = np.frombuffer(tensors[0].data, np.float32)
                assert (
                    np.frombuffer(content(doubled), np.float32).tolist() == (2 * numbers).tolist()
                )
                words = tensors[1].data
                assert content(same)[: len(words)] == words

    def test_sizes(self, plain_triton: RunningServer) -> None:
        """Inputs have the sizes of their tensors, outputs the sizes that were asked for."""
        outputs = {"doubled": OUTPUT_BYTE_SIZE}
        memory = SharedMemory(address_of(plain_triton), REQUESTS, outputs)
        for tensors, (inputs, [doubled]) in zip(REQUESTS, memory.requests, strict=True):
            assert [each.byte_size for each in inputs] == [len(each.data) for each in tensors]
            assert doubled.byte_size == 102_400


def content(at: SharedTensor) -> bytes:
    return (FOLDER / at.region).read_bytes()[at.offset : at.offset + at.byte_size]


class TestEnd:
    @both
    def test_end(self, plain_triton: RunningServer, protocol: V2Protocol) -> None:
        """Within the block both know the two regions, after it neither does."""
        address = address_of(plain_triton, protocol)
        with SharedMemory(address, REQUESTS, OUTPUTS) as memory:
            regions = regions_of(memory)
            with address.control() as control:
                assert regions <= control.shared_memory(MemoryKind.SYSTEM)
            assert regions <= set(existing_regions())
            assert len(regions) == 2
        assert left_behind(address, regions) == set()
        assert keepers() == []

    def test_error(self, plain_triton: RunningServer) -> None:
        """An error within the block goes on its way after the same end."""
        address = address_of(plain_triton)
        memory = SharedMemory(address, REQUESTS, OUTPUTS)
        with pytest.raises(KeyError, match="mine"), memory:
            raise KeyError("mine")
        assert left_behind(address, regions_of(memory)) == set()

    @pytest.mark.parametrize(
        ("number", "protocol"),
        [
            (signal.SIGINT, "http"),
            (signal.SIGTERM, "http"),
            (signal.SIGKILL, "http"),
            (signal.SIGKILL, "grpc"),
        ],
    )
    def test_signal(
        self, plain_triton: RunningServer, number: signal.Signals, protocol: str
    ) -> None:
        """Ctrl-C for all of the tuner's processes, or its sudden death, leaves nothing either."""
        address = address_of(plain_triton, V2Protocol(protocol))
        with tuner(address) as (process, regions):
            [keeper] = [each.pid for each in psutil.Process(process.pid).children()]
            assert left_behind(address, regions) == set(regions)
            os.killpg(process.pid, number)
            process.wait()
            wait_until(lambda: not left_behind(address, regions))
            wait_until_gone([keeper])

    def test_server_gone(self) -> None:
        """A server that is gone knows no regions any more; the machine's memory is given back."""
        with misbehaving(willing) as url, tuner(address_at(url)) as (process, regions):
            assert set(regions) <= set(existing_regions())
            process.kill()
            process.wait()
        wait_until(lambda: not set(regions) & set(existing_regions()))

    def test_server_gone_first(self) -> None:
        """The block ends well when its server ended first."""
        with ExitStack() as stack, misbehaving(willing) as url:
            memory = SharedMemory(address_at(url), REQUESTS, OUTPUTS)
            stack.enter_context(memory)
        assert not regions_of(memory) & set(existing_regions())
        assert keepers() == []


@contextmanager
def tuner(address: V2Address) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A process, leader of its group, that shares memory, and the names of its regions."""
    wishes = {"port": address.endpoint.port, "protocol": address.protocol}
    with holding("tests.clients.shared_memory_script", wishes, group=0) as held:
        yield held


def keepers() -> list[int]:
    return [each.pid for each in psutil.Process().children() if "keeper" in str(each.cmdline())]


def willing(handler: BaseHTTPRequestHandler) -> None:
    """Agree to everything; there is no region yet."""
    says(b"[]")(handler)


def address_at(url: str) -> V2Address:
    return V2Address(endpoint_of(url))


class TestSweep:
    @both
    def test_dead_and_living(self, plain_triton: RunningServer, protocol: V2Protocol) -> None:
        """What a dead tuner left is removed at the next start, what a living one has is not."""
        address = address_of(plain_triton, protocol)
        left, living = f"tuner-{dead_process()}-00000000-input", new_name("input")
        for name in (left, living):
            (FOLDER / name).write_bytes(bytes(64))
            with address.control() as control:
                control.share_system_memory(name, key=f"/{name}", byte_size=64)
        try:
            with SharedMemory(address, REQUESTS, OUTPUTS):
                assert left_behind(address, [left, living]) == {living}
        finally:
            (FOLDER / living).unlink()
            with address.control() as control:
                control.forget_memory(MemoryKind.SYSTEM, living)

    @pytest.mark.parametrize("where", ["server", "machine"])
    def test_half(self, plain_triton: RunningServer, where: str) -> None:
        """A region that only one of them still knows is removed, too."""
        address = address_of(plain_triton)
        left = f"tuner-{dead_process()}-00000000-output"
        (FOLDER / left).write_bytes(bytes(64))
        if where == "server":
            with address.control() as control:
                control.share_system_memory(left, key=f"/{left}", byte_size=64)
            (FOLDER / left).unlink()
        with SharedMemory(address, REQUESTS, OUTPUTS):
            assert left_behind(address, [left]) == set()


class TestRefusals:
    def test_other_machine(self) -> None:
        """Memory is shared on one machine only."""
        memory = SharedMemory(V2Address(Endpoint("192.0.2.1", 8000)), REQUESTS, OUTPUTS)
        message = (
            "`--shared-memory system` needs a server on this machine, but `192.0.2.1` is "
            "another one"
        )
        hint = "run the tuner beside the server, or leave `--shared-memory` out"
        with refused(message, hint), memory:
            pass

    def test_unix_socket(self, tmp_path: Path) -> None:
        """A Unix socket is on this machine, whatever its server is called."""
        endpoint = Endpoint("192.0.2.1", 8001, unix_socket=tmp_path / "socket")
        memory = SharedMemory(V2Address(endpoint, V2Protocol.GRPC), REQUESTS, OUTPUTS)
        with pytest.raises(ServerError, match="/socket is unavailable"), memory:
            pass

    @pytest.mark.parametrize("kind", MemoryKind)
    def test_not_offered(self, kind: MemoryKind) -> None:
        """Servers other than Triton may not know of shared memory."""
        with misbehaving(says(b"", status=404)) as url:
            message = (
                f"`--shared-memory {kind}` needs a server that offers it: "
                f"{url}/v2/{kind}sharedmemory/status answered 404: "
            )
            hint = "Triton does; leave `--shared-memory` out for other servers"
            memory = SharedMemory(address_at(url), REQUESTS, OUTPUTS, kind=kind)
            with refused(message, hint), memory:
                pass

    def test_not_seen(self) -> None:
        """A server that does not see the memory is told why that may be; nothing is left."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            refuses = handler.path.endswith("/register")
            says(b'{"error": "no"}' if refuses else b"[]", status=500 if refuses else 200)(handler)

        with misbehaving(answer) as url:
            memory = SharedMemory(address_at(url), REQUESTS, OUTPUTS)
            with pytest.raises(ServerError) as caught, memory:
                pass
        name = memory.requests[0][0][0].region
        assert str(caught.value) == (
            f"{url}/v2/systemsharedmemory/region/{name}/register answered 500: no"
        )
        assert caught.value.hint == (
            "the server must see this machine's shared memory: the same user, and in a container "
            "`--ipc=host`"
        )
        assert not regions_of(memory) & set(existing_regions())
        assert keepers() == []

    def test_server_away(self) -> None:
        """Where nobody listens, the message and its hint are those of the connection."""
        with misbehaving(willing) as url:
            pass
        with (
            pytest.raises(ServerError, match=r"no answer from .* refused") as caught,
            SharedMemory(address_at(url), REQUESTS, OUTPUTS),
        ):
            pass
        assert caught.value.hint == "check that the server runs and that host and port are right"
