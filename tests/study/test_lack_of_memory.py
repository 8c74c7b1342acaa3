"""Logs of servers that got no memory, in the servers' own words."""

import pytest

from tuner.study.lack_of_memory import lacked_memory


@pytest.mark.parametrize(
    "line",
    [
        "ggml_aligned_malloc: insufficient memory (attempted to allocate 15628.00 MB)",
        "ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 16387145728",
        "allocating 9216.00 MiB on device 0: cudaMalloc failed: out of memory",
        "graph_reserve: failed to allocate compute buffers",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
        "RuntimeError: CUDA error: out of memory",
        "ValueError: No available memory for the cache blocks.",
        "16.00 GiB KV cache is needed, which is larger than the available KV cache memory",
        "RuntimeError: Not enough memory. Please try to increase --mem-fraction-static.",
        "terminate called after throwing an instance of 'std::bad_alloc'",
        "OSError: [Errno 12] Cannot allocate memory",
        "MemoryError",
    ],
)
def test_a_log_that_says_so(line: str) -> None:
    """Each is understood, wherever in the log it stands."""
    assert lacked_memory(f"loading the model\n{line}\nexiting due to an error\n")


@pytest.mark.parametrize(
    "line",
    [
        "load_tensors:   CPU_Mapped model buffer size =    10.20 MiB",
        "common_memory_breakdown_print: | memory breakdown [MiB] | total   free    self |",
        "error loading model: failed to open GGUF file",
        "insufficient permissions",
    ],
)
def test_a_log_that_says_something_else(line: str) -> None:
    """What only speaks of memory is no lack of it."""
    assert not lacked_memory(line)
