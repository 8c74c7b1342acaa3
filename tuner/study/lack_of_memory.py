"""Servers that end for want of memory without being killed for it: their logs say so.

Sources: ggml-alloc.c, ggml-backend.cpp and ggml-cuda.cu (llama.cpp); c10/cuda/CUDACachingAllocator
(PyTorch); vLLM's v1/core/kv_cache_utils.py and SGLang's model_runner.py, which refuse to start.
"""

import re

_WORDS = re.compile(
    r"failed to allocate \S* ?(compute |output )?buffer|insufficient memory|"
    r"cudaMalloc failed: out of memory|CUDA (error: )?out of memory|OutOfMemoryError|"
    r"std::bad_alloc|Cannot allocate memory|\bMemoryError\b|"
    r"No available memory for the cache blocks|larger than the available KV cache memory|"
    r"Not enough memory"
)


def lacked_memory(log: str) -> bool:
    """Whether a log of a server that failed says that it got no memory."""
    return _WORDS.search(log) is not None
