"""A tensor as a person writes it in JSON: lists, base64, and a shape of its own.

The forms are those of perf_analyzer's manual, "Real Input Data". Two go beyond it: lists may be
nested as the shape is, and one open dimension follows from the number of values.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from tuner.errors import InputError, at, quoted
from tuner.load.requests import Tensor, TensorSpec
from tuner.protocols.tensors.datatypes import element_bytes, in_json, pack_values, unpack_strings

Shape = tuple[int, ...]
# What perf_analyzer lets stand in a step beside the tensors.
_NO_TENSOR = "model"


@dataclass(frozen=True)
class Side:
    """The inputs or the outputs (`kind`) of a model, without the batch dimension.

    `shapes` hold, by name, for tensors that bring no shape of their own.
    """

    kind: str
    specs: tuple[TensorSpec, ...]
    shapes: Mapping[str, Shape] = field(default_factory=dict)

    def shape(self, spec: TensorSpec) -> Shape:
        return self.shapes.get(spec.name, spec.shape)

    def tensors(self, step: Mapping[str, object]) -> tuple[Tensor, ...]:
        """The tensors of a step, in the model's order; it may leave some out.

        Raises:
            InputError: A name, type, shape or value is not the model's.
        """
        names = [spec.name for spec in self.specs]
        for name in step:
            if name not in names and name != _NO_TENSOR:
                raise InputError(
                    f"the model has no {self.kind} {quoted(name)}",
                    hint=f"its {self.kind}s are " + ", ".join(f"`{each}`" for each in names),
                )
        present = (spec for spec in self.specs if spec.name in step)
        return tuple(self._tensor(spec, step[spec.name]) for spec in present)

    def _tensor(self, spec: TensorSpec, value: object) -> Tensor:
        with at(f"{self.kind} `{spec.name}`"):
            content, shape = _content_and_shape(value)
            if shape is None:
                shape = self.shape(spec)
            elif not fits(shape, spec.shape):
                raise InputError(
                    f"the model takes the shape {list(spec.shape)}, but got {list(shape)}",
                    hint="shapes are written without the batch dimension",
                )
            if not isinstance(content, list):
                return sized(spec, shape, _decoded(content))
            shape, values = _flattened(content, shape)
            return sized(spec, shape, pack_values(spec.datatype, values))


def fits(shape: Sequence[int], open_shape: Sequence[int]) -> bool:
    """Whether `shape` is `open_shape` with some of its open dimensions (-1) chosen."""
    return len(shape) == len(open_shape) and all(
        wanted in (-1, given) for wanted, given in zip(open_shape, shape, strict=True)
    )


def sized(spec: TensorSpec, shape: Shape, data: bytes) -> Tensor:
    """The tensor of these bytes; one open dimension of `shape` follows from their number.

    Raises:
        InputError: They do not fill the shape, or more than one dimension is open.
    """
    size = element_bytes(spec.datatype)
    count, rest = divmod(len(data), size) if size else (len(unpack_strings(data)), 0)
    shape = _closed(spec.name, shape, count)
    if rest or count != prod(shape):
        expected = f"{prod(shape)} values of {spec.datatype}"
        came = f"{len(data)} bytes" if rest else str(count)
        if size:
            expected += f" ({prod(shape) * size} bytes)"
            came += f" ({len(data)} bytes)" if not rest else ""
        raise InputError(
            f"{expected} were expected for the shape {list(shape)}, but got {came}",
            hint="a step has the data of one inference, without the batch dimension",
        )
    return Tensor(spec.name, spec.datatype, shape, data)


def _closed(name: str, shape: Shape, count: int) -> Shape:
    if -1 not in shape:
        return shape
    known = abs(prod(shape))
    if shape.count(-1) > 1 or not known or count % known:
        raise InputError(
            f"{count} values do not say which shape of {list(shape)} they have",
            hint=f"choose it: `--shape {name}:D1,D2,...`, or "
            '{"content": [...], "shape": [...]} in a JSON file',
        )
    return tuple(count // known if dimension == -1 else dimension for dimension in shape)


def _content_and_shape(value: object) -> tuple[object, Shape | None]:
    if not isinstance(value, dict):
        return value, None
    content = value if "b64" in value else value.get("content", value)
    if "shape" not in value:
        return content, None
    shape = value["shape"]
    if not isinstance(shape, list):
        raise InputError(f"`shape`: a list was expected, but got {in_json(shape)}")
    for dimension in shape:
        if type(dimension) is not int or dimension < 0:
            raise InputError(
                f"`shape`: whole numbers of at least 0 were expected, but got {in_json(dimension)}"
            )
    return content, tuple(shape)


def _flattened(values: list[object], shape: Shape) -> tuple[Shape, list[object]]:
    """The elements of lists that are flat, or nested as `shape` is."""
    lengths = [len(values)]
    while inner := [value for value in values if isinstance(value, list)]:
        if len(inner) < len(values) or len({len(value) for value in inner}) > 1:
            raise InputError(
                "lists beside each other are of different lengths",
                hint="write one flat list, row by row",
            )
        lengths.append(len(inner[0]))
        values = [element for value in inner for element in value]
    if len(lengths) == 1:
        return shape, values
    if not fits(lengths, shape):
        raise InputError(
            f"nested lists of the shape {list(shape)} were expected, but got {lengths}",
            hint="write one flat list, row by row, or nest without the batch dimension",
        )
    return tuple(lengths), values


def _decoded(content: object) -> bytes:
    if not isinstance(content, dict) or "b64" not in content:
        raise InputError(
            f"a list or an object with `b64` was expected, but got {in_json(content)}",
            hint='a tensor is [1, 2, ...], {"b64": "..."} or {"content": ..., "shape": [...]}',
        )
    text = content["b64"]
    if not isinstance(text, str):
        raise InputError(f"`b64`: a text was expected, but got {in_json(text)}")
    digits = "".join(text.split()).rstrip("=")
    try:
        return base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except ValueError as error:
        raise InputError(f"`b64`: this is not base64: {error}") from None
