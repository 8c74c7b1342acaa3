"""A server that speaks TensorFlow Serving's `Predict`, over gRPC and as REST: y = 2 x in FP32.

No package registry has TensorFlow Serving itself. This follows its prediction_service.proto,
predict.proto and model.proto, TensorFlow's tensor.proto and tensor_shape.proto, and api_rest.md.
Outputs come as `float_val`, and a missing model in the words, that the original uses.
"""

import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt

from runners.ports import LOCAL_HOST
from tests.servers.messages import message_classes

MODEL, INPUT, OUTPUT = "double", "x", "y"
DT_FLOAT = 1
METHOD = "/tensorflow.serving.PredictionService/Predict"
_PREDICT_PATH = re.compile(r"/v1/models/([^/:]+):predict")

_MESSAGES = message_classes(
    "tensorflow.serving",
    {
        "Dim": ["int64 size = 1"],
        "TensorShapeProto": ["repeated Dim dim = 2"],
        "TensorProto": [
            "int32 dtype = 1",  # an enumeration, which is the same on the wire
            "TensorShapeProto tensor_shape = 2",
            "bytes tensor_content = 4",
            "repeated float float_val = 5",
        ],
        "ModelSpec": ["string name = 1", "string signature_name = 3"],
        "PredictRequest": ["ModelSpec model_spec = 1", "map<string, TensorProto> inputs = 2"],
        "PredictResponse": ["map<string, TensorProto> outputs = 1", "ModelSpec model_spec = 2"],
    },
)
PredictRequest = _MESSAGES["PredictRequest"]
PredictResponse = _MESSAGES["PredictResponse"]


@dataclass(frozen=True)
class TensorFlowServing:
    """Where it listens; its model is `MODEL`."""

    host: str
    rest_port: int
    grpc_port: int

    @property
    def predict_url(self) -> str:
        return f"http://{self.host}:{self.rest_port}/v1/models/{MODEL}:predict"

    @property
    def grpc_target(self) -> str:
        return f"{self.host}:{self.grpc_port}"


@contextmanager
def serving() -> Iterator[TensorFlowServing]:
    """The server, in threads of this process."""
    with _grpc_server() as grpc_port, _rest_server() as rest_port:
        yield TensorFlowServing(LOCAL_HOST, rest_port, grpc_port)


@contextmanager
def _grpc_server() -> Iterator[int]:
    predict = grpc.unary_unary_rpc_method_handler(
        _predict,
        request_deserializer=PredictRequest.FromString,
        response_serializer=PredictResponse.SerializeToString,
    )
    _, service, method = METHOD.split("/")
    with ThreadPoolExecutor() as threads:
        server = grpc.server(threads)
        handler = grpc.method_handlers_generic_handler(service, {method: predict})
        server.add_generic_rpc_handlers([handler])
        port = server.add_insecure_port(f"{LOCAL_HOST}:0")
        server.start()
        try:
            yield port
        finally:
            server.stop(grace=None).wait()


def _predict(request: Any, context: grpc.ServicerContext) -> Any:
    if request.model_spec.name != MODEL:
        context.abort(grpc.StatusCode.NOT_FOUND, _unknown(request.model_spec.name))  # raises
    try:
        x = _read(request.inputs[INPUT])
    except ValueError as error:
        return context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
    response = PredictResponse()
    response.model_spec.name = MODEL
    y = response.outputs[OUTPUT]
    y.dtype = DT_FLOAT
    for size in x.shape:
        y.tensor_shape.dim.add(size=size)
    y.float_val.extend((2 * x).ravel().tolist())
    return response


def _read(tensor: Any) -> npt.NDArray[np.float32]:
    """Its values, from either form.

    Raises:
        ValueError: It is not FP32, or not as large as its shape.
    """
    if tensor.dtype != DT_FLOAT:
        raise ValueError(f"input `{INPUT}` must be DT_FLOAT, but has type {tensor.dtype}")
    values = (
        np.frombuffer(tensor.tensor_content, "<f4") if tensor.tensor_content else tensor.float_val
    )
    return np.array(values, dtype="<f4").reshape([dim.size for dim in tensor.tensor_shape.dim])


@contextmanager
def _rest_server() -> Iterator[int]:
    with ThreadingHTTPServer((LOCAL_HOST, 0), _RestHandler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


class _RestHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        match = _PREDICT_PATH.fullmatch(self.path)
        if not match:
            self._answer(HTTPStatus.NOT_FOUND, {"error": f"Malformed request: POST {self.path}"})
        elif match[1] != MODEL:
            self._answer(HTTPStatus.NOT_FOUND, {"error": _unknown(match[1])})
        else:
            try:
                self._answer(HTTPStatus.OK, _rest_answer(json.loads(body)))
            except (ValueError, TypeError, KeyError) as error:
                self._answer(HTTPStatus.BAD_REQUEST, {"error": repr(error)})

    def _answer(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _rest_answer(request: dict[str, Any]) -> dict[str, Any]:
    """In rows or in columns, as it was asked; the name of a single output is left out."""
    if "instances" in request:
        rows = request["instances"]
        return {"predictions": _double([r[INPUT] if isinstance(r, dict) else r for r in rows])}
    x = request["inputs"]
    return {"outputs": _double(x[INPUT] if isinstance(x, dict) else x)}


def _double(x: Any) -> Any:
    return (2 * np.array(x, dtype=np.float32)).tolist()


def _unknown(model: str) -> str:
    return f"Servable not found for request: Latest({model})"
