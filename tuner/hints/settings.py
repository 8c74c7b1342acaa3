"""What the parameters of a space are about, whatever a space file calls them: by what they set."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tuner.space.expressions import Value, value_text
from tuner.space.space import Configuration, Parameter, SearchSpace
from tuner.targets.system_libraries import PRELOAD

_Place = tuple[str, str]
"""The kind of a setting and what the server calls it, as space files have them."""
_Made = Callable[[Value], Value]


@dataclass(frozen=True)
class Role:
    """What a setting is about; `made` brings its value to the form of the fact.

    Of several places the first counts that the configuration sets: a backend's own number of
    threads goes before OpenMP's. Of parameters at these places, those count of which a value has
    `word` in it. With `zero_is_most`, 0 stands for as many as there can be.
    """

    places: tuple[_Place, ...]
    made: _Made = lambda value: value
    word: str = ""
    zero_is_most: bool = False


def _preloading(word: str) -> Role:
    """Whether a library whose name has `word` in it is preloaded."""
    return Role((("environment", PRELOAD),), lambda value: word in value_text(value), word)


def _switch(value: Value) -> bool:
    return value_text(value) in ("true", "1")


def _backend(name: str) -> _Place:
    """A parameter of a Triton backend."""
    return ("config", f"parameters[{name}].string_value")


_DYNAMIC = "dynamic_batching"
# TorchServe makes batches wherever this is above 1.
_TORCHSERVE_BATCH = ("config", "batchSize")
# Fields of Triton's model configuration that also count where no parameter sets them.
QUEUE = f"{_DYNAMIC}.default_queue_policy.max_queue_size"
ACCELERATOR = "optimization.execution_accelerators.gpu_execution_accelerator[0].name"
CACHE = "response_cache.enable"
_FUSERS = ("ENABLE_TENSOR_FUSER", "ENABLE_NVFUSER")
_JIT_FLAGS = ("ENABLE_JIT_EXECUTOR", "ENABLE_JIT_PROFILING", *_FUSERS)

ROLES: Mapping[str, Role] = {
    "instances": Role((("config", "instance_group[0].count"), ("config", "minWorkers"))),
    "threads": Role(
        (
            *map(_backend, ("intra_op_thread_count", "INTRA_OP_THREAD_COUNT")),
            ("environment", "OMP_NUM_THREADS"),
        ),
        zero_is_most=True,
    ),
    "batching": Role((("config", _DYNAMIC), ("flag", "--enable_batching")), _switch),
    "batch": Role(
        (("config", "max_batch_size"), _TORCHSERVE_BATCH, ("property", "max_batch_size"))
    ),
    "delay_us": Role(
        (
            ("config", f"{_DYNAMIC}.max_queue_delay_microseconds"),
            ("property", "batch_timeout_micros"),
        )
    ),
    "delay_ms": Role((("config", "maxBatchDelay"),)),
    "preferred": Role((("config", f"{_DYNAMIC}.preferred_batch_size[0]"),)),
    "queue": Role((("config", QUEUE), ("property", "job_queue_size")), zero_is_most=True),
    "number_of_gpu": Role((("property", "number_of_gpu"),)),
    "accelerator": Role((("config", ACCELERATOR),)),
    "cache": Role((("config", CACHE),), _switch),
    "launcher": Role((("property", "cpu_launcher_enable"),), _switch),
    "disables_iomp": Role((("launcher", "--disable-iomp"),), _switch),
    "unoptimized": Role((_backend("DISABLE_OPTIMIZED_EXECUTION"),), _switch),
    "inference_mode": Role((_backend("INFERENCE_MODE"),), _switch),
    "execution_mode": Role((_backend("execution_mode"),)),
    "onednn": Role((("environment", "TF_ENABLE_ONEDNN_OPTS"),), _switch),
    "frontend": Role(
        (
            ("flag", "--http-thread-count"),
            ("property", "number_of_netty_threads"),
            ("flag", "--rest_api_num_threads"),
        )
    ),
    "allocator": _preloading("malloc"),
    "intel_openmp": _preloading("iomp5"),
}
_NUMBERS = frozenset(
    {
        *("instances", "threads", "batch", "delay_us", "delay_ms", "preferred", "queue"),
        *("number_of_gpu", "execution_mode"),
    }
)


def parameters_of(role: str, space: SearchSpace) -> tuple[Parameter, ...]:
    """The parameters of `space` that are about `role`, the one that counts first."""
    word = ROLES[role].word
    found = (p for place in ROLES[role].places for p in _at(place, space))
    return tuple(p for p in found if not word or any(word in str(c) for c in p.choices or ()))


def setting_facts(space: SearchSpace, configuration: Configuration) -> dict[str, Value]:
    """What `configuration` says of each role; nothing of those that it does not set."""
    facts = {
        role: said
        for role in ROLES
        for said in _said(role, space, configuration)
        # A space file may write a number as a text, with which nothing can be worked out.
        if role not in _NUMBERS or not isinstance(said, str)
    }
    delay_us = facts.pop("delay_us", None)
    if isinstance(delay_us, int | float):
        facts["delay_ms"] = delay_us / 1e3
    batch = facts.get("batch")
    if isinstance(batch, int) and batch >= 1:
        facts["batch_is_power"] = math.log2(batch).is_integer()
        if any(_at(_TORCHSERVE_BATCH, space)):
            facts["batching"] = batch > 1
    if PRELOAD in space.variables:  # then a server does not inherit it
        for role in ("allocator", "intel_openmp"):
            facts.setdefault(role, False)
    if "inference_mode" in facts:  # it is a TorchScript model
        on = {name for name in _JIT_FLAGS if _is_on(_backend(name), space, configuration)}
        facts["jit_flags"] = len(on)
        facts["fuser"] = not on.isdisjoint(_FUSERS)
    return facts


def _at(place: _Place, space: SearchSpace) -> Iterator[Parameter]:
    kind, called = place
    return (parameter for parameter, name in space.names_of(kind) if name == called)


def _said(role: str, space: SearchSpace, configuration: Configuration) -> Iterator[Value]:
    """The value, once; none where nothing sets it, or each model of an ensemble has its own."""
    active = [p for p in parameters_of(role, space) if p.name in configuration]
    if len({p.sets.names for p in active}) < len(active):
        return
    is_threads = role == "threads"
    for parameter in active:
        value = configuration[parameter.name]
        # No number of threads is no number: then another setting says how many,
        if not (is_threads and value == parameter.sets.omit):
            yield ROLES[role].made(value)
            return
    # or none does, and backends start as many as there are cores.
    if is_threads and active and "cores" in space.constants:
        yield space.constants["cores"]


def _is_on(place: _Place, space: SearchSpace, configuration: Configuration) -> bool:
    return any(
        _switch(configuration[p.name]) for p in _at(place, space) if p.name in configuration
    )
