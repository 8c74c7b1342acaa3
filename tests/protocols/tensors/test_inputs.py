"""Where inputs come from: generated for every type and shape, the same for one seed, or files."""

import struct
from pathlib import Path

import numpy as np
import pytest

from tests.protocols.tensors.data_files import NUMPY
from tests.refusals import refused
from tuner.load.requests import TensorSpec
from tuner.protocols.tensors.input_data import InputData
from tuner.protocols.tensors.inputs import InputOptions, generate_inputs, read_input_data

FLOATS = [TensorSpec("X", "FP32", (8,))]
STRINGS = [TensorSpec("X", "BYTES", (2,))]


@pytest.mark.parametrize("datatype", NUMPY)
def test_numbers_of_every_type(datatype: str) -> None:
    """Integers are in [0, 100), floats in [0, 1), booleans both; zeros on request."""
    spec = TensorSpec("X", datatype, (50, 4))
    (tensor,) = generate_inputs([spec], seed=1)
    values = np.frombuffer(tensor.data, dtype=NUMPY[datatype])
    assert (tensor.name, tensor.datatype, tensor.shape) == ("X", datatype, (50, 4))
    assert values.size == 200
    assert len(set(values.tolist())) > (1 if datatype == "BOOL" else 40)
    assert values.min() >= 0
    assert values.max() <= (1 if datatype in ("BOOL", "FP16", "FP32", "FP64") else 99)
    (zeros,) = generate_inputs([spec], seed=1, zero=True)
    assert zeros.data == bytes(len(tensor.data))


def test_bf16_is_half_of_fp32() -> None:
    """The same numbers as in FP32, in two bytes each."""
    short, long = (
        generate_inputs([TensorSpec("X", datatype, (50,))], seed=1)[0].data
        for datatype in ("BF16", "FP32")
    )
    widened = np.frombuffer(short, "<u2").astype(np.uint32) << 16
    assert np.allclose(widened.view(np.float32), np.frombuffer(long, np.float32), rtol=2**-8)


def test_strings_carry_their_lengths() -> None:
    """BYTES elements are 4 bytes of length, then 128 letters; empty on request."""
    spec = TensorSpec("X", "BYTES", (2, 3))
    (tensor,) = generate_inputs([spec], seed=1)
    elements = list(struct.iter_unpack("<I128s", tensor.data))
    assert len(elements) == 6
    assert all(length == 128 and text.islower() for length, text in elements)
    (zeros,) = generate_inputs([spec], seed=1, zero=True)
    assert zeros.data == bytes(6 * 4)


@pytest.mark.parametrize("datatype", ["FP32", "BYTES"])
def test_a_scalar_has_one_element(datatype: str) -> None:
    """The empty shape is one element, and a dimension of 0 is none."""
    sizes = {"FP32": 4, "BYTES": 132}
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
            TensorSpec("X", "JSON", (1,)),
            {},
            "input `X`: the type JSON is none of the V2 protocol",
            None,
        ),
    ],
)
def test_what_cannot_be_made_is_said(
    spec: TensorSpec, shapes: dict[str, tuple[int, ...]], message: str, hint: str | None
) -> None:
    """An error names the input, and the option that mends it."""
    with refused(message, hint):
        generate_inputs([spec], seed=1, shapes=shapes)
    with refused(message, hint):
        read_input_data(["zero"], [spec], [], InputOptions(shapes=shapes))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (InputOptions(string_data="x"), "--string-data"),
        (InputOptions(string_length=5), "--string-length"),
    ],
)
def test_strings_of_a_model_that_has_none(options: InputOptions, said: str) -> None:
    """What is said of strings changes nothing about numbers."""
    with refused(f"`{said}` means nothing to a model that takes no strings", "leave it out"):
        read_input_data(["random"], FLOATS, [], options)
    both = [*FLOATS, TensorSpec("S", "BYTES", (1,))]
    assert read_input_data(["random"], both, [], options).generated


def random_data(seed: int = 0, samples: int = 64) -> InputData:
    return read_input_data(["random"], FLOATS, [], InputOptions(seed=seed, samples=samples))


