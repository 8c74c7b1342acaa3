"""Requests that are made up for a model of tensors, and the first look at its answer."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from tuner.errors import InputError, Reason, TrialFailure
from tuner.load.requests import RequestSet, Tensor, TensorSpec
from tuner.protocols.tensors.datatypes import NUMPY_TYPES, element_bytes, is_floating
from tuner.protocols.tensors.values import to_array
from tuner.targets.request_form import RequestForm

GOLDEN_SEED = 7
"""Of the input whose outputs all configurations must agree on."""

# Distinct requests are sent in turn, so that no cache learns them by heart: this number of them,
_DISTINCT_REQUESTS = 64
# as far as they take no more bytes together.
_DISTINCT_BYTES = 32 << 20

SEEDS = range(_DISTINCT_REQUESTS)


def inputs(
    specs: Sequence[TensorSpec],
    form: RequestForm,
    *,
    batched: bool,
    seeds: Iterable[int],
    variant: str = "",
) -> Iterator[tuple[Tensor, ...]]:
    """For each seed the inputs of one request, in the order of `specs`.

    What an input holds depends on its name and on the names beside it, not on their order.
    `variant` is the form of the model that they are for; empty is the only one there is, or the
    one that the study begins with.

    Raises:
        InputError: The model cannot be sent what the study sends.
        TrialFailure: Such a variant cannot: no more than its trial fails
            (`invalid_configuration`).
    """
    by_name = sorted(specs, key=lambda spec: spec.name)
    for seed in seeds:
        try:
            made = {t.name: t for t in form.inputs(by_name, batched=batched, seed=seed)}
        except InputError as error:
            if not variant:
                raise
            complaint = f"the requests of this study do not fit {variant}: {error}"
            raise TrialFailure(Reason.INVALID_CONFIGURATION, complaint) from None
        yield tuple(made[spec.name] for spec in specs)


def request_set(
    prepare: Callable[[tuple[Tensor, ...]], bytes],
    made: Iterator[tuple[Tensor, ...]],
    form: RequestForm,
) -> RequestSet:
    """Requests of `made`, as many as memory allows."""
    first = prepare(next(made))
    rest = max(0, _DISTINCT_BYTES // len(first) - 1)
    return RequestSet((first, *islice(map(prepare, made), rest)), inferences=form.batch)


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
