"""How many tokens a text has: by the server, by a file of the model, or by an estimate."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from tuner.errors import InputError


class Tokenizer(Protocol):
    """Counts tokens; `by` says who does, in words."""

    @property
    def by(self) -> str: ...

    def counts(self, texts: Sequence[str]) -> list[int]:
        """The tokens of each text, without any that mark its beginning or end.

        Raises:
            ServerError: A server that counts does not answer.
        """


class Estimate:
    """One token for each word: roughly so of common English words in vocabularies of today."""

    by = "an estimate: one token for each word"

    def counts(self, texts: Sequence[str]) -> list[int]:
        return [max(1, len(text.split())) for text in texts]


@dataclass(frozen=True)
class FileTokenizer:
    """The `tokenizer.json` of a model, read by the library `tokenizers`.

    Raises:
        InputError: The library is not installed, or the file cannot be used.
    """

    path: Path

    def __post_init__(self) -> None:
        _ = self._tokenizer

    @property
    def by(self) -> str:
        return f"the tokenizer {self.path}"

    def counts(self, texts: Sequence[str]) -> list[int]:
        encoded = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [len(each.ids) for each in encoded]

    @cached_property
    def _tokenizer(self) -> Any:
        try:
            # Only who names a file needs it.
            from tokenizers import Tokenizer as Library
        except ImportError:
            raise InputError(
                f"`--tokenizer {self.path}` needs the library `tokenizers`",
                hint='`pip install "serving-tuner[llm]"`, or leave it out: the server counts, '
                "where it can",
            ) from None
        file = _file(self.path)
        try:
            return Library.from_file(str(file))
        except Exception as error:  # noqa: BLE001 - the library raises plain exceptions
            raise _unusable(file, error) from None


def digest(path: Path) -> str:
    """Ten hexadecimal digits that change when the model's `tokenizer.json` at `path` does.

    Raises:
        InputError: It cannot be read.
    """
    file = _file(path)
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()[:10]
    except OSError as error:
        raise _unusable(file, error.strerror) from None


def _file(path: Path) -> Path:
    return path / "tokenizer.json" if path.is_dir() else path


def _unusable(file: Path, why: object) -> InputError:
    return InputError(
        f"`--tokenizer {file}` cannot be used: {why}",
        hint="a model's `tokenizer.json` is expected, or its folder",
    )
