"""What a Triton completes in a model's configuration, and what the model then sets by itself.

Backends fill in what a config.pbtxt leaves out (model_configuration.md, "Auto-Generated Model
Configuration"), or need none at all. A model of the Python backend does so in its
`auto_complete_config`, and does not take another `max_batch_size` then; an engine of TensorRT
takes none that is larger. So a server is asked, before it is decided what may vary.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from tuner.errors import ServerError, ServerTimeoutError
from tuner.space.space import SearchSpace
from tuner.targets.triton import config as model_config

# What backends complete; all else stays as the file has it.
_FILLED_IN = ("max_batch_size", "input", "output")
# What says which backend it is, where the file does not.
_NAMED_BY = ("backend", "platform")
_SCHEDULERS = ("dynamic_batching", "sequence_batching", "ensemble_scheduling")
_LARGEST = "max_batch_size"
_BATCHING = "dynamic_batching"
# Larger than any batch that the built-in spaces search.
_LARGE = 512

Ask = Callable[[Message], Message]
"""What the server has of a configuration that it is to load. ServerError: it does not load."""


@dataclass(frozen=True)
class Completion:
    """What a server made of a configuration.

    `fixed` are the fields that the model sets whatever a configuration says, with their values.
    `largest` is the largest batch that it takes; None if none is known.
    """

    config: Message
    fixed: Mapping[str, int] = field(default_factory=dict)
    largest: int | None = None

    def narrowed(self, space: SearchSpace) -> SearchSpace:
        """`space` without the values that the model does not take."""
        for parameter, path in space.names_of("config"):
            if path in self.fixed:
                space = space.with_constant(parameter.name, self.fixed[path])
            elif path == _LARGEST and self.largest is not None:
                space = space.up_to(parameter.name, self.largest)
        return space

    def sentence(self, name: str) -> str:
        """What is to be known of it."""
        message: Any = self.config
        tensors = [each.name for each in (*message.input, *message.output)]
        batching = f", {_BATCHING}" if message.HasField(_BATCHING) else ""
        said = (
            f"Triton completes the configuration of `{name}`: max_batch_size "
            f"{message.max_batch_size}{batching}, tensors {', '.join(tensors) or 'none'}"
        )
        if self.fixed:
            return f"{said}; the model sets {' and '.join(self.fixed)} itself: not searched"
        if self.largest is not None:
            return f"{said}; larger batches than {self.largest} do not load: not searched"
        return said


def needs_server(config: Message, program: str) -> bool:
    """Whether a server may know more of a model than its `config`.

    `program` is the source of a model of the Python backend, empty for any other.
    """
    message: Any = config
    if message.HasField("ensemble_scheduling"):
        return False
    if not (message.input and message.output):
        return True
    if program or message.backend == "python":
        return "auto_complete_config" in program
    # An engine of TensorRT has a largest batch; others choose one where there is none.
    return "tensorrt" in (message.backend + message.platform) or not message.max_batch_size


def completed(config: Message, ask: Ask) -> Completion:
    """`config` as a server completes it, and what the model sets by itself.

    Raises:
        ServerError: It does not load.
    """
    whole: Any = _filled_in(config, ask(config))
    batch = whole.max_batch_size
    if not batch or any(whole.HasField(each) for each in _SCHEDULERS[1:]):
        return Completion(whole)
    other = 1 if batch > 1 else 2
    fixed = {}
    try:
        effective: Any = ask(model_config.changed(whole, {_LARGEST: other, _BATCHING: None}))
    except ServerTimeoutError:
        raise
    except ServerError:
        fixed[_LARGEST] = batch
    else:
        if effective.max_batch_size != other:
            fixed[_LARGEST] = batch
        if effective.HasField(_BATCHING):
            fixed[_BATCHING] = 1
    return Completion(whole, fixed, None if fixed else _largest(whole, ask))


def _largest(whole: Any, ask: Ask) -> int | None:
    """The largest batch that the model takes; None if it takes any."""
    try:
        ask(model_config.changed(whole, {_LARGEST: _LARGE}))
    except ServerTimeoutError:
        raise
    except ServerError:
        return int(whole.max_batch_size)
    return None


def _filled_in(config: Message, effective: Any) -> Message:
    """`config` with what it leaves out, as the server has it."""
    whole: Any = type(config)()
    whole.CopyFrom(config)
    named = any(getattr(whole, each) for each in _NAMED_BY)
    for name in _FILLED_IN if named else (*_NAMED_BY, *_FILLED_IN):
        whole.ClearField(name)
        value = getattr(effective, name)
        if isinstance(value, int | str):
            setattr(whole, name, value)
        else:
            getattr(whole, name).MergeFrom(value)
    if not any(whole.HasField(each) for each in _SCHEDULERS):
        if effective.HasField(_BATCHING):  # its sizes and delay are the server's defaults
            whole.dynamic_batching.SetInParent()
        elif effective.HasField("sequence_batching"):
            whole.sequence_batching.CopyFrom(effective.sequence_batching)
    if effective.model_transaction_policy.decoupled:
        whole.model_transaction_policy.decoupled = True
    return whole  # type: ignore[no-any-return]
