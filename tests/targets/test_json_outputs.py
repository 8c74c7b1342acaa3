"""Answers of any form as tensors."""

import json
import math
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.errors import TrialFailure
from tuner.load.requests import Tensor
from tuner.protocols.tensors.datatypes import pack_strings
from tuner.study.outputs import check_outputs
from tuner.targets.json_outputs import as_tensors

NUMBERS = st.integers() | st.floats(allow_nan=False)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: (
        st.lists(inner) | st.lists(NUMBERS) | st.dictionaries(st.text(max_size=3), inner)
    ),
)


def numbers(name: str, *values: float) -> Tensor:
    return Tensor(name, "FP64", (len(values),), struct.pack(f"<{len(values)}d", *values))


def text(name: str, content: bytes) -> Tensor:
    return Tensor(name, "BYTES", (1,), pack_strings([content]))


@pytest.mark.parametrize(
    ("answer", "tensors"),
    [
        pytest.param("0.5", [numbers("answer", 0.5)], id="number"),
        pytest.param("[1, 2.5, -3e2]", [numbers("answer", 1, 2.5, -300)], id="list"),
        pytest.param(
            '{"scores": [0.5, 0.25], "count": 2}',
            [numbers("answer.count", 2), numbers("answer.scores", 0.5, 0.25)],
            id="mapping",
        ),
        pytest.param(
            '[{"box": [1, 2], "label": "cat"}, {"box": [3, 4], "label": "dog"}]',
            [
                numbers("answer[0].box", 1, 2),
                text("answer[0].label", b'"cat"'),
                numbers("answer[1].box", 3, 4),
                text("answer[1].label", b'"dog"'),
            ],
            id="detections",
        ),
        pytest.param(
            "[[1, 2], [3]]", [numbers("answer[0]", 1, 2), numbers("answer[1]", 3)], id="rows"
        ),
        pytest.param(
            "[1, null]", [numbers("answer[0]", 1), text("answer[1]", b"null")], id="mixed"
        ),
        pytest.param("true", [text("answer", b"true")], id="boolean"),
        pytest.param(
            "[true, false]", [text("answer[0]", b"true"), text("answer[1]", b"false")], id="flags"
        ),
        pytest.param('"ä"', [text("answer", b'"\\u00e4"')], id="string"),
        pytest.param("[]", [], id="empty-list"),
        pytest.param("{}", [], id="empty-mapping"),
        pytest.param("[Infinity]", [numbers("answer", math.inf)], id="infinity"),
    ],
)
def test_an_answer_in_json(answer: str, tensors: list[Tensor]) -> None:
    """Numbers are numbers, called by their place; all else is its JSON."""
    assert as_tensors(answer.encode()) == tuple(tensors)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"cat", id="text"),
        pytest.param(b"\xff\xd8\xff\xe0\0\x10JFIF", id="image"),
        pytest.param(b'{"a": 1', id="cut-off"),
        pytest.param(b"1" * 5000, id="more-digits-than-python-reads"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, id="deep-for-the-parser"),
        pytest.param(b"[" * 900 + b"1" + b"]" * 900, id="deep-for-us"),
    ],
)
def test_any_other_answer(body: bytes) -> None:
    """What is no JSON, or none that can be taken apart, is one text: its bytes."""
    assert as_tensors(body) == (text("answer", body),)


def test_a_number_beyond_all_that_are_counted() -> None:
    """A whole number that FP64 cannot hold is compared as text; the others stay numbers."""
    huge = b"1" + b"0" * 400
    assert as_tensors(b"[1, %b]" % huge) == (numbers("answer[0]", 1), text("answer[1]", huge))
    assert as_tensors(b"[%d]" % 2**1023) == (numbers("answer", 2.0**1023),)


def test_answers_are_compared_as_numbers() -> None:
    """The same answer with other digits is the same; another one is not, and is named."""
    baseline = as_tensors(b'{"label": "cat", "score": 0.2500001}')

    check_outputs(baseline, as_tensors(b'{"score":0.25,"label":"cat"}'))
    with pytest.raises(TrialFailure, match=r"output `answer\.score` differs"):
        check_outputs(baseline, as_tensors(b'{"label": "cat", "score": 0.3}'))
    with pytest.raises(TrialFailure, match=r"output `answer\.label` is not the baseline's"):
        check_outputs(baseline, as_tensors(b'{"label": "dog", "score": 0.25}'))


def numbers_in(content: object) -> Iterator[float]:
    match content:
        case bool():
            pass
        case int() | float():
            yield float(content)
        case dict():
            for value in content.values():
                yield from numbers_in(value)
        case list():
            for value in content:
                yield from numbers_in(value)
        case _:
            pass


def values_of(tensor: Tensor) -> tuple[float, ...]:
    return struct.unpack(f"<{tensor.shape[0]}d", tensor.data)


@settings(deadline=None)
@given(DOCUMENTS)
def test_all_numbers_appear(content: object) -> None:
    """Whatever the document: every number of it, as often as it is there, and no other."""
    tensors = as_tensors(json.dumps(content).encode())

    found = [n for t in tensors if t.datatype == "FP64" for n in values_of(t)]
    assert sorted(found) == sorted(numbers_in(content))


def reordered(content: object) -> object:
    match content:
        case dict():
            return {key: reordered(content[key]) for key in reversed(content)}
        case list():
            return [reordered(each) for each in content]
        case _:
            return content


@settings(deadline=None)
@given(DOCUMENTS)
def test_equal_documents_are_equal_tensors(content: object) -> None:
    """Neither blanks nor escapes nor the order of keys matter."""
    one = json.dumps(content)
    other = json.dumps(reordered(content), indent=2, ensure_ascii=False)

    assert as_tensors(one.encode()) == as_tensors(other.encode())


@settings(deadline=None)
@given(st.binary())
def test_any_bytes(body: bytes) -> None:
    """No answer is beyond it, and an answer is always like itself."""
    assert as_tensors(body) == as_tensors(body)
