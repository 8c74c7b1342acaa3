"""Requests for a model of tensors, made up or given, and the first look at its answers."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice

import numpy as np

from tuner.errors import InputError, Reason, TrialFailure
from tuner.load.requests import Tensor, TensorSpec
from tuner.protocols.tensors.datatypes import NUMPY_TYPES, element_bytes, is_floating
from tuner.protocols.tensors.input_data import Step, Stream, batches, unbatched
from tuner.protocols.tensors.inputs import InputOptions, generate_inputs, read_input_data
from tuner.protocols.tensors.values import to_array
from tuner.targets.request_form import RequestForm

# Of the made-up input whose outputs all configurations must agree on.
_GOLDEN_SEED = 7
# Of given data, the outputs of so many first steps are compared.
_GOLDEN_STEPS = 4
# Distinct requests are sent in turn, so that no cache learns them by heart: this number of them,
_DISTINCT_REQUESTS = 64
# as far as they take no more bytes together.
_DISTINCT_BYTES = 32 << 20


@dataclass(frozen=True, kw_only=True)
class Interface:
    """What a model takes and gives; shapes begin with the batch dimension if it is `batched`.

    Requests of a `stateful` one are steps of sequences. `variant` is the form of the model that it
    is of; empty is the only one there is, or the one that the study begins with.
    """

    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec] = ()
    batched: bool
    stateful: bool = False
    variant: str = ""


def golden(model: Interface, form: RequestForm) -> tuple[Step, ...]:
    """The requests whose outputs are compared: a made-up one, or the first of those given.

    Of a stateful model they are a sequence, in this order.

    Raises: As `streams`.
    """
    with _fitting(model):
        if form.files:
            return streams(model, form)[0][:_GOLDEN_STEPS]
        seeds = range(_GOLDEN_SEED, _GOLDEN_SEED + (_GOLDEN_STEPS if model.stateful else 1))
        return tuple(_made_up(model, form, seeds))


def streams(model: Interface, form: RequestForm) -> tuple[Stream, ...]:
    """The requests of a study, each a step of the form's batch; made-up ones are one stream.

    What a made-up input holds depends on its name and on the names beside it, not on their order.

    Raises:
        InputError: The model cannot be sent what the study sends.
        TrialFailure: A variant cannot: no more than its trial fails (`invalid_configuration`).
    """
    with _fitting(model):
        if not form.files:
            return (tuple(_as_memory_allows(_made_up(model, form, range(_DISTINCT_REQUESTS)))),)
        inputs, outputs = model.inputs, model.outputs
        if model.batched:
            inputs, outputs = unbatched(inputs), unbatched(outputs)
        names = [str(file) for file in form.files]
        data = read_input_data(names, inputs, outputs, InputOptions(shapes=form.shapes))
        return tuple(batches(each, form.batch, batched=model.batched) for each in data.streams)


Ask = Callable[[int, int, Step], tuple[Tensor, ...]]
"""The outputs for a step, by the number of the asker and that of the step, from 0 on."""


def answers(ask: Ask, steps: Sequence[Step], count: int) -> tuple[tuple[Tensor, ...], ...]:
    """What each of `count` askers is answered, the outputs of all steps behind each other.

    They ask at once, each one step after the other. Outputs of the second step and of later ones
    say so in their names.
    """

    def outputs(asker: int) -> tuple[Tensor, ...]:
        found = (ask(asker, number, step) for number, step in enumerate(steps))
        return numbered(found, "step")

    with ThreadPoolExecutor(count) as pool:
        return tuple(pool.map(outputs, range(count)))


def numbered(several: Iterable[Iterable[Tensor]], what: str) -> tuple[Tensor, ...]:
    """Tensors behind each other, which from the second of `several` on say that in their names."""
    return tuple(
        replace(each, name=f"{each.name} of {what} {number}") if number > 1 else each
        for number, tensors in enumerate(several, 1)
        for each in tensors
    )


def check_answer(outputs: Iterable[Tensor]) -> None:
    """Each output has as many bytes as its shape says, and no NaN.

    Raises:
        TrialFailure: One has not (`wrong_output`).
    """
    for output in outputs:
        if output.datatype not in NUMPY_TYPES:
            continue
        size = element_bytes(output.datatype) * math.prod(output.shape)
        if len(output.data) != size:
            raise TrialFailure(
                Reason.WRONG_OUTPUT,
                f"output `{output.name}` of shape {list(output.shape)} must have {size} bytes, "
                f"but has {len(output.data)}; see whether the model runs with the numpy that the "
                "server was made for",
            )
        if is_floating(output.datatype) and np.isnan(to_array(output)).any():
            raise TrialFailure(
                Reason.WRONG_OUTPUT, f"output `{output.name}` contains NaN for the fixed input"
            )


@contextmanager
def _fitting(model: Interface) -> Iterator[None]:
    """What does not fit a variant is the fault of its trial."""
    try:
        yield
    except InputError as error:
        if not model.variant:
            raise
        complaint = f"the requests of this study do not fit {model.variant}: {error}"
        raise TrialFailure(Reason.INVALID_CONFIGURATION, complaint) from None


def _made_up(model: Interface, form: RequestForm, seeds: Iterable[int]) -> Iterator[Step]:
    """For each seed a request, its inputs in the order of the model's."""
    if form.batch > 1 and not model.batched:
        raise InputError(
            f"`--batch {form.batch}` was given, but the model has no batch dimension",
            hint="leave `--batch` out, or give the model one (Triton: `max_batch_size` in "
            "config.pbtxt)",
        )
    by_name = sorted(model.inputs, key=lambda spec: spec.name)
    if model.batched:
        by_name = [replace(spec, shape=(form.batch, *spec.shape[1:])) for spec in by_name]
    for seed in seeds:
        inputs = generate_inputs(
            by_name,
            seed=seed,
            zero=form.zero,
            shapes=form.shapes,
            string_length=form.string_length,
            string_data=form.string_data,
        )
        made = {each.name: each for each in inputs}
        yield Step(tuple(made[spec.name] for spec in model.inputs))


def _as_memory_allows(steps: Iterator[Step]) -> Iterator[Step]:
    first = next(steps)
    size = sum(len(tensor.data) for tensor in first.inputs)
    return chain([first], islice(steps, max(0, _DISTINCT_BYTES // max(1, size) - 1)))
