"""One real Triton that speaks HTTP and gRPC, for the tests of the control plane."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runners.base import RunningServer
from tests.servers import triton
from tests.targets.served import HastyRunner


@pytest.fixture(scope="session")
def plain_triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The models `double` and `special` on the ports `http` and `grpc` of this machine."""
    # Shared memory is named after this folder: no two runs of the tests may have the same.
    folder = Path(tempfile.mkdtemp(prefix="plain-", dir=tmp_path_factory.mktemp("triton")))
    launch_spec = triton.launch_spec(folder, ("double", "special"), explicit=True)
    with HastyRunner(folder / "logs").start(launch_spec) as server:
        yield server
