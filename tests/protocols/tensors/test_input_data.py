"""Several steps of a stream in one request."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.refusals import refused
from tuner.load.requests import Tensor
from tuner.protocols.tensors.input_data import Step, batches


def step(value: int, *, shape: tuple[int, ...] = (2,), name: str = "Y") -> Step:
    """An input, and an output called `name`, of the bytes that `value` is."""
    data = bytes([value]) * 2
    expected = (Tensor(name, "UINT8", (2,), data),) if name else ()
    return Step((Tensor("X", "UINT8", shape, data),), expected)


STREAM = [step(value) for value in range(6)]


def values(request: Step) -> list[int]:
    [tensor] = request.inputs
    return list(tensor.data[::2])


def test_steps_are_put_behind_each_other() -> None:
    """Inputs and expected outputs get the batch dimension in front, and the steps' bytes."""
    first, second = batches(STREAM, 3, batched=True)
    assert first.inputs == (Tensor("X", "UINT8", (3, 2), b"\0\0\1\1\2\2"),)
    assert first.expected == (Tensor("Y", "UINT8", (3, 2), b"\0\0\1\1\2\2"),)
    assert values(second) == [3, 4, 5]


def test_a_batch_of_one_has_the_dimension_too() -> None:
    """A batched model always gets a batch dimension, any other model never."""
    assert batches(STREAM, 1, batched=True)[5].inputs == (Tensor("X", "UINT8", (1, 2), b"\5\5"),)
    assert batches(STREAM, 1, batched=False) == tuple(STREAM)


def test_a_batch_may_be_larger_than_the_stream() -> None:
    """Then steps repeat within a request."""
    requests = batches(STREAM[:2], 3, batched=True)
    assert [values(request) for request in requests] == [[0, 1, 0], [1, 0, 1]]


@given(st.integers(1, 40), st.integers(1, 40))
@settings(deadline=None)
def test_every_step_is_sent_as_often_as_any_other(steps: int, batch: int) -> None:
    """Requests carry the stream's steps in order, again from the start, until that ends evenly."""
    requests = batches([step(value) for value in range(steps)], batch, batched=True)
    sent = [value for request in requests for value in values(request)]
    assert sent == [place % steps for place in range(len(sent))]
    assert len(set(Counter(sent).values())) == 1
    assert len(sent) == len(requests) * batch <= steps * batch


def test_a_large_stream_is_passed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of a step do not fill the memory; then the last request begins the stream again."""
    evenly = 6 * 4 * 2  # bytes of six steps, twice
    monkeypatch.setattr("tuner.protocols.tensors.input_data._MOST_COPIED_BYTES", evenly)
    assert len(batches(STREAM, 4, batched=True)) == 3
    monkeypatch.setattr("tuner.protocols.tensors.input_data._MOST_COPIED_BYTES", evenly - 1)
    requests = batches(STREAM, 4, batched=True)
    assert [values(request) for request in requests] == [[0, 1, 2, 3], [4, 5, 0, 1]]


@pytest.mark.parametrize(
    ("other", "forms"),
    [
        (step(9, shape=(1, 2)), "one has `X` [1, 2], the other `X` [2]"),
        (step(9, name="Z"), "one has `Z` [2], the other `Y` [2]"),
        (step(9, name=""), "one has nothing, the other `Y` [2]"),
    ],
)
def test_steps_of_one_request_are_alike(other: Step, forms: str) -> None:
    """Tensors of different shapes, or different outputs, cannot be put together."""
    stream = [*STREAM[:4], other]
    with refused(
        f"steps 5 and 1 of a stream cannot share a request of `--batch 2`: {forms}",
        "give all steps of a stream the same shapes, or leave `--batch` out",
    ):
        batches(stream, 2, batched=True)
    assert len(batches(stream, 1, batched=True)) == 5


def test_a_model_without_a_batch_dimension() -> None:
    """It takes one step in a request."""
    with refused(
        "`--batch 2` was given, but the model has no batch dimension",
        "leave `--batch` out, or set `max_batch_size` in the model's config.pbtxt",
    ):
        batches(STREAM, 2, batched=False)


def test_a_request_carries_something() -> None:
    """A batch of none is no request."""
    with pytest.raises(ValueError, match="`batch >= 1` must hold, but got 0"):
        batches(STREAM, 0, batched=True)