class TestGeneratedData:
    def test_a_pool_of_samples(self) -> None:
        """Random data are many distinct steps in one stream; more of them begin with the same."""
        data = random_data()
        [stream] = data.streams
        assert data.generated
        assert len(set(stream)) == len(stream) == 64
        assert all(step.inputs[0].shape == (8,) for step in stream)
        assert random_data(samples=16).streams == (stream[:16],)

    def test_seeds(self) -> None:
        """The same seed gives the same bytes, another one others."""
        assert random_data(seed=1) == random_data(seed=1)
        assert random_data(seed=1) != random_data(seed=2)

    def test_nothing_said_is_random(self) -> None:
        """Random data are the default, as in perf_analyzer."""
        assert read_input_data([], FLOATS, [], InputOptions()) == random_data()

    def test_zeros(self) -> None:
        """Zeros are all the same: one step."""
        data = read_input_data(["zero"], FLOATS, [], InputOptions())
        [[step]] = data.streams
        assert data.generated
        assert step.inputs[0].data == bytes(32)

    @pytest.mark.parametrize(("elements", "count"), [(1 << 20, 8), (9 << 20, 1)])
    def test_big_samples_are_fewer(self, elements: int, count: int) -> None:
        """The pool takes 32 MiB at most, but has one sample."""
        specs = [TensorSpec("X", "FP32", (elements,))]
        [stream] = read_input_data(["random"], specs, [], InputOptions()).streams
        assert len(stream) == count

    @pytest.mark.parametrize("length", [0, 5])
    def test_string_length(self, length: int) -> None:
        """`--string-length` is the length of every random string."""
        options = InputOptions(string_length=length, samples=2)
        [stream] = read_input_data(["random"], STRINGS, [], options).streams
        assert [len(step.inputs[0].data) for step in stream] == [2 * (4 + length)] * 2

    @pytest.mark.parametrize("source", ["random", "zero"])
    def test_string_data(self, source: str) -> None:
        """`--string-data` is every element, whatever else would be generated."""
        options = InputOptions(string_data="né", string_length=5, samples=1)
        [[step]] = read_input_data([source], STRINGS, [], options).streams
        assert step.inputs[0].data == b"\3\0\0\0n\xc3\xa9" * 2

    def test_string_data_of_any_bytes(self) -> None:
        """An argument that is not UTF-8 is sent as it was typed."""
        options = InputOptions(string_data=b"\xff".decode(errors="surrogateescape"))
        [[step]] = read_input_data(["zero"], STRINGS, [], options).streams
        assert step.inputs[0].data == b"\1\0\0\0\xff" * 2

    def test_a_model_without_inputs(self) -> None:
        """There is nothing to generate, and that is fine."""
        [stream] = read_input_data(["random"], [], [], InputOptions(samples=2)).streams
        assert [step.inputs for step in stream] == [(), ()]

    def test_alone(self) -> None:
        """Random data and files do not mix."""
        with refused(
            "`--input-data zero` was given beside other input data",
            "give `random` or `zero` alone, or several files",
        ):
            read_input_data(["a.json", "zero"], FLOATS, [], InputOptions())

    def test_limits(self) -> None:
        """Strings shorter than empty, and pools without a sample, cannot be asked for."""
        with pytest.raises(ValueError, match="`string_length >= 0` must hold, but got -1"):
            InputOptions(string_length=-1)
        with pytest.raises(ValueError, match="`samples >= 1` must hold, but got 0"):
            InputOptions(samples=0)


class TestFiles:
    def test_several(self, tmp_path: Path) -> None:
        """The streams of files and folders come behind each other, in the order given."""
        specs = [TensorSpec("X", "UINT8", (1,))]
        for name, data in {"a": '[[{"X": [1]}], [{"X": [2]}]]', "b": '[{"X": [3]}]'}.items():
            (tmp_path / f"{name}.json").write_text(f'{{"data": {data}}}')
        (tmp_path / "c").mkdir()
        (tmp_path / "c" / "X").write_bytes(b"\4")
        sources = [str(tmp_path / name) for name in ("b.json", "a.json", "c")]
        read = read_input_data(sources, specs, [], InputOptions())
        assert not read.generated
        assert b"".join(stream[0].inputs[0].data for stream in read.streams) == b"\3\1\2\4"

    def test_missing(self, tmp_path: Path) -> None:
        """A source that is nowhere is said, and what it might have been."""
        with refused(
            f"{tmp_path}/radnom: there is no such file or folder",
            "`--input-data` is `random`, `zero`, a JSON file, or a folder with a file per input",
        ):
            read_input_data([str(tmp_path / "radnom")], FLOATS, [], InputOptions())
