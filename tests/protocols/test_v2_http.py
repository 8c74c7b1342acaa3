"""The V2 protocol over HTTP: requests that a real Triton reads, outputs that we read."""

import gzip
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.load.exchange import exchange
from tests.load.triton_fixture import TYPES, TritonServer, shared_region, triton_server
from tests.refusals import refused
from tuner.load.profile import Endpoint
from tuner.load.requests import Tensor, TensorSpec
from tuner.protocols import v2_http
from tuner.protocols.checks import OutputsCheck
from tuner.protocols.tensors.inputs import generate_inputs
from tuner.protocols.v2 import SharedTensor, V2Options

__all__ = ["triton_server"]

ENDPOINT = Endpoint("127.0.0.1", 8000)
INPUTS = (
    Tensor("A", "FP32", (1, 2), b"\x00\x00\x80?\x00\x00\x00@"),
    Tensor("B", "BYTES", (1,), b"\x02\x00\x00\x00hi"),
)
SHARED = SharedTensor("A", "FP32", (1, 2), "region", 64, 8)
FLOATS = Tensor("in_FP32", "FP32", (1, 2), struct.pack("<2f", 1.5, -2))


def announcing(size: int) -> tuple[dict[str, str], bytes]:
    """Headers and body of a response with 8 bytes of an output that says it has `size`."""
    output = {"name": "A", "datatype": "FP32", "shape": [2]}
    header = json.dumps({"outputs": [{**output, "parameters": {"binary_data_size": size}}]})
    return {"Inference-Header-Content-Length": str(len(header))}, header.encode() + bytes(8)


def outputs_of(server: TritonServer, request: bytes) -> tuple[Tensor, ...]:
    status, head, body = exchange(server.http, request)
    assert status == 200, body
    return v2_http.read_response(head, body)


def test_a_request_carries_its_tensors_in_binary_form() -> None:
    """The JSON describes the tensors, the bytes follow in the same order."""
    headers, body = v2_http.infer_body(INPUTS)
    length = int(headers["Inference-Header-Content-Length"])
    assert headers["Content-Type"] == "application/octet-stream"
    assert json.loads(body[:length]) == {
        "inputs": [
            {
                "name": "A",
                "shape": [1, 2],
                "datatype": "FP32",
                "parameters": {"binary_data_size": 8},
            },
            {
                "name": "B",
                "shape": [1],
                "datatype": "BYTES",
                "parameters": {"binary_data_size": 6},
            },
        ],
        "parameters": {"binary_data_output": True},
    }
    assert body[length:] == INPUTS[0].data + INPUTS[1].data


def test_a_request_carries_its_tensors_in_json() -> None:
    """Numbers are numbers, BYTES are strings, and nothing comes after the JSON."""
    headers, body = v2_http.infer_body(INPUTS, V2Options(json_inputs=True, json_outputs=True))
    assert headers == {"Content-Type": "application/json"}
    assert json.loads(body) == {
        "inputs": [
            {"name": "A", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 2.0]},
            {"name": "B", "shape": [1], "datatype": "BYTES", "data": ["hi"]},
        ]
    }


def test_parameters_and_outputs_are_asked_for() -> None:
    """An output that is asked for by name says its form itself, and shared memory where it is."""
    options = V2Options(parameters={"a": True, "b": "x"}, outputs=("y", SHARED))
    headers, body = v2_http.infer_body([SHARED], options)
    assert headers["Inference-Header-Content-Length"] == str(len(body))
    place = {
        "shared_memory_region": "region",
        "shared_memory_offset": 64,
        "shared_memory_byte_size": 8,
    }
    assert json.loads(body) == {
        "parameters": {"a": True, "b": "x"},
        "inputs": [{"name": "A", "shape": [1, 2], "datatype": "FP32", "parameters": place}],
        "outputs": [
            {"name": "y", "parameters": {"binary_data": True}},
            {"name": "A", "parameters": place},
        ],
    }
    _, body = v2_http.infer_body([], V2Options(json_outputs=True, outputs=("y",)))
    assert json.loads(body) == {"inputs": [], "outputs": [{"name": "y"}]}


def test_a_prepared_request_is_complete() -> None:
    """What is prepared is what goes over the wire."""
    payload = v2_http.prepare(ENDPOINT, "my model", INPUTS)
    head, _, body = payload.partition(b"\r\n\r\n")
    assert head.startswith(
        b"POST /v2/models/my%20model/infer HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n"
    )
    assert f"Content-Length: {len(body)}".encode() in head
    assert body == v2_http.infer_body(INPUTS)[1]


