"""Answers of any form as tensors, so that they can be compared as numbers where they are some."""

import json
import math
import struct
import sys
from collections.abc import Iterable

from tuner.load.requests import Tensor
from tuner.protocols.tensors.datatypes import pack_strings
from tuner.space.answer_paths import ROOT

# Bytes that say how long the text of a tensor is.
_LENGTH_BYTES = 4


def as_tensors(body: bytes, name: str = ROOT) -> tuple[Tensor, ...]:
    """The answer's numbers, each list of them a tensor called by its place; else its bytes.

    `{"scores": [0.5, 0.25]}` is one tensor `answer.scores` of two numbers.
    """
    try:
        return tuple(_tensors(name, json.loads(body)))
    except (ValueError, RecursionError):  # no JSON, no text at all, or lists in lists in lists
        return (Tensor(name, "BYTES", (1,), pack_strings([body])),)


def opened(outputs: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Each tensor that is one text of JSON as what is in that; the others as they are."""
    return tuple(part for tensor in outputs for part in _opened(tensor))


def _opened(tensor: Tensor) -> tuple[Tensor, ...]:
    text = tensor.data[_LENGTH_BYTES:]
    is_one = tensor.datatype == "BYTES" and math.prod(tensor.shape) == 1
    if not is_one or not text.lstrip().startswith((b"{", b"[")):
        return (tensor,)
    return as_tensors(text, tensor.name) or (tensor,)


def _tensors(name: str, content: object) -> list[Tensor]:
    match content:
        case dict():
            parts = [(f"{name}.{key}", content[key]) for key in sorted(content)]
        case list() if content and all(_is_number(each) for each in content):
            return [numbers_tensor(name, [float(each) for each in content])]
        case list():
            parts = [(f"{name}[{index}]", each) for index, each in enumerate(content)]
        case int() | float() if _is_number(content):
            return [numbers_tensor(name, [float(content)])]
        case _:
            return [Tensor(name, "BYTES", (1,), pack_strings([json.dumps(content).encode()]))]
    return [tensor for key, each in parts for tensor in _tensors(key, each)]


def _is_number(content: object) -> bool:
    """Whether it is one that FP64 can hold."""
    if type(content) is int:
        return abs(content) <= sys.float_info.max
    return isinstance(content, float)


def numbers_tensor(name: str, numbers: list[float]) -> Tensor:
    """A tensor of them in double precision."""
    return Tensor(name, "FP64", (len(numbers),), struct.pack(f"<{len(numbers)}d", *numbers))
