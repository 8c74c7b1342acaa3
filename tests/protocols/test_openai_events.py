"""Events that are like the one before them: what is heard is what each would say by itself."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.load.requests import Heard
from tuner.protocols.openai import OpenAiRule
from tuner.protocols.openai_events import FamiliarEvents
from tuner.protocols.openai_task import Task

RULE = OpenAiRule(Task.CHAT)
USAGE = {"prompt_tokens": 9, "total_tokens": 0}


def event(text: str, count: int | None = None, **delta: Any) -> bytes:
    """As vLLM writes it; of llama.cpp, the id comes after the text."""
    choice = {"index": 0, "delta": {"content": text, **delta}, "finish_reason": None}
    usage = {} if count is None else {"usage": USAGE | {"completion_tokens": count}}
    return compact({"id": "chatcmpl-17", "choices": [choice], "created": 1764527000} | usage)


def compact(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


class Counted:
    """The rule, and how often it was asked."""

    def __init__(self) -> None:
        self.reads = 0
        self.events = FamiliarEvents(self.read)

    def read(self, data: bytes) -> Heard:
        self.reads += 1
        return RULE.read(data)


@given(st.lists(st.tuples(st.text(max_size=6), st.none() | st.integers(0, 9999)), max_size=8))
def test_any_texts_and_counts(said: list[tuple[str, int | None]]) -> None:
    """Whatever comes after whatever: empty texts, escapes, characters of several bytes."""
    reader = RULE.reader()
    for text, count in said:
        data = event(text, count)
        assert reader.read(data) == RULE.read(data)


@pytest.mark.parametrize("count", [None, 1])
def test_only_the_first_of_many_is_taken_apart(count: int | None) -> None:
    """The others have another text, and perhaps another number of tokens."""
    counted = Counted()
    texts = (" the", "{", "caf\xe9", "\n", '"', "\N{GRINNING FACE}")
    for number, text in enumerate(texts):
        data = event(text, count and count + number)
        assert counted.events.read(data) == RULE.read(data)
    assert counted.reads == 1


@pytest.mark.parametrize(
    "other",
    [
        event(""),
        event("").replace(b'""', b'"\\u0000"'),
        event("x").replace(b'"x"', b'"\\q"'),
        event("x").replace(b'"x"', b'"\x01"'),
        event("x").replace(b'"x"', b'"\xff"'),
        event("x").replace(b'"x"', b'"x'),
        event("x").replace(b'"x"', b"7"),
        event("x").replace(b"null", b'"stop"'),
        event("x")[:-1],
        event("x") + b"}",
        event("x", 5),
        event("x", 0),
        event("x", 10**9),
        event("x", 10**10),
        event("x", 10**400),
        event("x", -1),
        event("x", 5).replace(b"5}", b"5e9}"),
        event("x", 5).replace(b"5}", b"Infinity}"),
        b"[" * 100_000,
        event("", refusal="no"),
        event("x").replace(b"17", b"18"),
        event("x").replace(b"created", b"error"),
        b"[DONE]",
        b"",
    ],
)
def test_what_only_looks_like_it(other: bytes) -> None:
    """Each is what it would be without the one before it, and the next is heard as well."""
    for first in (event("a"), event("a", 4)):
        reader = RULE.reader()
        for data in (first, other, event("b"), event("c", 6), first):
            assert reader.read(data) == RULE.read(data)


@pytest.mark.parametrize("count", [b"-1", b"1e400", b"Infinity", b"10000000000", b'"x"', b"[1]"])
def test_a_number_of_tokens_that_is_none(count: bytes) -> None:
    """It is no answer, whoever reads it: as the first event, or as one like those before."""
    data = event("x", 5).replace(b'"completion_tokens":5', b'"completion_tokens":' + count)
    reader = RULE.reader()
    for each in (data, event("x", 5), data):
        heard = reader.read(each)
        assert heard.fault == ("" if b":5}" in each else "bad_response")


def test_several_fields_of_text() -> None:
    """One of them changes: what the others say stays."""
    counted = Counted()
    for text in ("a", "b"):
        data = event(text, reasoning_content="hm")
        assert counted.events.read(data) == Heard(tokens=True)
    assert counted.reads == 1
    assert counted.events.read(event("", reasoning_content="hm")) == Heard(tokens=True)
    assert counted.events.read(event("")) == Heard()
