"""What a GGUF file says of its model, before its tokenizer and its weights.

Source: ggml's docs/gguf.md, "File Structure": a magic word, a version, two counts, then keys with
their types and values, little-endian; strings and arrays have their lengths before them.
"""

import struct
from pathlib import Path
from typing import BinaryIO

from tuner.errors import ModelError
from tuner.targets import staging

_MAGIC = b"GGUF"
# By the number of a type: integers, floating-point numbers and booleans, as `struct` has them.
_NUMBERS = dict(enumerate("BbHhIif?")) | dict(enumerate("Qqd", 10))
_TEXT, _LIST = 8, 9
# Where the vocabulary begins, which is long; what is read of a file stands before.
_TOKENIZER = "tokenizer."
_LONGEST_TEXT = 1 << 20

Metadata = dict[str, int | float | str]


def read_metadata(path: Path) -> Metadata:
    """The numbers and texts that stand before the tokenizer's, by their keys.

    Raises:
        ModelError: It is no GGUF file, or cannot be read.
    """
    with staging.readable(path), path.open("rb") as file:
        try:
            return _metadata(file)
        except (struct.error, ValueError, KeyError, RecursionError):
            raise ModelError(
                f"{path}: is no GGUF file, or not a whole one",
                hint="llama.cpp serves models in that form; its `convert_hf_to_gguf.py` makes it",
            ) from None


def _metadata(file: BinaryIO) -> Metadata:
    if file.read(len(_MAGIC)) != _MAGIC:
        raise ValueError("another magic word")
    _, _, count = _numbers(file, "IQQ")
    found: Metadata = {}
    for _ in range(int(count)):
        key = _text(file)
        if key.startswith(_TOKENIZER):
            break
        [kind] = _numbers(file, "I")
        if (value := _value(file, int(kind))) is not None:
            found[key] = value
    return found


def _value(file: BinaryIO, kind: int) -> int | float | str | None:
    """The next one; a list is passed over."""
    if kind == _TEXT:
        return _text(file)
    if kind != _LIST:
        return _numbers(file, _NUMBERS[kind])[0]
    [inner, count] = _numbers(file, "IQ")
    if inner in _NUMBERS:
        file.seek(int(count) * struct.calcsize(f"<{_NUMBERS[int(inner)]}"), 1)
        return None
    for _ in range(int(count)):
        _value(file, int(inner))
    return None


def _text(file: BinaryIO) -> str:
    [length] = _numbers(file, "Q")
    if length > _LONGEST_TEXT:
        raise ValueError("a text that long is none")
    data = file.read(int(length))
    if len(data) < length:
        raise ValueError("the file ends within a text")
    return data.decode(errors="replace")


def _numbers(file: BinaryIO, form: str) -> tuple[int | float, ...]:
    whole = f"<{form}"
    return struct.unpack(whole, file.read(struct.calcsize(whole)))
