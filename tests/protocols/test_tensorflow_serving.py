"""TensorFlow Serving's Predict: messages that Google's protobuf reads, JSON as the manual says."""

import json

import numpy as np
import pytest

from tests.load.descriptors import message_classes
from tests.refusals import refused
from tuner.load.profile import Endpoint
from tuner.load.requests import GrpcCall, Tensor, TensorSpec
from tuner.protocols import tensorflow_serving
from tuner.protocols.checks import OutputsCheck
from tuner.protocols.tensorflow_serving import RestReader, TensorFlowOptions
from tuner.protocols.tensors.inputs import generate_inputs
from tuner.protocols.tensors.values import NUMBER_TYPES

ENDPOINT = Endpoint("127.0.0.1", 8501)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
# tensorflow_serving/apis/{predict,model}.proto, tensorflow/core/framework/tensor*.proto and
# google/protobuf/wrappers.proto, in one package: names of packages are not on the wire.
MESSAGES = message_classes(
    "tensorflow.serving",
    {
        "Int64Value": "int64 value = 1;",
        "ModelSpec": "string name = 1; Int64Value version = 2; string signature_name = 3;",
        "Dim": "int64 size = 1; string name = 2;",
        "TensorShapeProto": "repeated Dim dim = 2; bool unknown_rank = 3;",
        "TensorProto": """
            int32 dtype = 1;
            TensorShapeProto tensor_shape = 2;
            int32 version_number = 3;
            bytes tensor_content = 4;
            repeated float float_val = 5;
            repeated double double_val = 6;
            repeated int32 int_val = 7;
            repeated bytes string_val = 8;
            repeated int64 int64_val = 10;
            repeated bool bool_val = 11;
            repeated int32 half_val = 13;
            repeated uint32 uint32_val = 16;
            repeated uint64 uint64_val = 17;
        """,
        "PredictRequest": """
            ModelSpec model_spec = 1;
            map<string, TensorProto> inputs = 2;
            repeated string output_filter = 3;
        """,
        "PredictResponse": "map<string, TensorProto> outputs = 1; ModelSpec model_spec = 2;",
    },
)
FLOATS = Tensor("x", "FP32", (2, 2), np.array([1, 2, 3, 4], dtype="<f4").tobytes())
STRINGS = Tensor("s", "BYTES", (2,), b"\x02\0\0\0\xff\xfe\0\0\0\0")


def body_of(*inputs: Tensor, options: TensorFlowOptions) -> object:
    request = tensorflow_serving.prepare_rest(ENDPOINT, "m", inputs, options)
    return json.loads(request.partition(b"\r\n\r\n")[2])


def output(name: str, dtype: int, shape: tuple[int, ...], **values: object) -> bytes:
    """A PredictResponse with one output."""
    shape_proto = MESSAGES["TensorShapeProto"](dim=[MESSAGES["Dim"](size=n) for n in shape])
    tensor = MESSAGES["TensorProto"](dtype=dtype, tensor_shape=shape_proto, **values)
    response: bytes = MESSAGES["PredictResponse"](outputs={name: tensor}).SerializeToString()
    return response


def test_rest_by_column() -> None:
    """Each input under its name, strings in base64; the default signature serves."""
    request = tensorflow_serving.prepare_rest(ENDPOINT, "a model", [FLOATS, STRINGS])
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/models/a%20model:predict HTTP/1.1\r\n")
    assert head.endswith(b"\r\nContent-Type: application/json")
    assert json.loads(body) == {
        "inputs": {"x": [[1.0, 2.0], [3.0, 4.0]], "s": [{"b64": "//4="}, {"b64": ""}]}
    }


def test_rest_by_row() -> None:
    """One object for each row; signature, version and headers can be chosen."""
    options = TensorFlowOptions(
        signature="sign", version="3", by_row=True, headers={"Authorization": "x"}
    )
    assert body_of(FLOATS, STRINGS, options=options) == {
        "signature_name": "sign",
        "instances": [
            {"x": [1.0, 2.0], "s": {"b64": "//4="}},
            {"x": [3.0, 4.0], "s": {"b64": ""}},
        ],
    }
    head = tensorflow_serving.prepare_rest(ENDPOINT, "m", [FLOATS], options)
    assert head.startswith(b"POST /v1/models/m/versions/3:predict HTTP/1.1\r\n")
    assert b"\r\nAuthorization: x\r\n" in head


