"""Input tensors from a model's metadata: every type, every shape, the same for one seed."""

import struct

import numpy as np
import pytest

from tuner.errors import LoadError
from tuner.load import RequestSet, TensorSpec, generate_inputs

TYPES = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}


@pytest.mark.parametrize("datatype", TYPES)
def test_numbers_of_every_type(datatype: str) -> None:
    """Integers are in [0, 100), floats in [0, 1), booleans both; zeros on request."""
    spec = TensorSpec("X", datatype, (50, 4))
    (tensor,) = generate_inputs([spec], seed=1)
    values = np.frombuffer(tensor.data, dtype=TYPES[datatype])
    assert (tensor.name, tensor.datatype, tensor.shape) == ("X", datatype, (50, 4))
    assert values.size == 200
    assert len(set(values.tolist())) > (1 if datatype == "BOOL" else 40)
    assert values.min() >= 0
    assert values.max() <= (1 if datatype in ("BOOL", "FP16", "FP32", "FP64") else 99)
    (zeros,) = generate_inputs([spec], seed=1, zero=True)
    assert zeros.data == bytes(len(tensor.data))


def test_strings_carry_their_lengths() -> None:
    """BYTES elements are 4 bytes of length, then 16 letters; empty on request."""
    spec = TensorSpec("X", "BYTES", (2, 3))
    (tensor,) = generate_inputs([spec], seed=1)
    elements = list(struct.iter_unpack("<I16s", tensor.data))
    assert len(elements) == 6
    assert all(length == 16 and text.islower() for length, text in elements)
    (zeros,) = generate_inputs([spec], seed=1, zero=True)
    assert zeros.data == bytes(6 * 4)


@pytest.mark.parametrize("datatype", ["FP32", "BYTES"])
def test_a_scalar_has_one_element(datatype: str) -> None:
    """The empty shape is one element, and a dimension of 0 is none."""
    sizes = {"FP32": 4, "BYTES": 20}
    one, none = generate_inputs(
        [TensorSpec("X", datatype, ()), TensorSpec("Y", datatype, (3, 0))], seed=1
    )
    assert len(one.data) == sizes[datatype]
    assert none.data == b""


def test_one_seed_is_one_input() -> None:
    """Seeds make inputs reproducible, and different."""
    specs = [TensorSpec("X", "FP32", (8,)), TensorSpec("Y", "FP32", (8,))]
    first, again, other = (generate_inputs(specs, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first[0].data != other[0].data
    assert first[0].data != first[1].data


@pytest.mark.parametrize(
    ("model", "chosen", "made"),
    [
        ((1, -1), (7,), (1, 7)),
        ((4, -1, 3), (7, 3), (4, 7, 3)),
        ((-1, 2), (5, 2), (5, 2)),
        ((1, 3), (3,), (1, 3)),
        ((1, 3), (), (1, 3)),
    ],
)
def test_open_dimensions_are_chosen(
    model: tuple[int, ...], chosen: tuple[int, ...], made: tuple[int, ...]
) -> None:
    """A chosen shape fills the dimensions from the right; the batch stays."""
    (tensor,) = generate_inputs([TensorSpec("X", "INT8", model)], seed=1, shapes={"X": chosen})
    assert tensor.shape == made


@pytest.mark.parametrize(
    ("spec", "shapes", "message", "hint"),
    [
        (
            TensorSpec("X", "FP32", (1, -1)),
            {},
            "input `X` has the open shape [1, -1]",
            "choose its dimensions: `--shape X:D1,D2,...`",
        ),
        (
            TensorSpec("X", "FP32", (1, -1)),
            {"X": (-1,)},
            "input `X` has the open shape [1, -1]",
            "choose its dimensions: `--shape X:D1,D2,...`",
        ),
        (
            TensorSpec("X", "FP32", (1, -1, 3)),
            {"X": (7, 4)},
            "input `X` takes the shape [1, -1, 3], but got [7, 4]",
            "give `--shape X:D1,D2,...` without the batch dimension",
        ),
        (
            TensorSpec("X", "FP32", (-1,)),
            {"X": (1, 2, 3)},
            "input `X` takes the shape [-1], but got [1, 2, 3]",
            "give `--shape X:D1,D2,...` without the batch dimension",
        ),
        (
            TensorSpec("X", "FP32", (1,)),
            {"Z": (1,), "Y": (1,)},
            "no input is called `Y`; the model has `X`",
            "correct the name in `--shape NAME:DIMENSIONS`",
        ),
        (
            TensorSpec("X", "BF16", (1,)),
            {},
            "input `X` has the type BF16, of which no data can be made",
            "supported: BYTES, " + ", ".join(TYPES),
        ),
    ],
)
def test_what_cannot_be_made_is_said(
    spec: TensorSpec, shapes: dict[str, tuple[int, ...]], message: str, hint: str
) -> None:
    """An error names the input, and the option that mends it."""
    with pytest.raises(LoadError) as raised:
        generate_inputs([spec], seed=1, shapes=shapes)
    assert (raised.value.message, raised.value.hint) == (message, hint)


def test_a_request_set_is_not_empty() -> None:
    """There must be something to send."""
    with pytest.raises(ValueError, match="a request set needs at least one request"):
        RequestSet(())
