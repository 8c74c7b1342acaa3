"""A real Triton with models that say what reached them: of every type, stateful, and decoupled."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import grpc
import pytest

from runners.process import ProcessRunner
from tests.load.exchange import exchange
from tests.servers.triton import launch_spec
from tuner.load.profile import Endpoint
from tuner.protocols import generic_http
from tuner.protocols.tensors.values import NUMBER_TYPES

TYPES = (*NUMBER_TYPES, "BYTES")


@dataclass(frozen=True)
class TritonServer:
    """Where it listens, over HTTP and over gRPC."""

    http: Endpoint
    channel: grpc.Channel


@pytest.fixture(scope="session")
def triton_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """The models `typed`, `counter` and `repeat_numbers`."""
    # Shared memory is named after this folder: no two runs of the tests may have the same.
    folder = Path(tempfile.mkdtemp(prefix="requests-", dir=tmp_path_factory.mktemp("triton")))
    starts = launch_spec(folder, ("typed", "counter", "repeat_numbers"))
    with (
        ProcessRunner(log_directory=folder / "logs").start(starts) as server,
        grpc.insecure_channel(f"{server.host}:{server.ports['grpc']}") as channel,
    ):
        yield TritonServer(Endpoint(server.host, server.ports["http"]), channel)


@contextmanager
def shared_region(server: Endpoint) -> Iterator[tuple[str, memoryview]]:
    """A region of system shared memory that the server knows: its name, and its bytes."""
    memory = SharedMemory(create=True, size=4096)
    path = f"/v2/systemsharedmemory/region/{memory.name}"
    place = {"key": f"/{memory.name}", "offset": 0, "byte_size": memory.size}
    register = generic_http.prepare(server, f"{path}/register", body=json.dumps(place).encode())
    status, _, text = exchange(server, register)
    try:
        assert status == 200, text
        assert memory.buf is not None
        yield memory.name, memory.buf
    finally:
        exchange(server, generic_http.prepare(server, f"{path}/unregister"))
        memory.close()
        memory.unlink()