@pytest.mark.parametrize("shapes", [((2,), (3,)), ((), ()), ((0,), (0,))])
def test_rows_need_one_first_dimension(shapes: tuple[tuple[int, ...], ...]) -> None:
    """Otherwise there is no telling what a row is."""
    specs = [TensorSpec(f"x{n}", "INT8", shapes[n]) for n in (0, 1)]
    inputs = generate_inputs(specs, seed=1)
    with refused(
        "inputs can only be sent by row if all have the same first dimension, but got "
        f"`x0` {list(shapes[0])}, `x1` {list(shapes[1])}",
        "send them by column",
    ):
        body_of(*inputs, options=TensorFlowOptions(by_row=True))


@pytest.mark.parametrize("datatype", ["FP16", "BF16", "UINT16"])
def test_types_that_rest_does_not_know(datatype: str) -> None:
    """The manual lists the types that JSON has."""
    with refused(
        f"input `x` has the type {datatype}, which TensorFlow Serving does not take in JSON",
        "choose gRPC",
    ):
        body_of(Tensor("x", datatype, (1,), b"\0\0"), options=TensorFlowOptions())


def test_what_only_the_other_protocol_has() -> None:
    """REST chooses no outputs, gRPC has no rows, and its versions are numbers."""
    with refused(
        "outputs cannot be chosen over TensorFlow Serving's REST API",
        "choose gRPC, or leave them out",
    ):
        body_of(FLOATS, options=TensorFlowOptions(outputs=("y",)))
    with refused(
        "rows are a form of TensorFlow Serving's REST API", "choose it, or leave them out"
    ):
        tensorflow_serving.prepare_grpc("m", [FLOATS], TensorFlowOptions(by_row=True))
    with refused("TensorFlow Serving has no version `new`", "versions are numbers, such as 3"):
        tensorflow_serving.prepare_grpc("m", [FLOATS], TensorFlowOptions(version="new"))


def test_the_message_is_a_predict_request() -> None:
    """Numbers are the tensor's content, strings are values."""
    options = TensorFlowOptions(version="300", signature="sign", outputs=("y", "z"))
    found = MESSAGES["PredictRequest"].FromString(
        tensorflow_serving.prepare_grpc("m", [FLOATS, STRINGS], options)
    )
    shapes = [
        MESSAGES["TensorShapeProto"](dim=[MESSAGES["Dim"](size=n) for n in shape])
        for shape in ((2, 2), (2,))
    ]
    tensor = MESSAGES["TensorProto"]
    assert found == MESSAGES["PredictRequest"](
        model_spec=MESSAGES["ModelSpec"](
            name="m", version=MESSAGES["Int64Value"](value=300), signature_name="sign"
        ),
        inputs={
            "x": tensor(dtype=1, tensor_shape=shapes[0], tensor_content=FLOATS.data),
            "s": tensor(dtype=7, tensor_shape=shapes[1], string_val=[b"\xff\xfe", b""]),
        },
        output_filter=["y", "z"],
    )


def test_a_request_without_a_version_asks_for_the_newest() -> None:
    """Nothing but the name is said."""
    found = MESSAGES["PredictRequest"].FromString(tensorflow_serving.prepare_grpc("m", []))
    assert found == MESSAGES["PredictRequest"](model_spec=MESSAGES["ModelSpec"](name="m"))


def test_the_method_is_predict() -> None:
    """Custom headers are metadata, in lower case."""
    options = TensorFlowOptions(headers={"Authorization": "x"})
    assert tensorflow_serving.grpc_call(options) == GrpcCall(
        "/tensorflow.serving.PredictionService/Predict", {"authorization": "x"}
    )


