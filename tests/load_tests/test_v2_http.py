"""The V2 protocol with binary tensors: requests that a server reads, outputs that we read."""

import json

import pytest

from tuner.load import Endpoint, Tensor
from tuner.load.protocols import v2_http

INPUTS = (
    Tensor("A", "FP32", (1, 2), b"\x00\x00\x80?\x00\x00\x00@"),
    Tensor("B", "BYTES", (1,), b"\x02\x00\x00\x00hi"),
)


def response(*outputs: tuple[Tensor, int | None]) -> tuple[dict[str, str], bytes]:
    described = []
    for tensor, size in outputs:
        output: dict[str, object] = {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": list(tensor.shape),
        }
        if size is not None:
            output["parameters"] = {"binary_data_size": size}
        described.append(output)
    header = json.dumps({"model_name": "m", "outputs": described}).encode()
    body = header + b"".join(tensor.data for tensor, _ in outputs)
    return {"Inference-Header-Content-Length": str(len(header))}, body


def test_a_request_carries_its_tensors_in_binary_form() -> None:
    """The JSON describes the tensors, the bytes follow in the same order."""
    headers, body = v2_http.infer_body(INPUTS)
    length = int(headers["Inference-Header-Content-Length"])
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


def test_a_prepared_request_is_complete() -> None:
    """What is prepared is what goes over the wire."""
    payload = v2_http.prepare(Endpoint("127.0.0.1", 8000), "my model", INPUTS)
    head, _, body = payload.partition(b"\r\n\r\n")
    assert head.startswith(
        b"POST /v2/models/my%20model/infer HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n"
    )
    assert f"Content-Length: {len(body)}".encode() in head
    assert body == v2_http.infer_body(INPUTS)[1]


def test_outputs_are_read_back() -> None:
    """Every output comes back with its bytes, in the server's order."""
    headers, body = response(*((tensor, len(tensor.data)) for tensor in INPUTS))
    assert v2_http.read_outputs(headers, body) == INPUTS


def test_a_response_without_outputs_is_empty() -> None:
    """No outputs, no length header: the whole body is JSON."""
    assert v2_http.read_outputs({}, b'{"outputs":[]}') == ()


@pytest.mark.parametrize(
    ("headers", "body", "complaint"),
    [
        (*response((INPUTS[0], None)), "output `A` is not in binary form"),
        (*response((INPUTS[0], 7)), "outputs of .* bytes were announced, but .* came"),
        (*response((INPUTS[0], 9)), "outputs of .* bytes were announced, but .* came"),
        ({}, b"oops", "Expecting value"),
        ({}, b"{}", "not a V2 inference response: KeyError"),
        ({}, b"[]", "not a V2 inference response: TypeError"),
        ({}, b'{"outputs":[1]}', "not a V2 inference response: AttributeError"),
        ({}, b'{"outputs":[{"name":"A"}]}', "output `A` is not in binary form"),
        ({"Inference-Header-Content-Length": "x"}, b"{}", "invalid literal"),
    ],
)
def test_what_is_no_inference_response_is_refused(
    headers: dict[str, str], body: bytes, complaint: str
) -> None:
    """Anything else than the protocol is a ValueError that says what is wrong."""
    with pytest.raises(ValueError, match=complaint):
        v2_http.read_outputs(headers, body)
