"""What a hint may ask about: the names of all facts, with what each of them is.

Facts are values by these names. One that is not known is not there at all, and whoever asks for it
gets no answer: nothing is guessed.
"""

from collections.abc import Mapping

from tuner.space.expressions import Value

Facts = Mapping[str, Value]

NAMES: Mapping[str, str] = {
    # Of the machine that the study ran on, or of this one.
    "host.cores": "processors that a server may use, within affinity and quota",
    "host.physical_cores": "physical cores of these",
    "host.threads_per_core": "hardware threads of a core",
    "host.numa_nodes": "NUMA nodes",
    "host.numactl": "whether `numactl` is installed",
    "host.gpus": "NVIDIA GPUs",
    "host.intel": "whether the processor is Intel's",
    "host.x86": "whether the processor has the x86 architecture",
    "host.usable": "processors that this process may run on, whatever its quota",
    "host.quota": "processors' worth of time that the control groups allow",
    "host.vnni": "whether the processor has VNNI (8-bit products)",
    "host.amx": "whether the processor has AMX (matrix tiles)",
    "host.bf16": "whether the processor multiplies bfloat16",
    "host.tcmalloc": "whether the linker finds tcmalloc",
    "host.jemalloc": "whether the linker finds jemalloc",
    "host.intel_openmp": "whether the linker finds Intel's OpenMP (libiomp5.so)",
    "host.tensor_cores": "whether every GPU has tensor cores; not known where a server gets none",
    # Of the environment that a server started from this terminal inherits.
    "environment.threads": "OMP_NUM_THREADS, 0 where it is not set",
    "environment.profiler": "whether ENABLE_TORCH_PROFILER is set",
    "environment.onednn": "whether TF_ENABLE_ONEDNN_OPTS leaves oneDNN on",
    # Of the server.
    "server.kind": "triton, torchserve, tensorflow_serving or command",
    "server.runner": "process, docker or remote",
    "server.release": "year and month of a Triton image, such as 24.08",
    "server.shared_memory_mib": "shared memory of the container, in MiB",
    "server.quota": "processors' worth of time that the container gets",
    "server.may_bind": "whether the container has the capability SYS_NICE, or all",
    # Of the model.
    "model.backend": "Triton's backend; pytorch of TorchServe, tensorflow of TensorFlow Serving",
    "model.max_batch_size": "the largest batch that its configuration allows, 0 without batches",
    "model.float32": "whether all its floating-point inputs and outputs are 32 bits wide",
    "model.float16": "whether one of its inputs or outputs is FP16",
    "model.odd_dims": "last dimensions above 8 that are no multiple of 8",
    "model.on_cpu": "whether its configuration keeps it on the processor",
    "model.inference_mode_said": "whether its configuration says INFERENCE_MODE",
    # Of the requests.
    "request.json": "whether tensors travel as JSON",
    "request.made_up": "whether the tuner made up what requests carry",
    "request.repeated": "share of the given requests that repeat an earlier one",
    "request.padding": "share of the given whole numbers that are zeros at the end of a row",
    # Of the server's defaults (`default`), and of what would be deployed (`config`): the winner of
    # a study, or the defaults where there is none.
    "default.threads": "threads of each copy",
    "default.batching": "whether requests are joined into batches",
    "config.instances": "copies of the model",
    "config.threads": "threads of each copy",
    "config.batching": "whether requests are joined into batches",
    "config.batch": "the largest batch",
    "config.batch_is_power": "whether the largest batch is a power of two",
    "config.delay_ms": "how long a request may wait for others, in ms",
    "config.preferred": "the preferred batch size, 0 for none",
    "config.queue": "requests that may wait, 0 for any number",
    "config.allocator": "whether it preloads an allocator",
    "config.intel_openmp": "whether it preloads Intel's OpenMP",
    "config.number_of_gpu": "GPUs that TorchServe uses",
    "config.accelerator": "the execution accelerator for GPUs, `none` for none",
    "config.cache": "whether the response cache is on",
    "config.launcher": "whether TorchServe's CPU launcher is on",
    "config.disables_iomp": "whether the launcher keeps Intel's OpenMP out",
    "config.unoptimized": "whether TorchScript's optimized execution is off",
    "config.inference_mode": "whether INFERENCE_MODE is on",
    "config.onednn": "whether TF_ENABLE_ONEDNN_OPTS leaves oneDNN on",
    "config.fuser": "whether a TorchScript fuser is switched on",
    "config.jit_flags": "TorchScript flags that are switched on",
    "config.execution_mode": "ONNX Runtime's execution mode: 1 is parallel",
    # Of what the study found.
    "result.budget_ms": "the latency budget",
    "result.gain": "throughput of the winner over that of the defaults",
    "result.mean_batch": "inferences in a batch, in the mean of the winner's trial",
    "result.bottleneck": "what limits the winner: queue, compute, front end or client",
    "result.in_flight": "requests under way at the winner's best load (Little's law)",
    "result.inferences_in_flight": "these requests times the inferences in each",
    "result.busy": "share of the cores that the server uses at the winner's best load",
    "result.memory_share": "share of the memory that the winner's server uses",
    "result.overloads": "trials in which the load engine could not keep up",
    "result.late_share": "p99 of how late requests are sent, over the latency that was measured",
    "result.disturbed": "share of the winner's load points that the machine disturbed",
    "result.refuted": "parameters that did not take effect, empty for none",
    "result.failing": "values with which nearly every trial failed, empty for none",
    "result.edge": "parameters of the winner at the end of their range, empty for none",
    "result.looser": "what half as much latency again would give, as a factor",
    "result.tighter": "what half the latency would leave, as a factor",
    "result.failures": "share of the configurations that failed",
}


def known(facts: Facts) -> Facts:
    """Those that hints may ask about."""
    return {name: facts[name] for name in NAMES if name in facts}