@pytest.mark.parametrize(
    ("datatype", "dtype", "field", "values", "kind"),
    [  # the numbers are those of tensorflow/core/framework/types.proto
        ("FP32", 1, "float_val", [1.5, -2.0], "<f4"),
        ("FP64", 2, "double_val", [1.5, -2.0], "<f8"),
        ("INT32", 3, "int_val", [-(2**31), 1], "<i4"),
        ("UINT8", 4, "int_val", [255, 1], "u1"),
        ("INT16", 5, "int_val", [-1, 1], "<i2"),
        ("INT8", 6, "int_val", [-1, 1], "i1"),
        ("INT64", 9, "int64_val", [-(2**63), 1], "<i8"),
        ("BOOL", 10, "bool_val", [True, False], "?"),
        ("BF16", 14, "half_val", [0x3F80, 0xC000], "<u2"),
        ("UINT16", 17, "int_val", [2**16 - 1, 1], "<u2"),
        ("FP16", 19, "half_val", [0x3C00, 0xC000], "<u2"),
        ("UINT32", 22, "uint32_val", [2**32 - 1, 1], "<u4"),
        ("UINT64", 23, "uint64_val", [2**64 - 1, 1], "<u8"),
    ],
)
def test_values_are_read_in_either_form(
    datatype: str, dtype: int, field: str, values: list[float], kind: str
) -> None:
    """TensorFlow Serving answers with values, or with content if it is told so."""
    data = np.array(values, dtype=kind).tobytes()
    for form in ({field: values}, {"tensor_content": data}):
        response = output("y", dtype, (2, 1), **form)
        assert tensorflow_serving.read_grpc_response(b"", response) == (
            Tensor("y", datatype, (2, 1), data),
        )


def test_strings_are_read() -> None:
    """Whatever bytes they hold."""
    response = output("s", 7, (2,), string_val=[b"\xff\xfe", b""])
    [found] = tensorflow_serving.read_grpc_response(b"", response)
    assert found == STRINGS


def test_an_unknown_type_is_refused() -> None:
    """DT_COMPLEX64 is none of ours."""
    tensor = MESSAGES["TensorProto"](dtype=8)
    response = MESSAGES["PredictResponse"](outputs={"y": tensor}).SerializeToString()
    with pytest.raises(ValueError, match="output `y` has the unknown type 8"):
        tensorflow_serving.read_grpc_response(b"", response)


@pytest.mark.parametrize(
    ("specs", "response"),
    [
        ([FLOATS], {"outputs": [[1, 2.0], [3, 4]]}),
        ([FLOATS], {"predictions": [[1, 2.0], [3, 4]]}),
        ([STRINGS], {"outputs": [{"b64": "//4="}, ""]}),
        ([FLOATS, STRINGS], {"outputs": {"s": [{"b64": "//4="}, ""], "x": [[1, 2], [3, 4]]}}),
        (
            [FLOATS, STRINGS],
            {"predictions": [{"x": [1, 2], "s": {"b64": "//4="}}, {"x": [3, 4], "s": ""}]},
        ),
    ],
)
def test_rest_outputs_are_read(specs: list[Tensor], response: object) -> None:
    """By column or by row; the only output of a model has no name there."""
    reader = RestReader(tuple(TensorSpec(each.name, each.datatype, ()) for each in specs))
    assert reader(HEAD, json.dumps(response).encode()) == tuple(specs)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"oops", "Expecting value"),
        (b"{}", "not a TensorFlow Serving response: KeyError"),
        (b"[]", "not a TensorFlow Serving response: TypeError"),
        (b'{"outputs":{"y":[1]}}', "not a TensorFlow Serving response: KeyError"),
        (b'{"predictions":1}', "not a TensorFlow Serving response: TypeError"),
        (b'{"outputs":{"b64":1}}', "not a TensorFlow Serving response: TypeError"),
        (b'{"outputs":[[1],[2,3]]}', "`x` of type FP32 cannot hold"),
    ],
)
def test_what_is_no_rest_response_is_refused(body: bytes, complaint: str) -> None:
    """Anything else is a ValueError that says what is wrong."""
    with pytest.raises(ValueError, match=complaint):
        RestReader((TensorSpec("x", "FP32", ()),))(HEAD, body)


def test_all_types_go_there_and_back() -> None:
    """What a server echoes is what was sent."""
    inputs = generate_inputs([TensorSpec(n, n, (2, 3)) for n in (*NUMBER_TYPES, "BYTES")], seed=1)
    sent = MESSAGES["PredictRequest"].FromString(tensorflow_serving.prepare_grpc("m", inputs))
    echoed = MESSAGES["PredictResponse"](outputs=sent.inputs).SerializeToString()
    check = OutputsCheck(tensorflow_serving.read_grpc_response, (inputs,))
    assert check.fault(0, b"", echoed) == ""
