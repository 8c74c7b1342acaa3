"""The V2 protocol over gRPC: messages that tritonclient and a real Triton agree with."""

import json
import struct
from dataclasses import replace

import grpc
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput, service_pb2

from tests.load.triton_fixture import TYPES, TritonServer, shared_region, triton_server
from tests.protocols.grpc_service import serving_method
from tests.refusals import refused
from tuner.load.requests import GrpcCall, Tensor, TensorSpec
from tuner.protocols import v2_grpc
from tuner.protocols.tensors.inputs import generate_inputs
from tuner.protocols.v2 import SharedTensor, V2Options

__all__ = ["triton_server"]

FLOATS = Tensor("in_FP32", "FP32", (1, 2), struct.pack("<2f", 1.5, -2))
STRINGS = Tensor("in_BYTES", "BYTES", (1, 1), b"\x02\0\0\0\xff\xfe")
SHARED = SharedTensor("in_FP32", "FP32", (1, 2), "region", 64, 8)
STREAM = v2_grpc.StreamedResponse()


def unary(server: TritonServer, message: bytes) -> tuple[Tensor, ...]:
    send = server.channel.unary_unary(v2_grpc.call().path, None, None)
    return v2_grpc.read_response(b"", send(message, timeout=30))


def streamed(server: TritonServer, message: bytes) -> list[bytes]:
    call = v2_grpc.call(V2Options(streaming=True))
    send = server.channel.stream_stream(call.path, None, None)
    return list(send(iter([message]), timeout=30))


def repeat(times: int) -> bytes:
    tensor = Tensor("times", "INT32", (1,), struct.pack("<i", times))
    return v2_grpc.prepare("repeat_numbers", [tensor], V2Options(streaming=True))


def test_a_request_is_that_of_tritonclient() -> None:
    """Tensors, outputs, parameters and shared memory, as the official client writes them."""
    first, second, third = (
        InferInput("in_FP32", [1, 2], "FP32"),
        InferInput("in_BYTES", [1, 1], "BYTES"),
        InferInput("other", [0, 300], "INT8"),
    )
    first.set_data_from_numpy(np.array([[1.5, -2]], dtype=np.float32))
    second.set_data_from_numpy(np.array([[b"\xff\xfe"]], dtype=np.object_))
    third.set_shared_memory("region", 8, offset=64)
    sink = InferRequestedOutput("b")
    sink.set_shared_memory("region", 16)
    parameters: dict[str, bool | int | float | str] = {"i": -3, "b": True, "s": "x", "f": 1.5}
    seen: list[bytes] = []

    def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
        del context
        seen.append(request)
        return b""

    method = serving_method("/inference.GRPCInferenceService/ModelInfer", answer)
    with method as address, InferenceServerClient(address) as client:
        client.infer(
            "echo",
            [first, second, third],
            model_version="2",
            outputs=[InferRequestedOutput("a"), sink],
            parameters=parameters,
        )
    options = V2Options(
        version="2",
        parameters=parameters,
        outputs=("a", SharedTensor("b", "", (), "region", 0, 16)),
    )
    shared = SharedTensor("other", "INT8", (0, 300), "region", 64, 8)
    ours = v2_grpc.prepare("echo", [FLOATS, STRINGS, shared], options)
    assert [service_pb2.ModelInferRequest.FromString(ours)] == [
        service_pb2.ModelInferRequest.FromString(each) for each in seen
    ]


def test_the_methods_are_those_of_the_service() -> None:
    """Metadata go along in lower case; only a stream needs a rule."""
    options = V2Options(headers={"Authorization": "x"})
    service = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    methods = [f"/{service.full_name}/{name}" for name in ("ModelInfer", "ModelStreamInfer")]
    assert [v2_grpc.call(options), v2_grpc.call(replace(options, streaming=True))] == [
        GrpcCall(methods[0], {"authorization": "x"}),
        GrpcCall(methods[1], {"authorization": "x"}, STREAM),
    ]


@pytest.mark.parametrize(
    "options",
    [V2Options(json_inputs=True), V2Options(json_outputs=True), V2Options(compression="gzip")],
)
def test_what_grpc_does_not_carry_is_said(options: V2Options) -> None:
    """These are forms of HTTP."""
    with refused(
        "tensors in JSON, and compressed requests, are forms of V2 inference over HTTP",
        "choose HTTP, or leave them out",
    ):
        v2_grpc.prepare("m", [FLOATS], options)


def test_a_parameter_has_at_most_64_bits() -> None:
    """The protocol has no larger integers."""
    with refused(
        f"the request parameter `big` is {2**63}, which has more than 64 bits",
        "send it as a string, or as a float",
    ):
        v2_grpc.prepare("m", [FLOATS], V2Options(parameters={"big": 2**63}))