def test_a_version_is_part_of_the_path() -> None:
    """Without a version the server takes the newest."""
    payload = v2_http.prepare(ENDPOINT, "m", INPUTS, V2Options(version="3"))
    assert payload.startswith(b"POST /v2/models/m/versions/3/infer HTTP/1.1\r\n")
    assert v2_http.infer_path("m") == "/v2/models/m/infer"


def test_custom_headers_go_along() -> None:
    """A custom header takes the place of ours, in whatever case it is written."""
    options = V2Options(headers={"Authorization": "Bearer x", "content-type": "text/x"})
    head = v2_http.prepare(ENDPOINT, "m", INPUTS, options).partition(b"\r\n\r\n")[0]
    assert b"\r\nAuthorization: Bearer x" in head
    assert head.lower().count(b"content-type") == 1


@pytest.mark.parametrize(
    ("coding", "undo"), [("gzip", gzip.decompress), ("deflate", zlib.decompress)]
)
def test_a_request_can_be_compressed(coding: str, undo: Callable[[bytes], bytes]) -> None:
    """The whole body is compressed; the length of the JSON is that before."""
    plain_headers, plain = v2_http.infer_body(INPUTS)
    headers, body = v2_http.infer_body(INPUTS, V2Options(compression=coding))
    assert undo(body) == plain
    assert headers == plain_headers | {"Content-Encoding": coding}


@pytest.mark.parametrize(
    ("tensor", "options", "message", "hint"),
    [
        (
            INPUTS[0],
            V2Options(streaming=True),
            "streaming is a form of V2 inference over gRPC",
            "choose gRPC, or leave it out",
        ),
        (
            INPUTS[0],
            V2Options(compression="br"),
            "requests cannot be compressed with `br`",
            "possible: `gzip`, `deflate`",
        ),
        *(
            (
                Tensor("X", datatype, (1,), b"\0\0"),
                V2Options(json_inputs=True),
                f"input `X` has the type {datatype}, which the V2 protocol does not send in JSON",
                "send it in binary form",
            )
            for datatype in ("FP16", "BF16")
        ),
        (
            Tensor("X", "BYTES", (1,), b"\x01\0\0\0\xff"),
            V2Options(json_inputs=True),
            "input `X` holds bytes that are not UTF-8, which JSON cannot carry",
            "send it in binary form",
        ),
    ],
)
def test_what_http_cannot_carry_is_said(
    tensor: Tensor, options: V2Options, message: str, hint: str
) -> None:
    """An error says what to do instead."""
    with refused(message, hint):
        v2_http.prepare(ENDPOINT, "m", [tensor], options)


def test_a_sequence_is_not_compressed() -> None:
    """Correlation ids are put into prepared bytes, which compressed ones do not allow."""
    with refused(
        "requests of a sequence cannot be compressed: each has its own correlation id",
        "leave the compression out",
    ):
        v2_http.sequence_step(ENDPOINT, "m", INPUTS, V2Options(compression="gzip"))


@pytest.mark.parametrize("correlation_id", [1, 2**64 - 1])
def test_a_step_has_room_for_any_id(correlation_id: int) -> None:
    """Both lengths that HTTP announces are right, however long the correlation id is."""
    step = v2_http.sequence_step(ENDPOINT, "m", INPUTS, V2Options(parameters={"a": 1}))
    assert set(step.forms) == {(f, t) for f in (False, True) for t in (False, True)}
    for (first, last), (before, after) in step.forms.items():
        request = before + v2_http.encode_id(correlation_id) + after
        head, _, body = request.partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}".encode() in head
        length = int(head.rpartition(b"Length: ")[2])
        assert json.loads(body[:length])["parameters"] == {
            "sequence_id": correlation_id,
            "sequence_start": first,
            "sequence_end": last,
            "a": 1,
            "binary_data_output": True,
        }


