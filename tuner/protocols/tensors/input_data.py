"""What requests carry: steps of tensors, in streams, and how several steps share a request."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, gcd

from tuner.errors import InputError
from tuner.load.requests import Tensor, TensorSpec

# Letters of a random string (perf_analyzer's `--string-length`).
STRING_LENGTH = 128
# Bytes of the copies of a stream at most: a step is copied into each request that carries it.
_MOST_COPIED_BYTES = 256 << 20


@dataclass(frozen=True)
class Step:
    """The inputs of one inference, without a batch dimension; the outputs that are known of it.

    The outputs may be some of the model's, or none: the rest is not compared.
    """

    inputs: tuple[Tensor, ...]
    expected: tuple[Tensor, ...] = ()


Stream = tuple[Step, ...]


@dataclass(frozen=True)
class InputData:
    """Streams of steps, each with at least one.

    Each stream is data of one sequence, in order. If it was `generated`, there is one stream of
    any number of steps, and so sequences are as long as one likes.
    """

    streams: tuple[Stream, ...]
    generated: bool


def batches(stream: Sequence[Step], batch: int, *, batched: bool) -> tuple[Step, ...]:
    """Requests of `batch` consecutive steps each, beginning again where the stream ends.

    Every step is carried as often as any other, but in a large stream, which is passed only once.
    A model that is `batched` gets the batch dimension in front of its shapes.

    Raises:
        InputError: The model has no batch dimension, or steps of one request differ in shape.
    """
    if batch < 1:
        raise ValueError(f"`batch >= 1` must hold, but got {batch}")
    if not batched:
        if batch > 1:
            raise InputError(
                f"`--batch {batch}` was given, but the model has no batch dimension",
                hint="leave `--batch` out, or set `max_batch_size` in the model's config.pbtxt",
            )
        return tuple(stream)
    starts = range(0, _requests(stream, batch) * batch, batch)
    return tuple(_request(stream, range(start, start + batch)) for start in starts)


def unbatched(specs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """Inputs or outputs without their batch dimension, which is the first."""
    return tuple(replace(spec, shape=spec.shape[1:]) for spec in specs)


def _requests(stream: Sequence[Step], batch: int) -> int:
    rounds = batch // gcd(batch, len(stream))
    tensors = (tensor for step in stream for tensor in (*step.inputs, *step.expected))
    if rounds * sum(len(tensor.data) for tensor in tensors) > _MOST_COPIED_BYTES:
        rounds = 1
    return ceil(rounds * len(stream) / batch)


def _request(stream: Sequence[Step], places: range) -> Step:
    numbered = [(place % len(stream) + 1, stream[place % len(stream)]) for place in places]
    return Step(
        _concatenated([(number, step.inputs) for number, step in numbered]),
        _concatenated([(number, step.expected) for number, step in numbered]),
    )


def _concatenated(numbered: list[tuple[int, tuple[Tensor, ...]]]) -> tuple[Tensor, ...]:
    first, tensors = numbered[0]
    for number, others in numbered:
        if _form(others) != _form(tensors):
            raise InputError(
                f"steps {first} and {number} of a stream cannot share a request of `--batch "
                f"{len(numbered)}`: one has {_form(tensors)}, the other {_form(others)}",
                hint="give all steps of a stream the same shapes, or leave `--batch` out",
            )
    return tuple(
        replace(
            each,
            shape=(len(numbered), *each.shape),
            data=b"".join(others[at].data for _, others in numbered),
        )
        for at, each in enumerate(tensors)
    )


def _form(tensors: tuple[Tensor, ...]) -> str:
    return ", ".join(f"`{each.name}` {list(each.shape)}" for each in tensors) or "nothing"