@pytest.mark.parametrize("correlation_id", [1, 2**63 - 1])
def test_a_step_has_room_for_any_id(correlation_id: int) -> None:
    """The id and the flags are parameters, beside those of the request."""
    step = v2_grpc.sequence_step("m", [FLOATS], V2Options(parameters={"a": True}))
    assert set(step.forms) == {(f, t) for f in (False, True) for t in (False, True)}
    for (first, last), (before, after) in step.forms.items():
        message = before + v2_grpc.encode_id(correlation_id) + after
        expected = service_pb2.ModelInferRequest.FromString(
            v2_grpc.prepare("m", [FLOATS], V2Options(parameters={"a": True}))
        )
        expected.parameters["sequence_id"].int64_param = correlation_id
        expected.parameters["sequence_start"].bool_param = first
        expected.parameters["sequence_end"].bool_param = last
        assert service_pb2.ModelInferRequest.FromString(message) == expected


@pytest.mark.parametrize(
    ("datatype", "field", "values", "data"),
    [
        ("BOOL", "bool", [True, False], b"\1\0"),
        ("INT8", "int", [-1, 127], b"\xff\x7f"),
        ("INT16", "int", [-1, 2], b"\xff\xff\2\0"),
        ("INT32", "int", [-(2**31), 2], struct.pack("<2i", -(2**31), 2)),
        ("INT64", "int64", [-(2**63), 2], struct.pack("<2q", -(2**63), 2)),
        ("UINT8", "uint", [0, 255], b"\0\xff"),
        ("UINT16", "uint", [0, 2**16 - 1], b"\0\0\xff\xff"),
        ("UINT32", "uint", [0, 2**32 - 1], struct.pack("<2I", 0, 2**32 - 1)),
        ("UINT64", "uint64", [0, 2**64 - 1], struct.pack("<2Q", 0, 2**64 - 1)),
        ("FP32", "fp32", [1.5, -2.5], struct.pack("<2f", 1.5, -2.5)),
        ("FP64", "fp64", [1.5, -2.5], struct.pack("<2d", 1.5, -2.5)),
        ("BYTES", "bytes", [b"", b"\xff"], b"\0\0\0\0\x01\0\0\0\xff"),
    ],
)
def test_typed_contents_are_read(
    datatype: str, field: str, values: list[object], data: bytes
) -> None:
    """Servers other than Triton may answer with values in place of raw bytes."""
    response = service_pb2.ModelInferResponse()
    output = response.outputs.add(name="y", datatype=datatype, shape=[2])
    getattr(output.contents, f"{field}_contents").extend(values)
    outputs = v2_grpc.read_response(b"", response.SerializeToString())
    assert outputs == (Tensor("y", datatype, (2,), data),)


def test_an_empty_output_is_an_output() -> None:
    """Only where there should be bytes and are none, they are elsewhere: in shared memory."""
    response = service_pb2.ModelInferResponse(raw_output_contents=[b"", b""])
    for name, length in (("empty", 0), ("shared", 3)):
        response.outputs.add(name=name, datatype="FP32", shape=[length])
    outputs = v2_grpc.read_response(b"", response.SerializeToString())
    assert outputs == (Tensor("empty", "FP32", (0,), b""),)


def test_what_is_no_response_is_refused() -> None:
    """Raw contents for some of the outputs only, types without contents, and no protobuf."""
    response = service_pb2.ModelInferResponse(raw_output_contents=[b""])
    with pytest.raises(ValueError, match="0 outputs came with 1 contents"):
        v2_grpc.read_response(b"", response.SerializeToString())
    response = service_pb2.ModelInferResponse()
    response.outputs.add(name="y", datatype="FP16", shape=[2])
    with pytest.raises(ValueError, match="output `y` of type `FP16` has no raw content"):
        v2_grpc.read_response(b"", response.SerializeToString())
    with pytest.raises(ValueError, match="a protobuf varint does not end"):
        v2_grpc.read_response(b"", b"\x08")


@given(st.binary(max_size=60))
def test_garbage_on_a_stream_is_a_bad_response(message: bytes) -> None:
    """The rule never raises, and calls nothing well that is no message."""
    assert STREAM.ends(message) in ("bad_response", "stream_error", "", None)
    assert STREAM.ends(b"\x08" + b"\xff" * 10) == "bad_response"


