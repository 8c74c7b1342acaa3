"""What parameters are about is told by what they set, not by what a space file calls them."""

from dataclasses import replace
from typing import Any

import pytest

from tuner.hints.gathered import configuration_facts
from tuner.hints.settings import parameters_of, setting_facts
from tuner.space import spec
from tuner.space.resolution import resolve
from tuner.space.settings import ConfigPath
from tuner.space.space import Configuration, SearchSpace

MACHINE = {
    "cores": 8,
    "memory_gib": 32,
    "numa_nodes": 2,
    "threads_per_core": 2,
    "numactl": 1,
    "gpus": 1,
}


def built_in(name: str) -> SearchSpace:
    return resolve(spec.load_space(spec.built_in()[name]), MACHINE)


def facts(space: str, **values: Any) -> dict[str, Any]:
    return setting_facts(built_in(space), Configuration.of(values))


@pytest.mark.parametrize(
    ("space", "values", "expected"),
    [
        (
            "triton",
            {"instance_count": 2, "threads": 4, "dynamic_batching": True, "max_batch_size": 12},
            {"instances": 2, "threads": 4, "batching": True, "batch": 12, "batch_is_power": False},
        ),
        ("triton", {"max_queue_delay_microseconds": 500}, {"delay_ms": 0.5}),
        ("triton_all", {"queue_size": 16}, {"queue": 16}),
        ("triton_all", {"allocator": "libjemalloc.so.2"}, {"allocator": True}),
        ("triton_cache", {"response_cache": True}, {"cache": True}),
        ("triton_onnxruntime", {"intra_op_thread_count": 3}, {"threads": 3}),
        ("triton_onnxruntime", {"gpu_accelerator": "none"}, {"accelerator": "none"}),
        (
            "triton_pytorch",
            {"inference_mode": True, "jit_executor": False, "tensor_fuser": True},
            {"inference_mode": True, "jit_flags": 1, "fuser": True},
        ),
        ("triton_pytorch", {"disable_optimized_execution": True}, {"unoptimized": True}),
        (
            "torchserve",
            {"workers": 4, "batch_size": 8, "max_batch_delay": 20, "threads": 2},
            {"instances": 4, "batch": 8, "batching": True, "delay_ms": 20, "threads": 2},
        ),
        ("torchserve", {"batch_size": 1}, {"batching": False}),
        (
            "torchserve",
            {"allocator": "libjemalloc.so.2", "openmp": "libiomp5.so"},
            {"allocator": True, "intel_openmp": True},
        ),
        ("torchserve", {"number_of_gpu": 1}, {"number_of_gpu": 1}),
        ("torchserve", {"cpu_launcher": True}, {"launcher": True}),
        (
            "tensorflow_serving",
            {"enable_batching": True, "batch_timeout_micros": 2000, "onednn": 0},
            {"batching": True, "delay_ms": 2.0, "onednn": False},
        ),
    ],
)
def test_built_in_spaces(space: str, values: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each server's own words become the same facts, in the same units."""
    found = facts(space, **values)

    assert {name: found.get(name) for name in expected} == expected


def test_what_is_not_set_is_not_known() -> None:
    """A parameter that a configuration does not have says nothing."""
    assert facts("triton") == {}


def test_no_number_of_threads_is_one_for_each_core() -> None:
    """So the backends have it that a server tells nothing of threads."""
    assert facts("triton_onnxruntime", intra_op_thread_count=0)["threads"] == 8
    assert facts("triton_pytorch", intra_op_threads=0)["threads"] == 8


def test_what_servers_preload() -> None:
    """Where a parameter sets LD_PRELOAD, they do not inherit that of the terminal."""
    assert facts("triton_all", allocator="default")["allocator"] is False
    assert "allocator" not in facts("triton", instance_count=1)


def test_only_torchserve_batches_by_the_size() -> None:
    """Elsewhere a largest batch is none that the server makes by itself."""
    assert "batching" not in facts("tensorflow_serving", max_batch_size=8)


def test_an_ensemble() -> None:
    """Where each of its models has the setting, none of them stands for all."""
    space = built_in("triton")
    count = space["instance_count"]
    sets = ConfigPath("instance_group[0].count", part="tail")
    other = replace(count, name="tail.instance_count", sets=sets)
    of_two = replace(space, parameters=(*space.parameters, other))
    values = {"instance_count": 4, "tail.instance_count": 1, "threads": 2}

    assert setting_facts(of_two, Configuration.of(values)) == {"threads": 2}


def test_numbers_that_are_texts_are_not_known() -> None:
    """Nothing can be worked out with them, so nothing is said."""
    assert "instances" not in facts("triton", instance_count="two")


def test_the_parameter_that_counts_comes_first() -> None:
    """Of several that are about one thing, in the order in which servers heed them."""
    names = [each.name for each in parameters_of("threads", built_in("triton_pytorch"))]

    assert names == ["intra_op_threads"]
    assert [p.name for p in parameters_of("allocator", built_in("torchserve"))] == ["allocator"]
    assert [p.name for p in parameters_of("intel_openmp", built_in("torchserve"))] == ["openmp"]


def test_defaults_and_the_winner() -> None:
    """`default` is the server without settings, `config` the winner, or the defaults again."""
    space = built_in("triton")
    winner = Configuration.of({"instance_count": 8, "threads": 1, "dynamic_batching": True})

    found = configuration_facts(space, winner)

    assert (found["default.threads"], found["config.threads"]) == (8, 1)
    assert (found["default.batching"], found["config.batching"]) == (False, True)
    assert configuration_facts(space, None)["config.threads"] == 8
