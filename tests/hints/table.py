"""For each hint the facts that make it fire, and what of them has to change to keep it silent."""

from collections.abc import Mapping
from typing import Any

_Facts = Mapping[str, Any]
TRITON = {"server.kind": "triton"}
TORCHSERVE = {"server.kind": "torchserve"}
TENSORFLOW = {"server.kind": "tensorflow_serving"}
NO_GPU = {"host.gpus": 0}
ONE_GPU = {"host.gpus": 1}
DOCKER = {"server.runner": "docker"}

TABLE: Mapping[str, tuple[_Facts, _Facts]] = {
    "one-thread-per-worker": (
        {**NO_GPU, "host.cores": 8, "default.threads": 8},
        {"default.threads": 1},
    ),
    "oversubscribed-cores": (
        {**NO_GPU, "config.instances": 4, "config.threads": 4, "host.cores": 8},
        {"config.threads": 2},
    ),
    "idle-cores": (
        {
            **NO_GPU,
            "config.instances": 2,
            "config.threads": 1,
            "host.cores": 8,
            "result.busy": 0.25,
        },
        {"config.instances": 8},
    ),
    "workers-above-physical-cores": (
        {**TORCHSERVE, **NO_GPU, "config.instances": 16, "host.physical_cores": 8},
        {"config.instances": 8},
    ),
    "workers-below-half-the-cores": (
        {
            **TORCHSERVE,
            **NO_GPU,
            "config.threads": 1,
            "config.instances": 2,
            "host.physical_cores": 8,
        },
        {"config.instances": 4},
    ),
    "hardware-threads": (
        {
            **NO_GPU,
            "host.threads_per_core": 2,
            "config.instances": 8,
            "config.threads": 1,
            "host.physical_cores": 4,
        },
        {"config.instances": 4},
    ),
    "numa-binding": (
        {**NO_GPU, "host.numa_nodes": 2, "config.instances": 3},
        {"config.instances": 4},
    ),
    "several-numa-nodes": ({"host.numa_nodes": 2}, {"host.numa_nodes": 1}),
    "quota-below-processors": ({"host.quota": 2.5, "host.usable": 16}, {"host.quota": 16}),
    "threads-above-quota": (
        {**NO_GPU, "server.quota": 2.0, "config.instances": 2, "config.threads": 2},
        {"config.threads": 1},
    ),
    "dynamic-quantization": (
        {**NO_GPU, "host.vnni": True, "host.amx": False, "model.backend": "onnxruntime"},
        {"model.backend": "python"},
    ),
    "bfloat16-on-processor": (
        {**NO_GPU, "host.bf16": True, "model.backend": "pytorch"},
        {"model.backend": "python"},
    ),
    "half-on-processor": ({**NO_GPU, "model.float16": True}, {"host.gpus": 1}),
    "threads-in-environment": ({"environment.threads": 4}, {"environment.threads": 0}),
    "ort-parallel-mode": (
        {
            **TRITON,
            "model.backend": "onnxruntime",
            "config.execution_mode": 1,
            "model.on_cpu": False,
            **NO_GPU,
        },
        {"host.gpus": 1},
    ),
    "dynamic-batching": (
        {**TRITON, "default.batching": False, "model.max_batch_size": 16},
        {"model.max_batch_size": 0},
    ),
    "batches-not-used": (
        {
            **TRITON,
            "config.batching": False,
            "model.max_batch_size": 16,
            "result.bottleneck": "queue",
        },
        {"config.batching": True},
    ),
    "tensorflow-batching": (
        {**TENSORFLOW, "default.batching": False},
        {"default.batching": True},
    ),
    "power-of-two-batches": (
        {**ONE_GPU, "config.batching": True, "config.batch_is_power": False},
        {"config.batch_is_power": True},
    ),
    "delay-below-batch": (
        {"config.delay_ms": 5.0, "result.inferences_in_flight": 4.2, "config.batch": 16},
        {"result.inferences_in_flight": 40.0},
    ),
    "delay-eats-the-budget": (
        {"config.delay_ms": 30.0, "result.budget_ms": 50.0},
        {"config.delay_ms": 10.0},
    ),
    "torchserve-zero-delay": (
        {**TORCHSERVE, "config.batch": 8, "config.delay_ms": 0},
        {"config.delay_ms": 1},
    ),
    "small-batches-at-low-load": (
        {
            **NO_GPU,
            "config.batching": True,
            "result.busy": 0.3,
            "result.mean_batch": 1.2,
            "config.batch": 8,
        },
        {"result.busy": 0.9},
    ),
    "batch-never-filled": (
        {"config.batching": True, "result.mean_batch": 3.0, "config.batch": 64},
        {"config.batch": 16},
    ),
    "preferred-batch-size": (
        {**TRITON, "config.preferred": 8, "model.backend": "python"},
        {"model.backend": "tensorrt"},
    ),
    "queue-below-concurrency": (
        {"config.queue": 16, "result.in_flight": 40.0},
        {"config.queue": 0},
    ),
    "queue-is-the-bottleneck": (
        {**NO_GPU, "result.bottleneck": "queue", "result.busy": 0.4},
        {"result.busy": 0.95},
    ),
    "tensor-core-dimensions": (
        {"host.tensor_cores": True, "model.odd_dims": 1},
        {"model.odd_dims": 0},
    ),
    "half-precision": (
        {
            "host.tensor_cores": True,
            "model.float32": True,
            "model.backend": "onnxruntime",
            "model.on_cpu": False,
        },
        {"model.backend": "tensorrt"},
    ),
    "autocast": ({**TORCHSERVE, "host.tensor_cores": True}, {"host.tensor_cores": False}),
    "tensor-cores": (
        {"host.tensor_cores": True, "model.backend": "pytorch"},
        {"host.tensor_cores": False},
    ),
    "workers-across-gpus": (
        {**TORCHSERVE, "config.number_of_gpu": 2, "config.instances": 3},
        {"config.instances": 4},
    ),
    "one-instance-on-gpu": (
        {**TRITON, **ONE_GPU, "model.on_cpu": False, "config.instances": 1},
        {"model.on_cpu": True},
    ),
    "gpu-shared-by-processes": (
        {**TORCHSERVE, "config.number_of_gpu": 1, "config.instances": 2},
        {"config.instances": 1},
    ),
    "tensorrt-accelerator": (
        {
            **TRITON,
            **ONE_GPU,
            "model.backend": "onnxruntime",
            "config.accelerator": "none",
        },
        {"config.accelerator": "tensorrt"},
    ),
    "allocator-not-used": (
        {"host.tcmalloc": False, "host.jemalloc": True, "config.allocator": False},
        {"config.allocator": True},
    ),
    "no-allocator-installed": (
        {"host.tcmalloc": False, "host.jemalloc": False},
        {"host.tcmalloc": True},
    ),
    "intel-openmp": (
        {
            **TORCHSERVE,
            "host.intel": True,
            "host.intel_openmp": True,
            "config.intel_openmp": False,
            "config.launcher": False,
        },
        {"config.launcher": True},
    ),
    "launcher-against-openmp": (
        {
            **TORCHSERVE,
            "config.launcher": True,
            "config.disables_iomp": True,
            "config.intel_openmp": True,
        },
        {"config.intel_openmp": False},
    ),
    "launcher-without-numactl": (
        {**TORCHSERVE, "config.launcher": True, "host.numa_nodes": 2, "host.numactl": False},
        {"host.numactl": True},
    ),
    "launcher-in-docker": (
        {**TORCHSERVE, **DOCKER, "config.launcher": True, "server.may_bind": False},
        {"server.may_bind": True},
    ),
    "inference-mode-off": (
        {**TRITON, "model.backend": "pytorch", "config.inference_mode": False},
        {"config.inference_mode": True},
    ),
    "inference-mode-of-old-triton": (
        {
            **TRITON,
            "model.backend": "pytorch",
            "server.release": 23.05,
            "model.inference_mode_said": False,
        },
        {"server.release": 23.06},
    ),
    "torchscript-flags-fight": (
        {**TRITON, "config.unoptimized": True, "config.fuser": True},
        {"config.fuser": False},
    ),
    "all-torchscript-flags": ({**TRITON, "config.jit_flags": 3}, {"config.jit_flags": 1}),
    "onednn-off": (
        {**TENSORFLOW, "host.x86": True, "config.onednn": False},
        {"config.onednn": True},
    ),
    "onednn-off-in-environment": (
        {"environment.onednn": False},
        {"environment.onednn": True},
    ),
    "profiler-on": ({"environment.profiler": True}, {"environment.profiler": False}),
    "shared-memory-of-container": (
        {
            **TRITON,
            **DOCKER,
            "model.backend": "python",
            "server.shared_memory_mib": 64.0,
        },
        {"server.shared_memory_mib": 1024.0},
    ),
    "frontend-is-the-bottleneck": (
        {**TRITON, "result.bottleneck": "front end"},
        {"result.bottleneck": "compute"},
    ),
    "json-tensors": ({"request.json": True}, {"request.json": False}),
    "repeated-requests": (
        {**TRITON, "request.repeated": 0.5, "config.cache": False},
        {"config.cache": True},
    ),
    "requests-to-cache": (
        {**TORCHSERVE, "request.repeated": 0.6},
        {"request.repeated": 0.1},
    ),
    "cache-on-made-up-requests": (
        {**TRITON, "config.cache": True, "request.made_up": True},
        {"request.made_up": False},
    ),
    "padded-inputs": ({"request.padding": 0.4}, {"request.padding": 0.05}),
    "client-is-the-bottleneck": ({"result.overloads": 2}, {"result.overloads": 0}),
    "client-sends-late": ({"result.late_share": 0.3}, {"result.late_share": 0.002}),
    "refuted-parameters": ({"result.refuted": "threads"}, {"result.refuted": ""}),
    "region-of-failures": (
        {"result.failing": "max_batch_size >= 32: 4 of 4 failed (out_of_memory)"},
        {"result.failing": ""},
    ),
    "many-failures": ({"result.failures": 0.5}, {"result.failures": 0.1}),
    "winner-at-the-edge": (
        {"result.edge": "instance_count=4 (of 1 to 4, doubling)"},
        {"result.edge": ""},
    ),
    "little-more-latency": ({"result.looser": 1.4}, {"result.looser": 1.05}),
    "budget-beyond-the-knee": ({"result.tighter": 0.98}, {"result.tighter": 0.6}),
    "nothing-gained": ({"result.gain": 1.01}, {"result.gain": 3.4}),
    "disturbed-measurements": ({"result.disturbed": 0.5}, {"result.disturbed": 0.0}),
    "memory-nearly-full": ({"result.memory_share": 0.9}, {"result.memory_share": 0.2}),
}