def test_triton_reads_all_datatypes(triton_server: TritonServer) -> None:
    """Several inputs and outputs at once, without a change of a bit."""
    inputs = generate_inputs([TensorSpec(f"in_{n}", n, (2, 3)) for n in TYPES], seed=1)
    options = V2Options(outputs=tuple(f"out_{name}" for name in TYPES))
    outputs = unary(triton_server, v2_grpc.prepare("typed", inputs, options))
    assert {each.name: each for each in outputs} == {
        f"out_{each.datatype}": replace(each, name=f"out_{each.datatype}") for each in inputs
    }


def test_triton_reads_parameters(triton_server: TritonServer) -> None:
    """All kinds of request parameters reach the model, and all outputs come if none is named."""
    parameters: dict[str, bool | int | float | str] = {"a": True, "b": -3, "c": 1.5, "d": "x"}
    message = v2_grpc.prepare("typed", [STRINGS], V2Options(parameters=parameters, version="1"))
    outputs = {each.name: each for each in unary(triton_server, message)}
    assert outputs["out_BYTES"].data == STRINGS.data
    assert json.loads(outputs["parameters"].data[4:]) == parameters


def test_triton_refuses_a_version_that_it_does_not_have(triton_server: TritonServer) -> None:
    """The version of the message is the one that is asked for."""
    with pytest.raises(grpc.RpcError, match="unknown model"):
        unary(triton_server, v2_grpc.prepare("typed", [STRINGS], V2Options(version="9")))


def test_triton_plays_sequences(triton_server: TritonServer) -> None:
    """Start, end and correlation id reach the model, unary and on a stream."""
    states = []
    for streaming, correlation_id in ((False, 5), (True, 2**63 - 1)):
        options = V2Options(streaming=streaming)
        step = v2_grpc.sequence_step("counter", [Tensor("x", "INT32", (1,), b"1234")], options)
        for flags in ((True, False), (False, False), (False, True)):
            before, after = step.forms[flags]
            message = before + v2_grpc.encode_id(correlation_id) + after
            if streaming:
                [response] = streamed(triton_server, message)
                assert STREAM.ends(response) == ""
                [state] = v2_grpc.read_streamed_response(b"", response)
            else:
                [state] = unary(triton_server, message)
            states.append(np.frombuffer(state.data, "<u8").tolist())
    assert states == [
        [correlation_id, int(number == 1), int(number == 3), number]
        for correlation_id in (5, 2**63 - 1)
        for number in (1, 2, 3)
    ]


def test_triton_reads_and_writes_shared_memory(triton_server: TritonServer) -> None:
    """Inputs lie at an offset, an output is written to another one; others come as ever."""
    with shared_region(triton_server.http) as (region, memory):
        memory[64:72] = FLOATS.data
        source = SharedTensor("in_FP32", "FP32", (1, 2), region, 64, 8)
        sink = SharedTensor("out_FP32", "", (), region, 128, 8)
        options = V2Options(outputs=(sink, "out_BYTES"))
        outputs = unary(triton_server, v2_grpc.prepare("typed", [source, STRINGS], options))
        assert outputs == (Tensor("out_BYTES", "BYTES", (1, 1), STRINGS.data),)
        assert bytes(memory[128:136]) == FLOATS.data


@pytest.mark.parametrize("times", [0, 1, 3])
def test_a_decoupled_model_answers_as_often_as_it_likes(
    triton_server: TritonServer, times: int
) -> None:
    """The last message, which is empty, ends the request, even one without any answer."""
    messages = streamed(triton_server, repeat(times))
    outputs = [v2_grpc.read_streamed_response(b"", each) for each in messages]
    numbers = [struct.pack("<i", number) for number in range(times)]
    assert [[each.data for each in some] for some in outputs] == [*([n] for n in numbers), []]
    assert [STREAM.ends(message) for message in messages] == [None] * times + [""]


def test_an_error_on_a_stream_is_no_good_end(triton_server: TritonServer) -> None:
    """Whether the model gives it after an answer, or the server in place of one."""
    messages = streamed(triton_server, repeat(-1))
    assert [STREAM.ends(message) for message in messages] == [None, "stream_error", ""]
    unknown = v2_grpc.prepare("nobody", [FLOATS], V2Options(streaming=True))
    assert [STREAM.ends(each) for each in streamed(triton_server, unknown)] == ["stream_error"]


def test_a_model_that_is_not_decoupled_answers_once_on_a_stream(
    triton_server: TritonServer,
) -> None:
    """The first message is the last one, as it is where a server marks none."""
    message = v2_grpc.prepare("typed", [FLOATS], V2Options(streaming=True, outputs=("out_FP32",)))
    [response] = streamed(triton_server, message)
    [output] = v2_grpc.read_streamed_response(b"", response)
    assert (STREAM.ends(response), output.data) == ("", FLOATS.data)
    assert STREAM.ends(service_pb2.ModelStreamInferResponse().SerializeToString()) == ""
