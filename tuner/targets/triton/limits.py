"""What in a model configuration depends on its other fields, and so on what is searched.

A batch that the configuration prefers may not be larger than the largest one, a group of instances
on processors names no GPU, and so on: Triton refuses the model otherwise (core,
model_config_utils.cc, ValidateModelConfig; model_config.proto says it of each field).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from google.protobuf.message import Message

from tuner.space.expressions import Value
from tuner.space.space import Configuration, SearchSpace

_PREFERRED = "dynamic_batching.preferred_batch_size[0]"
_ON_GPUS = ("KIND_GPU", "KIND_AUTO")
_ACCELERATORS = ("gpu_execution_accelerator", "cpu_execution_accelerator")


def kept(standing: Message, applied: Message) -> Message:
    """`standing` with what its owner wrote kept within what the fields of `applied` allow.

    Nothing is taken out that is legal beside them.
    """
    base: Any = type(standing)()
    base.CopyFrom(standing)
    final: Any = applied
    _keep_batches(base, final.max_batch_size)
    _keep_priorities(base, final)
    for group, its in zip(base.instance_group, final.instance_group, strict=False):
        if group.Kind.Name(its.kind) not in _ON_GPUS:
            group.ClearField("gpus")
    for name in _ACCELERATORS:
        there, asked = (_accelerators(each, name) for each in (base, final))
        for own, its in zip(there, asked, strict=False):
            if own.name != its.name:
                own.ClearField("parameters")  # they are of the one that is not there any more
    return base  # type: ignore[no-any-return]


def tidy(config: Message) -> None:
    """Take accelerators out that have no name: a parameter says that there is none."""
    for name in _ACCELERATORS:
        entries = _accelerators(config, name)
        for each in [each for each in entries if not each.name]:
            entries.remove(each)


def impossible(config: Message) -> set[str]:
    """How the fields begin that cannot be had beside what the configuration has."""
    message: Any = config
    found = set()
    if message.model_transaction_policy.decoupled:
        found.add("response_cache")
    batching = message.dynamic_batching
    if batching.preserve_ordering:
        found.add("dynamic_batching.priority_levels")
    policies = [batching.default_queue_policy, *batching.priority_queue_policy.values()]
    delayed = any(each.timeout_action == each.DELAY for each in policies)
    if delayed or batching.priority_levels > 1:
        found.add("dynamic_batching.preserve_ordering")
    return found


def narrowed(space: SearchSpace, config: Message) -> SearchSpace:
    """`space` without the values that cannot be had beside what the configuration has.

    Hints that ask for smaller batches than those that its owner prefers ask for no preference.
    """
    message: Any = config
    for parameter, path in space.names_of("config"):
        if path.startswith("dynamic_batching.") and path.endswith(".timeout_action"):
            choices = [each for each in parameter.choices or () if each != "DELAY"]
            if message.dynamic_batching.preserve_ordering:
                space = space.with_choices(parameter.name, choices)
        if path == _PREFERRED:
            none = parameter.sets.omit
            hints = tuple(_within_rules(space, hint, parameter.name, none) for hint in space.hints)
            space = replace(space, hints=hints)
    return space


def _within_rules(
    space: SearchSpace, hint: Mapping[str, Value], name: str, none: Value | None
) -> Mapping[str, Value]:
    """`hint`, with `none` for the parameter called `name` if only that is within the rules."""
    if name in hint or none is None or not space.violations(space.activate(hint)):
        return hint
    without = {**hint, name: none}
    return hint if space.violations(space.activate(without)) else Configuration.of(without)


def _keep_batches(base: Any, largest: int) -> None:
    batchers = [base.dynamic_batching] if base.HasField("dynamic_batching") else []
    if base.HasField("sequence_batching") and base.sequence_batching.HasField("oldest"):
        batchers.append(base.sequence_batching.oldest)
    for batcher in batchers:
        sizes = [size for size in batcher.preferred_batch_size if size <= largest]
        batcher.preferred_batch_size[:] = sizes
    for sample in base.model_warmup:
        sample.batch_size = min(sample.batch_size, max(1, largest))
    if base.optimization.HasField("cuda"):
        graphs = base.optimization.cuda.graph_spec
        for each in [each for each in graphs if each.batch_size > largest]:
            graphs.remove(each)


def _keep_priorities(base: Any, final: Any) -> None:
    levels = final.dynamic_batching.priority_levels
    if levels:
        default = base.dynamic_batching.default_priority_level
        base.dynamic_batching.default_priority_level = min(max(1, default), levels)


def _accelerators(config: Any, name: str) -> Any:
    """The entries called so; reading them brings nothing in."""
    return getattr(config.optimization.execution_accelerators, name)