def test_outputs_in_json_and_in_binary_form_are_read_together() -> None:
    """Nested or flat; those in shared memory are not there to be read."""
    outputs = [
        {"name": "A", "datatype": "INT8", "shape": [2, 1], "data": [[1], [-1]]},
        {"name": "B", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}},
        {"name": "C", "datatype": "BYTES", "shape": [2], "data": ["ä", ""]},
        {"name": "D", "datatype": "FP32", "shape": [1]},
        {"name": "E", "datatype": "BOOL", "shape": [2], "data": [True, False]},
        {"name": "F", "datatype": "FP64", "shape": [1], "parameters": {"binary_data_size": 8}},
    ]
    header = json.dumps({"outputs": outputs}).encode()
    headers = {"Inference-Header-Content-Length": str(len(header))}
    assert v2_http.read_outputs(headers, header + b"12345678abcd") == (
        Tensor("A", "INT8", (2, 1), b"\x01\xff"),
        Tensor("B", "FP32", (1,), b"1234"),
        Tensor("C", "BYTES", (2,), b"\x02\0\0\0\xc3\xa4\0\0\0\0"),
        Tensor("E", "BOOL", (2,), b"\x01\x00"),
        Tensor("F", "FP64", (1,), b"5678abcd"),
    )


def test_a_response_without_outputs_is_empty() -> None:
    """No outputs, no length header: the whole body is JSON."""
    assert v2_http.read_outputs({}, b'{"outputs":[]}') == ()


@pytest.mark.parametrize(
    ("headers", "body", "complaint"),
    [
        (*announcing(7), "outputs of .* bytes were announced, but .* came"),
        (*announcing(9), "outputs of .* bytes were announced, but .* came"),
        ({}, b"oops", "Expecting value"),
        ({}, b"{}", "not a V2 inference response: KeyError"),
        ({}, b"[]", "not a V2 inference response: TypeError"),
        ({}, b'{"outputs":[1]}', "not a V2 inference response: AttributeError"),
        ({}, b'{"outputs":[{"name":"A","data":[]}]}', "not a V2 inference response: KeyError"),
        (
            {},
            b'{"outputs":[{"name":"A","datatype":"INT8","shape":[Infinity],"data":[]}]}',
            "not a V2 inference response: OverflowError",
        ),
        (
            {},
            b'{"outputs":[{"name":"A","datatype":"INT8","shape":[3],"data":[1]}]}',
            "cannot reshape",
        ),
        ({"Inference-Header-Content-Length": "x"}, b"{}", "invalid literal"),
    ],
)
def test_what_is_no_inference_response_is_refused(
    headers: dict[str, str], body: bytes, complaint: str
) -> None:
    """Anything else than the protocol is a ValueError that says what is wrong."""
    with pytest.raises(ValueError, match=complaint):
        v2_http.read_outputs(headers, body)


@pytest.mark.parametrize("json_outputs", [False, True])
@pytest.mark.parametrize("json_inputs", [False, True])
def test_triton_reads_all_datatypes(
    triton_server: TritonServer, *, json_inputs: bool, json_outputs: bool
) -> None:
    """Several inputs and outputs at once, in any form."""
    names = [name for name in TYPES if not (json_inputs or json_outputs) or name != "FP16"]
    specs = [TensorSpec(f"in_{name}", name, (2, 3)) for name in names]
    inputs = generate_inputs(specs, seed=1)
    options = V2Options(
        json_inputs=json_inputs,
        json_outputs=json_outputs,
        outputs=tuple(f"out_{name}" for name in names),
    )
    request = v2_http.prepare(triton_server.http, "typed", inputs, options)
    expected = tuple(replace(each, name=f"out_{each.datatype}") for each in inputs)
    # Not bit by bit: Triton's JSON parser is off by the last bit of some FP64.
    check = OutputsCheck(v2_http.read_response, (expected,))
    status, head, body = exchange(triton_server.http, request)
    assert (status, check.fault(0, head, body)) == (200, "")
    assert len(v2_http.read_response(head, body)) == len(names)


@pytest.mark.parametrize("json_form", [False, True])
def test_triton_carries_values_that_json_does_not_know(
    triton_server: TritonServer, *, json_form: bool
) -> None:
    """NaN and infinity in both directions; bytes that are not UTF-8 in the response."""
    floats = struct.pack("<2f", float("nan"), float("-inf"))
    options = V2Options(json_inputs=json_form, json_outputs=True, outputs=("out_FP32",))
    tensor = Tensor("in_FP32", "FP32", (1, 2), floats)
    request = v2_http.prepare(triton_server.http, "typed", [tensor], options)
    [output] = outputs_of(triton_server, request)
    assert np.array_equal(
        np.frombuffer(output.data, "<f4"), np.frombuffer(floats, "<f4"), equal_nan=True
    )
    strings = Tensor("in_BYTES", "BYTES", (1, 1), b"\x02\0\0\0\xff\xfe")
    options = V2Options(json_outputs=True, outputs=("out_BYTES",))
    request = v2_http.prepare(triton_server.http, "typed", [strings], options)
    assert [each.data for each in outputs_of(triton_server, request)] == [strings.data]


