"""Requests that are made up for a model of tensors, and the first look at its answer."""

from collections.abc import Sequence

import pytest

from tuner.errors import InputError, Reason, TrialFailure
from tuner.load.requests import Tensor, TensorSpec
from tuner.targets import made_up_requests
from tuner.targets.request_form import RequestForm

IDS, MASK = TensorSpec("ids", "INT64", (-1, 4)), TensorSpec("mask", "INT64", (-1, 4))


def made(specs: Sequence[TensorSpec], variant: str = "") -> tuple[Tensor, ...]:
    form = RequestForm()
    [inputs] = made_up_requests.inputs(specs, form, batched=True, seeds=[7], variant=variant)
    return inputs


def test_the_order_of_inputs_does_not_matter() -> None:
    """Two forms of a model that name their inputs in another order get the same ones."""
    one, other = made((IDS, MASK)), made((MASK, IDS))
    assert [tensor.name for tensor in one] == ["ids", "mask"]
    assert other == one[::-1]
    assert one[0].data != one[1].data


def test_requests_are_as_many_as_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Distinct ones, and one at least."""
    seeds = made_up_requests.SEEDS
    for room, count in ((1 << 20, len(seeds)), (100, 3), (1, 1)):
        monkeypatch.setattr(made_up_requests, "_DISTINCT_BYTES", room)
        inputs = made_up_requests.inputs([IDS], RequestForm(), batched=True, seeds=seeds)
        found = made_up_requests.request_set(lambda each: each[0].data, inputs, RequestForm())
        assert len(set(found.payloads)) == count


class TestWhatDoesNotFit:
    OPEN = TensorSpec("x", "FP32", (-1, -1))

    def test_the_model_itself(self) -> None:
        """What the study begins with must fit: a person is told what to say."""
        with pytest.raises(InputError):
            made([self.OPEN])

    def test_another_form(self) -> None:
        """A form that cannot be sent the study's requests fails its trial, not the study."""
        with pytest.raises(TrialFailure) as caught:
            made([self.OPEN], variant="the variant `b`")
        assert caught.value.reason is Reason.INVALID_CONFIGURATION
        assert str(caught.value).startswith(
            "the requests of this study do not fit the variant `b`: input `x` has the open shape"
        )
