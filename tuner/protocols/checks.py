"""Checks of responses: whether what came back is what was expected. They are pickled."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np

from tuner.errors import InputError
from tuner.load.requests import Tensor
from tuner.protocols.content import decoded
from tuner.protocols.tensors.values import to_array

# The output tensors of a response, from its HTTP head (empty over gRPC) and its body or message;
# ValueError if it cannot be read. Each protocol module has one.
ResponseReader = Callable[[bytes, bytes], tuple[Tensor, ...]]

BAD_RESPONSE = "bad_response"
WRONG_OUTPUT = "wrong_output"

# Bytes of the bodies that were found right that are remembered at most.
_MOST_REMEMBERED_BYTES = 64 << 20
# How far a float may be off, relative to the expected value, and beyond that: the defaults of
# `numpy.isclose`.
_RELATIVE_TOLERANCE = 1e-5
_ABSOLUTE_TOLERANCE = 1e-8
_FLOATS = frozenset({"FP16", "BF16", "FP32", "FP64"})

_PATH_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d{1,9})\]")


@dataclass
class _RightBodies:
    """Per payload, a body that was found right: the same bytes need no second look."""

    bodies: dict[int, bytes] = field(default_factory=dict)
    free_bytes: int = _MOST_REMEMBERED_BYTES

    def remember(self, payload: int, body: bytes) -> None:
        if payload not in self.bodies and len(body) <= self.free_bytes:
            self.bodies[payload] = body
            self.free_bytes -= len(body)


@dataclass(frozen=True)
class OutputsCheck:
    """Implements ResponseCheck: compares output tensors with the `expected` ones of each payload.

    Outputs that are not expected may be anything, and so may all those of a payload beyond
    `expected`. Floats may differ by 1e-5 of the expected value plus 1e-8, and NaN is right only
    where it is expected; other types must be equal.

    Raises:
        InputError: The bytes of an expected tensor do not fit its datatype and shape.
    """

    read: ResponseReader
    expected: tuple[tuple[Tensor, ...], ...]
    _right: _RightBodies = field(
        default_factory=_RightBodies, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        for tensor in chain.from_iterable(self.expected):
            try:
                to_array(tensor)
            except (ValueError, InputError) as error:
                raise InputError(
                    f"the expected output `{tensor.name}` cannot be {tensor.datatype} of shape "
                    f"{list(tensor.shape)}: {error}",
                    hint="correct the validation data",
                ) from None

    def fault(self, payload: int, head: bytes, body: bytes) -> str:
        if self._right.bodies.get(payload) == body:
            return ""
        try:
            outputs = {output.name: output for output in self.read(head, body)}
        except Exception:  # noqa: BLE001 - whatever a server sends, the run goes on
            return BAD_RESPONSE
        expected = self.expected[payload] if payload < len(self.expected) else ()
        if not all(_agree(outputs.get(each.name), each) for each in expected):
            return WRONG_OUTPUT
        self._right.remember(payload, body)
        return ""


@dataclass(frozen=True)
class JsonPathCheck:
    """Implements ResponseCheck: a JSON body has a value at `path`, such as `$.result[0].label`.

    If `expected` is given (JSON text), the value is equal to it.

    Raises:
        InputError: `path` is no such path, or `expected` is not JSON.
    """

    path: str
    expected: str | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(rf"\$(?:{_PATH_STEP.pattern})*", self.path):
            raise InputError(
                f"`{self.path}` is no path into JSON", hint="for example `$.result[0].label`"
            )
        try:
            json.loads("null" if self.expected is None else self.expected)
        except ValueError:
            raise InputError(
                f"the value expected at `{self.path}` must be JSON, but it is `{self.expected}`",
                hint='strings need quotation marks: `"cat"`',
            ) from None

    def fault(self, payload: int, head: bytes, body: bytes) -> str:
        del payload
        try:
            value = json.loads(decoded(head, body))
        except (ValueError, RecursionError):
            return BAD_RESPONSE
        try:
            for name, index in _PATH_STEP.findall(self.path):
                value = _part(value, name or int(index))
        except (LookupError, TypeError):
            return WRONG_OUTPUT
        if self.expected is None or _equal(value, json.loads(self.expected)):
            return ""
        return WRONG_OUTPUT


def _agree(found: Tensor | None, expected: Tensor) -> bool:
    if found is None or (found.datatype, found.shape) != (expected.datatype, expected.shape):
        return False
    if found.data == expected.data:
        return True
    if expected.datatype not in _FLOATS or len(found.data) != len(expected.data):
        return False
    with np.errstate(invalid="ignore"):  # signalling NaN
        values, wanted = (to_array(each).astype(np.float64) for each in (found, expected))
        close = np.isclose(
            values, wanted, rtol=_RELATIVE_TOLERANCE, atol=_ABSOLUTE_TOLERANCE, equal_nan=True
        )
    return bool(close.all())


def _part(value: Any, place: Any) -> Any:
    if not isinstance(value, dict if isinstance(place, str) else list):
        raise TypeError(place)
    return value[place]


def _equal(value: object, expected: object) -> bool:
    """Equal as JSON has it: `true` is not 1."""
    return isinstance(value, bool) == isinstance(expected, bool) and value == expected
