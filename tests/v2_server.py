"""A V2 inference server in a few lines: real HTTP, real binary tensors, real counters."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from tests.targets import answering
from tuner.load.profile import Endpoint
from tuner.load.requests import Tensor
from tuner.protocols import v2_http

MODELS: dict[str, dict[str, Any]] = {
    # `shape` is without the batch dimension; `batch` 0 is a model that has none.
    "double": {"batch": 8, "shape": [4]},
    "flat": {"batch": 0, "shape": [4]},
    "picture": {"batch": 8, "shape": [3, -1, -1]},
    "broken": {"batch": 8, "shape": [4]},
}


@dataclass
class V2Server:
    """What the server saw; `url` is where it listens."""

    endpoint: Endpoint
    inputs: list[tuple[str, Tensor]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.endpoint.host}:{self.endpoint.port}"

    def infer(self, model: str, tensor: Tensor) -> Tensor:
        """Twice the input."""
        self.inputs.append((model, tensor))
        doubled = 2 * np.frombuffer(tensor.data, np.float32)
        return Tensor("y", "FP32", tensor.shape, doubled.tobytes())

    def statistics(self, model: str) -> dict[str, Any]:
        sizes = [t.shape[0] if MODELS[name]["batch"] else 1 for name, t in list(self.inputs)]
        spent = {"count": len(sizes), "ns": len(sizes) * 1_000_000}
        parts = ("success", "queue", "compute_input", "compute_infer", "compute_output")
        return {
            "name": model,
            "version": "1",
            "inference_count": sum(sizes),
            "execution_count": len(sizes),
            "inference_stats": {"fail": {"count": 0, "ns": 0}, **dict.fromkeys(parts, spent)},
        }


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    seen: V2Server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one write for each answer
    disable_nagle_algorithm = True
    server: _Http

    def do_GET(self) -> None:
        _, _, model, *rest = (*self.path.strip("/").split("/"), "", "")
        if model not in MODELS:
            self._json({"error": f"unknown model {model}"}, 404)
            return
        first, facts = rest[0], MODELS[model]
        if first == "ready":
            self._answer(b"")
        elif first == "config":
            self._json({"max_batch_size": facts["batch"]})
        elif first == "stats":
            self._json({"model_stats": [self.server.seen.statistics(model)]})
        else:
            shape = [-1, *facts["shape"]] if facts["batch"] else facts["shape"]
            tensors = [{"name": name, "datatype": "FP32", "shape": shape} for name in "xy"]
            self._json({"name": model, "inputs": tensors[:1], "outputs": tensors[1:]})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        model = self.path.split("/")[3]
        if model == "broken":
            self._json({"error": "out of order"}, 500)
            return
        length = int(self.headers["Inference-Header-Content-Length"])
        [asked] = json.loads(body[:length])["inputs"]
        tensor = Tensor(asked["name"], asked["datatype"], tuple(asked["shape"]), body[length:])
        headers, content = v2_http.infer_body([self.server.seen.infer(model, tensor)])
        outputs = content.replace(b'"inputs"', b'"outputs"')
        header = int(headers["Inference-Header-Content-Length"]) + 1
        self._answer(outputs, {"Inference-Header-Content-Length": str(header)})

    def _json(self, content: object, status: int = 200) -> None:
        self._answer(json.dumps(content).encode(), status=status)

    def _answer(
        self, body: bytes, headers: dict[str, str] | None = None, *, status: int = 200
    ) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""


@contextmanager
def serving() -> Iterator[V2Server]:
    """A server on a free port of this machine, gone when the block ends."""
    with _Http(("127.0.0.1", 0), _Handler) as http:
        http.seen = V2Server(Endpoint("127.0.0.1", http.server_address[1]))
        with answering.serving(http):
            yield http.seen
