"""Triton's model warm-up: the requests that a model answers before it is ready.

Source: Triton model_configuration.md, "Model Warmup". What compiles or chooses its kernels for
each size of a batch does so for sizes 1, 2, 4 ... here, and not in front of a user.
"""

from typing import Any

from google.protobuf.message import Message

PATH = "model_warmup"
"""The field of the model configuration; as a value, true is what `put` makes of it."""

# Schedulers whose requests do not stand for themselves.
_SCHEDULERS = ("sequence_batching", "ensemble_scheduling")


def is_possible(config: Message) -> bool:
    """Whether its inputs are known, with their shapes, and each request stands for itself."""
    message: Any = config
    inputs = [each for each in message.input if not each.optional]
    fixed = all(size > 0 for each in inputs for size in each.dims)
    return bool(inputs) and fixed and not any(message.HasField(name) for name in _SCHEDULERS)


def put(config: Message, *, on: bool) -> None:
    """Warm `config` up with zeros in batches of 1, 2, 4 ... and the largest; or not at all.

    Samples that are there already stay.
    """
    message: Any = config
    if not on:
        message.ClearField(PATH)
    elif not message.model_warmup:
        largest = max(1, message.max_batch_size)
        doublings = (2**n for n in range(largest.bit_length()))
        for size in sorted({*doublings, largest}):
            _add_sample(message, size)


def _add_sample(message: Any, batch_size: int) -> None:
    sample = message.model_warmup.add(name=f"batch of {batch_size}", batch_size=batch_size)
    for each in message.input:
        if not each.optional:
            tensor = sample.inputs[each.name]
            tensor.data_type = each.data_type
            tensor.dims.extend(each.dims)
            tensor.zero_data = True
