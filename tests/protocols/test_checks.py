"""Checks of responses: what is right, what is wrong, and what cannot be read."""

import gzip
import json
import pickle
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocols.json_values import json_values
from tests.refusals import refused
from tuner.load.requests import Tensor, TensorSpec
from tuner.protocols import tensorflow_serving, v2_grpc, v2_http
from tuner.protocols.checks import JsonPathCheck, OutputsCheck, ResponseReader
from tuner.protocols.tensorflow_serving import RestReader

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
NAN = float("nan")


def floats(*values: float, name: str = "y") -> Tensor:
    return Tensor(name, "FP32", (len(values),), struct.pack(f"<{len(values)}f", *values))


def response(*outputs: Tensor) -> tuple[bytes, bytes]:
    """Head and body, as Triton sends them."""
    described = [
        {
            "name": each.name,
            "datatype": each.datatype,
            "shape": each.shape,
            "parameters": {"binary_data_size": len(each.data)},
        }
        for each in outputs
    ]
    header = json.dumps({"outputs": described}).encode()
    head = b"HTTP/1.1 200 OK\r\ninference-header-CONTENT-length: %d\r\n\r\n" % len(header)
    return head, header + b"".join(each.data for each in outputs)


def check(*expected: Tensor) -> OutputsCheck:
    return OutputsCheck(v2_http.read_response, (expected,))


def one(datatype: str, data: bytes) -> Tensor:
    return Tensor("y", datatype, (1,), data)


RIGHT = [
    (floats(1, 2), floats(1, 2)),
    (floats(1.000001, NAN), floats(1, NAN)),
    (floats(1e-9), floats(0)),
    (floats(float("inf")), floats(float("inf"))),
    (one("FP32", b"\x01\0\xa0\x7f"), floats(NAN)),  # signalling
    (one("INT32", b"\1\0\0\0"), one("INT32", b"\1\0\0\0")),
    (one("BF16", b"\x80\x3f"), one("BF16", b"\x80\x3f")),
    (one("FP16", b"\x00\x3c"), one("FP16", b"\x00\x3c")),
]
WRONG = [
    (floats(1.001), floats(1)),
    (floats(NAN), floats(1)),
    (floats(1), floats(NAN)),
    (floats(float("inf")), floats(3e38)),
    (floats(1, 2), floats(1)),
    (floats(1, name="z"), floats(1)),
    (Tensor("y", "FP32", (2, 1), bytes(8)), floats(0, 0)),
    (one("INT32", bytes(4)), floats(0)),
    (one("FP32", b"\0"), floats(0)),
    (one("INT32", b"\1\0\0\0"), one("INT32", b"\2\0\0\0")),
    (one("BYTES", b"\1\0\0\0a"), one("BYTES", b"\1\0\0\0b")),
    (one("BF16", b"\x80\x3f"), one("BF16", b"\x81\x3f")),
]


@pytest.mark.parametrize(
    ("found", "expected", "fault"),
    [*((*both, "") for both in RIGHT), *((*both, "wrong_output") for both in WRONG)],
)
def test_outputs_are_compared(found: Tensor, expected: Tensor, fault: str) -> None:
    """Floats closely, NaN where it is expected, and all else exactly: name, shape, type, value."""
    assert check(expected).fault(0, *response(found)) == fault


def test_only_expected_outputs_count() -> None:
    """More outputs may come, in any order; none of the expected ones may be missing."""
    y, z = floats(1), floats(2, name="z")
    assert check(y).fault(0, *response(z, y)) == ""
    assert check(y, z).fault(0, *response(z, y)) == ""
    assert check(y, z).fault(0, *response(y)) == "wrong_output"


def test_each_payload_has_its_own_outputs() -> None:
    """Of payloads beyond the expected ones, a response must only be readable."""
    both = OutputsCheck(v2_http.read_response, ((floats(1),), (floats(2),)))
    assert [both.fault(n, *response(floats(1))) for n in (0, 1, 2)] == ["", "wrong_output", ""]
    assert both.fault(2, HEAD, b"oops") == "bad_response"


def test_the_same_bytes_are_read_once() -> None:
    """A response like one that was right is right; another one is looked at again."""
    reads = []

    def read(head: bytes, body: bytes) -> tuple[Tensor, ...]:
        reads.append(body)
        return v2_http.read_response(head, body)

    counting = OutputsCheck(read, ((floats(1),), (floats(2),)))
    for payload, value in ((0, 1), (0, 1), (0, 2), (0, 2), (1, 2), (0, 1), (1, 1)):
        fault = counting.fault(payload, *response(floats(value)))
        assert fault == ("" if value == payload + 1 else "wrong_output")
    bodies = [response(floats(value))[1] for value in (1, 2, 2, 2, 1)]
    assert reads == bodies


def test_what_is_remembered_has_a_limit() -> None:
    """64 MiB of bodies; beyond that every response is read."""
    reads = []

    def read(head: bytes, body: bytes) -> tuple[Tensor, ...]:
        del head
        reads.append(len(body))
        return ()

    large = OutputsCheck(read, ((), (), ()))
    body = bytes(30 << 20)
    for payload in (0, 1, 2, 0, 1, 2):
        assert large.fault(payload, b"", body) == ""
    assert len(reads) == 4