def test_triton_reads_parameters_and_the_version(triton_server: TritonServer) -> None:
    """All kinds of request parameters reach the model, and all outputs come if none is named."""
    options = V2Options(parameters={"a": True, "b": 3, "c": 1.5, "d": "x"}, version="1")
    request = v2_http.prepare(triton_server.http, "typed", [FLOATS], options)
    outputs = {each.name: each for each in outputs_of(triton_server, request)}
    assert outputs["out_FP32"].data == FLOATS.data
    assert json.loads(outputs["parameters"].data[4:]) == {"a": True, "b": 3, "c": 1.5, "d": "x"}


def test_triton_refuses_what_it_does_not_have(triton_server: TritonServer) -> None:
    """The version in the path is the one that is asked for."""
    request = v2_http.prepare(triton_server.http, "typed", [FLOATS], V2Options(version="9"))
    assert exchange(triton_server.http, request)[0] == 404


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_triton_reads_compressed_requests(triton_server: TritonServer, coding: str) -> None:
    """And we read its compressed responses."""
    options = V2Options(
        compression=coding, headers={"Accept-Encoding": coding}, outputs=("out_FP32",)
    )
    request = v2_http.prepare(triton_server.http, "typed", [FLOATS], options)
    status, head, body = exchange(triton_server.http, request)
    assert status == 200, body
    assert f"content-encoding: {coding}".encode() in head.lower()
    assert [each.data for each in v2_http.read_response(head, body)] == [FLOATS.data]


def test_triton_plays_sequences(triton_server: TritonServer) -> None:
    """Start, end and correlation id reach the model, and only they differ between steps."""
    step = v2_http.sequence_step(
        triton_server.http, "counter", [Tensor("x", "INT32", (1,), b"1234")]
    )
    states = []
    for correlation_id in (5, 2**64 - 1):
        for flags in ((True, False), (False, False), (False, True)):
            before, after = step.forms[flags]
            request = before + v2_http.encode_id(correlation_id) + after
            [state] = outputs_of(triton_server, request)
            states.append(np.frombuffer(state.data, "<u8").tolist())
    assert states == [
        [correlation_id, int(number == 1), int(number == 3), number]
        for correlation_id in (5, 2**64 - 1)
        for number in (1, 2, 3)
    ]


def test_triton_reads_and_writes_shared_memory(triton_server: TritonServer) -> None:
    """Inputs lie at an offset, an output is written to another one; others come as ever."""
    strings = Tensor("in_BYTES", "BYTES", (1, 1), b"\x02\0\0\0hi")
    with shared_region(triton_server.http) as (region, memory):
        memory[64:72] = FLOATS.data
        source = SharedTensor("in_FP32", "FP32", (1, 2), region, 64, 8)
        sink = SharedTensor("out_FP32", "", (), region, 128, 8)
        options = V2Options(outputs=(sink, "out_BYTES"))
        request = v2_http.prepare(triton_server.http, "typed", [source, strings], options)
        [output] = outputs_of(triton_server, request)
        assert output == Tensor("out_BYTES", "BYTES", (1, 1), strings.data)
        assert bytes(memory[128:136]) == FLOATS.data


@pytest.mark.parametrize(
    ("name", "version", "path"),
    [
        ("m", "", "/v2/models/m"),
        ("m", "3", "/v2/models/m/versions/3"),
        ("m", "v1/2", "/v2/models/m/versions/v1%2F2"),
        ("a.b+c:d@e,f=g~h!i", "", "/v2/models/a.b+c:d@e,f=g~h!i"),
        ("two words", "", "/v2/models/two%20words"),
        ("100%", "", "/v2/models/100%25"),
        ("a#b?c/d", "", "/v2/models/a%23b%3Fc%2Fd"),
        ("\u00fcber", "", "/v2/models/%C3%BCber"),
    ],
)
def test_paths_of_models(name: str, version: str, path: str) -> None:
    """Names are encoded as HTTP clients do it: what must be, and no more."""
    assert v2_http.model_path(name, version) == path
    assert v2_http.infer_path(name, version) == f"{path}/infer"
