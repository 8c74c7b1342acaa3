"""Requests for a model of tensors, made up or given."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.refusals import refused
from tuner.errors import InputError, Reason, TrialFailure
from tuner.load.requests import Tensor, TensorSpec
from tuner.protocols.tensors.datatypes import unpack_strings
from tuner.protocols.tensors.input_data import Step
from tuner.targets import tensor_requests
from tuner.targets.request_form import RequestForm
from tuner.targets.tensor_requests import Interface

FORM = RequestForm()

IDS, MASK = TensorSpec("ids", "INT64", (-1, 4)), TensorSpec("mask", "INT64", (-1, 4))


def model(*specs: TensorSpec, variant: str = "", batched: bool = True) -> Interface:
    outputs = (TensorSpec("sum", "INT64", (-1, 1)),)
    return Interface(inputs=specs, outputs=outputs, batched=batched, variant=variant)


def made(*specs: TensorSpec, form: RequestForm = FORM, variant: str = "") -> tuple[Tensor, ...]:
    [step] = tensor_requests.golden(model(*specs, variant=variant), form)
    return step.inputs


def given(folder: Path, steps: int, **more: object) -> RequestForm:
    """A form with a file of so many steps: all ids of a step are its number."""
    data = [{"ids": [number] * 4} for number in range(steps)]
    (folder / "data.json").write_text(json.dumps({"data": data, **more}))
    return RequestForm(files=(folder / "data.json",))


class TestMadeUp:
    def test_the_order_of_inputs_does_not_matter(self) -> None:
        """Two forms of a model that name their inputs in another order get the same ones."""
        one, other = made(IDS, MASK), made(MASK, IDS)
        assert [tensor.name for tensor in one] == ["ids", "mask"]
        assert other == one[::-1]
        assert one[0].data != one[1].data

    def test_shapes(self) -> None:
        """The batch dimension is the request's batch, open dimensions come from the form."""
        form = RequestForm(batch=2, shapes={"x": (5, 4)})
        [x] = made(TensorSpec("x", "FP32", (-1, -1, 4)), form=form)
        assert x.shape == (2, 5, 4)

    def test_zero(self) -> None:
        """Zero data is zero."""
        [x] = made(IDS, form=RequestForm(zero=True))
        assert x.data == bytes(32)

    def test_strings(self) -> None:
        """They are what was said, or as long."""
        text = TensorSpec("text", "BYTES", (-1, 1))
        [said] = made(text, form=RequestForm(string_data='{"a": 1}'))
        assert unpack_strings(said.data) == (b'{"a": 1}',)
        [long] = made(text, form=RequestForm(string_length=300))
        assert len(unpack_strings(long.data)[0]) == 300

    def test_batch_without_dimension(self) -> None:
        """A batch that the model cannot take would be counted, but never sent: refused."""
        with refused(
            "`--batch 4` was given, but the model has no batch dimension",
            "leave `--batch` out, or give the model one (Triton: `max_batch_size` in "
            "config.pbtxt)",
        ):
            tensor_requests.streams(model(IDS, batched=False), RequestForm(batch=4))

    def test_as_many_as_memory_allows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Distinct ones, and one at least."""
        for room, count in ((1 << 20, 64), (100, 3), (1, 1)):
            monkeypatch.setattr(tensor_requests, "_DISTINCT_BYTES", room)
            [stream] = tensor_requests.streams(model(IDS), FORM)
            assert len({step.inputs for step in stream}) == len(stream) == count


class TestGiven:
    def test_every_step_is_sent(self, tmp_path: Path) -> None:
        """In its order, with the batch dimension that the model has."""
        [stream] = tensor_requests.streams(model(IDS), given(tmp_path, 6))
        assert [step.inputs[0].shape for step in stream] == [(1, 4)] * 6
        assert [step.inputs[0].data[0] for step in stream] == [0, 1, 2, 3, 4, 5]

    def test_golden(self, tmp_path: Path) -> None:
        """The outputs of the first steps are compared."""
        steps = tensor_requests.golden(model(IDS), given(tmp_path, 6))
        assert [step.inputs[0].data[0] for step in steps] == [0, 1, 2, 3]

    def test_batch(self, tmp_path: Path) -> None:
        """Steps share a request."""
        form = replace(given(tmp_path, 4), batch=2)
        [stream] = tensor_requests.streams(model(IDS), form)
        assert [step.inputs[0].shape for step in stream] == [(2, 4)] * 2

    def test_validation_data(self, tmp_path: Path) -> None:
        """What is known of the outputs goes with the steps."""
        form = given(tmp_path, 1, validation_data=[{"sum": [4]}])
        [[step]] = tensor_requests.streams(model(IDS), form)
        assert step.expected == (Tensor("sum", "INT64", (1, 1), (4).to_bytes(8, "little")),)

    def test_another_form_of_the_model(self, tmp_path: Path) -> None:
        """A form that cannot be sent the data fails its trial, not the study."""
        with pytest.raises(TrialFailure) as caught:
            tensor_requests.streams(model(MASK, variant="the variant `b`"), given(tmp_path, 1))
        assert caught.value.reason is Reason.INVALID_CONFIGURATION


def test_answers_of_several_steps() -> None:
    """Each asker gets the outputs of all steps, and from the second on they say which."""
    steps = [Step((Tensor("x", "UINT8", (1,), bytes([number])),)) for number in range(2)]
    answers = tensor_requests.answers(lambda _, __, step: step.inputs, steps, 3)
    assert (
        answers
        == ((Tensor("x", "UINT8", (1,), b"\0"), Tensor("x of step 2", "UINT8", (1,), b"\1")),) * 3
    )


class TestWhatDoesNotFit:
    OPEN = TensorSpec("x", "FP32", (-1, -1))

    def test_the_model_itself(self) -> None:
        """What the study begins with must fit: a person is told what to say."""
        with pytest.raises(InputError):
            made(self.OPEN)

    def test_another_form(self) -> None:
        """A form that cannot be sent the study's requests fails its trial, not the study."""
        with pytest.raises(TrialFailure) as caught:
            made(self.OPEN, variant="the variant `b`")
        assert caught.value.reason is Reason.INVALID_CONFIGURATION
        assert str(caught.value).startswith(
            "the requests of this study do not fit the variant `b`: input `x` has the open shape"
        )
