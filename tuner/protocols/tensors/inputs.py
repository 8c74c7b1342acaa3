"""Where the inputs of requests come from: made from a model's metadata, or read from files.

The sources are those of perf_analyzer's manual, "Input Data".
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuner.errors import InputError, at
from tuner.load.requests import Tensor, TensorSpec
from tuner.protocols.tensors.datatypes import element_bytes, is_floating, pack_array, pack_strings
from tuner.protocols.tensors.input_data import STRING_LENGTH, InputData, Step, Stream
from tuner.protocols.tensors.input_files import read_folder, read_json
from tuner.protocols.tensors.json_tensors import Shape, Side, fits

RANDOM = "random"
ZERO = "zero"

# Bytes of all distinct samples: big ones are made fewer, but one at least.
_MOST_SAMPLE_BYTES = 32 << 20


@dataclass(frozen=True, kw_only=True)
class InputOptions:
    """What perf_analyzer calls `--shape`, `--string-length` and `--string-data`, and a seed.

    `shapes` are for open dimensions, by input, without the batch dimension; `samples` is how many
    distinct steps random data has (they should be many more than a request carries).
    """

    shapes: Mapping[str, Shape] = field(default_factory=dict)
    string_length: int = STRING_LENGTH
    string_data: str | None = None
    seed: int = 0
    samples: int = 64

    def __post_init__(self) -> None:
        if self.string_length < 0:
            raise ValueError(f"`string_length >= 0` must hold, but got {self.string_length}")
        if self.samples < 1:
            raise ValueError(f"`samples >= 1` must hold, but got {self.samples}")


def read_input_data(
    sources: Sequence[str],
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    options: InputOptions,
) -> InputData:
    """What `sources` say: `random` (as none does) or `zero` alone, or JSON files and folders.

    The streams of several files are put behind each other. `inputs` and `outputs` are the
    model's, without the batch dimension.

    Raises:
        InputError: A source cannot be read, or does not fit the model; a dimension is open.
    """
    fitted = _fitted(inputs, options.shapes)
    if made := [source for source in sources or [RANDOM] if source in (RANDOM, ZERO)]:
        if len(sources) > 1:
            raise mixed_sources(made[0])
        return InputData((_generated(fitted, options, zero=made[0] == ZERO),), generated=True)
    given = Side("input", tuple(inputs), {spec.name: spec.shape for spec in fitted})
    streams = (_read(Path(source), given, Side("output", tuple(outputs))) for source in sources)
    return InputData(tuple(chain.from_iterable(streams)), generated=False)


def mixed_sources(made_up: str) -> InputError:
    """What is said where `random` or `zero` stands beside other sources."""
    return InputError(
        f"`--input-data {made_up}` was given beside other input data",
        hint="give `random` or `zero` alone, or several files",
    )


def generate_inputs(
    specs: Sequence[TensorSpec],
    *,
    seed: int,
    zero: bool = False,
    shapes: Mapping[str, Shape] | None = None,
    string_length: int = STRING_LENGTH,
    string_data: str | None = None,
) -> tuple[Tensor, ...]:
    """One set of input tensors for `specs`, whose shapes include the batch dimension.

    Numbers are uniform: integers in [0, 100), floats in [0, 1). Strings are `string_data`, or
    else `string_length` letters, or empty if `zero`. `shapes` gives the dimensions that the model
    leaves open, by input name and without the batch dimension.

    Raises:
        InputError: A dimension is open, a given shape does not fit, or there is no such type.
    """
    options = InputOptions(seed=seed, string_length=string_length, string_data=string_data)
    return next(_samples(_fitted(specs, shapes or {}), options, zero=zero))


def check_no_strings(string_length: int, string_data: str | None) -> None:
    """Refuse what is said of strings, for a model that takes none.

    Raises:
        InputError: Something is.
    """
    if string_data is not None or string_length != STRING_LENGTH:
        said = "--string-length" if string_data is None else "--string-data"
        message = f"`{said}` means nothing to a model that takes no strings"
        raise InputError(message, hint="leave it out")


def _read(path: Path, inputs: Side, outputs: Side) -> tuple[Stream, ...]:
    if path.is_dir():
        return (read_folder(path, inputs, outputs),)
    return read_json(path, inputs, outputs)


def _fitted(specs: Sequence[TensorSpec], shapes: Mapping[str, Shape]) -> tuple[TensorSpec, ...]:
    """The specs with the shapes that were chosen for them, from the last dimension on."""
    if unknown := shapes.keys() - {spec.name for spec in specs}:
        raise InputError(
            f"no input is called `{min(unknown)}`; the model has "
            + ", ".join(f"`{spec.name}`" for spec in specs),
            hint="correct the name in `--shape NAME:DIMENSIONS`",
        )
    return tuple(replace(spec, shape=_shape(spec, shapes.get(spec.name, ()))) for spec in specs)


def _shape(spec: TensorSpec, chosen: Shape) -> Shape:
    shape = (*spec.shape[: max(0, len(spec.shape) - len(chosen))], *chosen)
    if not fits(shape, spec.shape):
        raise InputError(
            f"input `{spec.name}` takes the shape {list(spec.shape)}, but got {list(chosen)}",
            hint=f"give `--shape {spec.name}:D1,D2,...` without the batch dimension",
        )
    return shape


def _generated(specs: Sequence[TensorSpec], options: InputOptions, *, zero: bool) -> Stream:
    samples = _samples(specs, options, zero=zero)
    first = next(samples)
    size = max(1, sum(len(tensor.data) for tensor in first))
    count = 1 if zero else min(options.samples, max(1, _MOST_SAMPLE_BYTES // size))
    return tuple(Step(inputs) for inputs in chain([first], islice(samples, count - 1)))


def _samples(
    specs: Sequence[TensorSpec], options: InputOptions, *, zero: bool
) -> Iterator[tuple[Tensor, ...]]:
    if not any(spec.datatype == "BYTES" for spec in specs):
        check_no_strings(options.string_length, options.string_data)
    random = np.random.default_rng(options.seed)
    while True:
        yield tuple(_tensor(spec, options, None if zero else random) for spec in specs)


def _tensor(spec: TensorSpec, options: InputOptions, random: np.random.Generator | None) -> Tensor:
    """Random, or else zero."""
    if -1 in spec.shape:
        raise InputError(
            f"input `{spec.name}` has the open shape {list(spec.shape)}",
            hint=f"choose its dimensions: `--shape {spec.name}:D1,D2,...`",
        )
    with at(f"input `{spec.name}`"):
        if element_bytes(spec.datatype):
            data = pack_array(spec.datatype, _numbers(spec, random))
        else:
            data = _strings(prod(spec.shape), options, random)
    return Tensor(spec.name, spec.datatype, spec.shape, data)


def _numbers(spec: TensorSpec, random: np.random.Generator | None) -> NDArray[Any]:
    if random is None:
        return np.zeros(spec.shape)
    if is_floating(spec.datatype):
        return np.asarray(random.random(spec.shape))
    return np.asarray(random.integers(0, 2 if spec.datatype == "BOOL" else 100, spec.shape))


def _strings(count: int, options: InputOptions, random: np.random.Generator | None) -> bytes:
    if options.string_data is not None:
        # An argument that is not UTF-8 comes as Python decodes it; this gives its bytes back.
        return pack_strings([options.string_data.encode(errors="surrogateescape")] * count)
    if random is None:
        return pack_strings([b""] * count)
    size = (count, options.string_length)
    letters = random.integers(ord("a"), ord("z") + 1, size, dtype=np.uint8)
    return pack_strings(row.tobytes() for row in letters)
