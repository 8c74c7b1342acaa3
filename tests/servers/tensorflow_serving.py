"""A server that speaks TensorFlow Serving's `Predict`, over gRPC and as REST: y = 2 x in FP32.

No package registry has TensorFlow Serving itself. This follows its prediction_service.proto,
predict.proto, get_model_metadata.proto and model.proto, TensorFlow's tensor.proto,
tensor_shape.proto and meta_graph.proto, and google/protobuf/any.proto.
Outputs come as `float_val`, and a missing model in the words, that the original uses.
"""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt

from runners.ports import LOCAL_HOST
from tests.servers.certificates import Certificates
from tests.servers.messages import message_classes
from tests.servers.tensorflow_model_server import Counters, Handler, Model, Server
from tests.targets.answering import serving as in_a_thread
from tests.targets.answering import serving_grpc

MODEL, INPUT, OUTPUT = "double", "x", "y"
SIGNATURE = "serving_default"
SIZES = (-1, 4)  # as its metadata says; it takes any shape
DT_FLOAT = 1
METHOD = "/tensorflow.serving.PredictionService/Predict"
METADATA_METHOD = "/tensorflow.serving.PredictionService/GetModelMetadata"
_REST_THREADS = 16

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
        "GetModelMetadataRequest": [
            "ModelSpec model_spec = 1",
            "repeated string metadata_field = 2",
        ],
        "Any": ["string type_url = 1", "bytes value = 2"],
        "GetModelMetadataResponse": [
            "ModelSpec model_spec = 1",
            "map<string, Any> metadata = 2",
        ],
        "TensorInfo": [
            "string name = 1",
            "int32 dtype = 2",
            "TensorShapeProto tensor_shape = 3",
        ],
        "SignatureDef": [
            "map<string, TensorInfo> inputs = 1",
            "map<string, TensorInfo> outputs = 2",
            "string method_name = 3",
        ],
        "SignatureDefMap": ["map<string, SignatureDef> signature_def = 1"],
    },
)
PredictRequest = _MESSAGES["PredictRequest"]
PredictResponse = _MESSAGES["PredictResponse"]
GetModelMetadataRequest = _MESSAGES["GetModelMetadataRequest"]
GetModelMetadataResponse = _MESSAGES["GetModelMetadataResponse"]


@dataclass(frozen=True)
class TensorFlowServing:
    """Where it listens; its model is `MODEL`."""

    host: str
    rest_port: int
    grpc_port: int

    @property
    def grpc_target(self) -> str:
        return f"{self.host}:{self.grpc_port}"


@contextmanager
def serving(certificates: Certificates | None = None) -> Iterator[TensorFlowServing]:
    """The server, in threads of this process; with certificates it speaks TLS."""
    with _grpc_server(certificates) as grpc_port, _rest_server(certificates) as rest_port:
        yield TensorFlowServing(LOCAL_HOST, rest_port, grpc_port)


@contextmanager
def _grpc_server(certificates: Certificates | None) -> Iterator[int]:
    predict = grpc.unary_unary_rpc_method_handler(
        _predict,
        request_deserializer=PredictRequest.FromString,
        response_serializer=PredictResponse.SerializeToString,
    )
    metadata = grpc.unary_unary_rpc_method_handler(
        _metadata,
        request_deserializer=GetModelMetadataRequest.FromString,
        response_serializer=GetModelMetadataResponse.SerializeToString,
    )
    credentials = None
    if certificates:
        pair = certificates.server_key.read_bytes(), certificates.server_certificate.read_bytes()
        credentials = grpc.ssl_server_credentials([pair])
    _, service, method = METHOD.split("/")
    handlers = {method: predict, METADATA_METHOD.rpartition("/")[2]: metadata}
    with serving_grpc(service, handlers, f"{LOCAL_HOST}:0", credentials) as port:
        yield port


def _metadata(request: Any, context: grpc.ServicerContext) -> Any:
    if request.model_spec.name != MODEL:
        context.abort(grpc.StatusCode.NOT_FOUND, _unknown(request.model_spec.name))  # raises
    if list(request.metadata_field) != ["signature_def"]:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "metadata_field must be signature_def")
    signatures = _MESSAGES["SignatureDefMap"]()
    signature = signatures.signature_def[SIGNATURE]
    signature.method_name = "tensorflow/serving/predict"
    for tensors, name in ((signature.inputs, INPUT), (signature.outputs, OUTPUT)):
        tensors[name].name = f"{name}:0"
        tensors[name].dtype = DT_FLOAT
        for size in SIZES:
            tensors[name].tensor_shape.dim.add(size=size)
    response = GetModelMetadataResponse()
    response.model_spec.name = MODEL
    content = response.metadata["signature_def"]
    content.type_url = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    content.value = signatures.SerializeToString()
    return response


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
def _rest_server(certificates: Certificates | None) -> Iterator[int]:
    """The REST of the program of tensorflow_model_server.py, with a model that takes no time."""
    model = Model(seconds=0.0, sizes=SIZES)
    flags = {"model_name": MODEL, "monitoring_config_file": ""}
    threads = threading.Semaphore(_REST_THREADS)

    class RestHandler(Handler):
        serving = Server(flags, model, "1", Counters(), model.run, threads)

    with ThreadingHTTPServer((LOCAL_HOST, 0), RestHandler) as server:
        if certificates is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificates.server_certificate, certificates.server_key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        with in_a_thread(server):
            yield server.server_address[1]


def _unknown(model: str) -> str:
    return f"Servable not found for request: Latest({model})"