def test_a_compressed_response_is_read() -> None:
    """The length of the JSON is that before compression."""
    head, body = response(floats(1))
    head = head.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
    assert check(floats(1)).fault(0, head, gzip.compress(body)) == ""
    assert check(floats(1)).fault(0, head, body) == "bad_response"


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        (
            Tensor("y", "FP32", (2,), bytes(4)),
            "FP32 of shape [2]: cannot reshape array of size 1 into shape (2,)",
        ),
        (
            Tensor("y", "BYTES", (1,), b"\2\0\0\0a"),
            "BYTES of shape [1]: element 1 of BYTES ends at byte 6, but there are 5 bytes",
        ),
    ],
)
def test_an_expectation_must_make_sense(tensor: Tensor, reason: str) -> None:
    """It is the user's data that is wrong then, not the server."""
    with refused(f"the expected output `y` cannot be {reason}", "correct the validation data"):
        check(tensor)


READERS: list[ResponseReader] = [
    v2_http.read_response,
    v2_grpc.read_response,
    v2_grpc.read_streamed_response,
    tensorflow_serving.read_grpc_response,
    RestReader((TensorSpec("y", "FP32", (1,)),)),
]
KEYS = ["outputs", "predictions", "name", "datatype", "shape", "data", "parameters", "b64", "y"]


@pytest.mark.parametrize("number", range(len(READERS)))
@given(
    head=st.sampled_from([HEAD, b"", b"\r\nContent-Encoding: gzip\r\n", b"\r\ncontent-encoding:"]),
    body=st.binary(max_size=80) | st.builds(lambda v: json.dumps(v).encode(), json_values(KEYS)),
)
def test_garbage_is_never_right_and_never_raises(number: int, head: bytes, body: bytes) -> None:
    """Whatever a server sends, the run goes on."""
    check_one = OutputsCheck(READERS[number], ((floats(12345),),))
    assert check_one.fault(0, head, body) in ("wrong_output", "bad_response")
    assert JsonPathCheck("$.outputs[0].name").fault(0, head, body) in (
        "",
        "wrong_output",
        "bad_response",
    )


def test_deep_nesting_is_a_bad_response() -> None:
    """JSON that is deeper than Python's stack is refused like any other garbage."""
    deep = b"[" * 100_000
    assert check(floats(1)).fault(0, HEAD, deep) == "bad_response"
    assert JsonPathCheck("$").fault(0, HEAD, deep) == "bad_response"


@pytest.mark.parametrize(
    ("path", "expected", "fault"),
    [
        ("$", None, ""),
        ("$.result[0].label", None, ""),
        ("$.result[0].label", '"cat"', ""),
        ("$.result[0].label", '"dog"', "wrong_output"),
        ("$.result[1]", None, "wrong_output"),
        ("$.result.label", None, "wrong_output"),
        ("$.nothing", None, "wrong_output"),
        ("$[0]", None, "wrong_output"),
        ("$.none", "null", ""),
        ("$.one", "1.0", ""),
        ("$.one", "true", "wrong_output"),
        ("$.true", "true", ""),
        ("$.true", "1", "wrong_output"),
        ("$.result", '[{"label": "cat"}]', ""),
    ],
)
def test_a_value_is_looked_for(path: str, expected: str | None, fault: str) -> None:
    """A value that is there, and, if one is expected, that is equal to it."""
    body = b'{"result": [{"label": "cat"}], "none": null, "one": 1, "true": true}'
    check_one = JsonPathCheck(path, expected)
    assert check_one.fault(0, HEAD, body) == fault
    assert check_one.fault(0, HEAD, b"oops") == "bad_response"


@pytest.mark.parametrize(
    "path", ["", "result", "$result", "$.", "$..a", "$[x]", "$[-1]", "$[0", "$ "]
)
def test_a_path_must_be_one(path: str) -> None:
    """Names after dots, numbers in brackets."""
    with refused(f"`{path}` is no path into JSON", "for example `$.result[0].label`"):
        JsonPathCheck(path)


@pytest.mark.parametrize("expected", ["cat", ""])
def test_an_expected_value_must_be_json(expected: str) -> None:
    """A string without quotation marks is the usual slip."""
    with refused(
        f"the value expected at `$.label` must be JSON, but it is `{expected}`",
        'strings need quotation marks: `"cat"`',
    ):
        JsonPathCheck("$.label", expected)


def test_checks_reach_the_engine_process() -> None:
    """Pickled and back they are equal, and still check."""
    outputs = check(floats(1))
    path = JsonPathCheck("$.outputs[0].name", '"y"')
    head, body = response(floats(1))
    assert outputs.fault(0, head, body) == ""
    for each, answer in ((outputs, (head, body)), (path, (HEAD, b'{"outputs": [{"name": "y"}]}'))):
        again = pickle.loads(pickle.dumps(each))  # noqa: S301 - our own bytes
        assert again == each
        assert again.fault(0, *answer) == ""
