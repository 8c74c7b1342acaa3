"""Who counts tokens, where no server does: a file of the model, or an estimate."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.refusals import refused
from tuner.errors import InputError
from tuner.workload.tokenizers import Estimate, FileTokenizer

WORDS: dict[str, Any] = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [],
    "normalizer": None,
    "pre_tokenizer": {"type": "Whitespace"},
    "post_processor": None,
    "decoder": None,
    "model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "a": 1}, "unk_token": "[UNK]"},
}


def test_an_estimate() -> None:
    """A token for each word, and at least one."""
    assert Estimate().counts(["one two  three", ""]) == [3, 1]
    assert Estimate().by == "an estimate: one token for each word"


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said how to have it, and that it may be left out."""
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with refused(
        "`--tokenizer tokenizer.json` needs the library `tokenizers`",
        '`pip install "serving-tuner[llm]"`, or leave it out: the server counts, where it can',
    ):
        FileTokenizer(Path("tokenizer.json"))


class TestTheLibrary:
    """What a model's `tokenizer.json` counts."""

    @pytest.fixture(autouse=True)
    def library(self) -> None:
        pytest.importorskip("tokenizers")

    def test_a_file_or_its_folder(self, tmp_path: Path) -> None:
        """Without marks of beginning and end."""
        file = tmp_path / "tokenizer.json"
        file.write_text(json.dumps(WORDS))
        for path in (file, tmp_path):
            tokenizer = FileTokenizer(path)
            assert tokenizer.counts(["a b, c", "a"]) == [4, 1]
            assert tokenizer.by == f"the tokenizer {path}"

    def test_no_tokenizer(self, tmp_path: Path) -> None:
        """The library's own words are in the message."""
        file = tmp_path / "tokenizer.json"
        file.write_text("{}")
        with pytest.raises(InputError, match=r"tokenizer\.json` cannot be used: ") as caught:
            FileTokenizer(file)
        assert caught.value.hint == "a model's `tokenizer.json` is expected, or its folder"
