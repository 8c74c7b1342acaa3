"""llama.cpp's server out of the wheel `xllamacpp`, with the flags of `llama-server`.

    python -m tuner.targets.llama_cpp.programs.server --model model.gguf --port 8080 --parallel 4

Where `llama-server` itself is not installed, this is started in its place: the same code of
llama.cpp, which reads the same settings. It knows those flags that a search space sets.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import xllamacpp

_SWITCHES = ("on", "off", "auto")


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT."""
    asked = _parser().parse_args(arguments)
    ends = {signal.SIGTERM, signal.SIGINT}
    # Before its threads start: they inherit what is blocked.
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    try:
        server = xllamacpp.Server(parameters(asked))
    except RuntimeError as error:  # its log says why
        sys.exit(str(error))
    print(f"server is listening on {server.listening_address}", flush=True)  # noqa: T201 - its log
    signal.sigwait(ends)
    os._exit(0)  # its threads would wait for requests that are under way


def parameters(asked: argparse.Namespace) -> Any:
    """The flags, as llama.cpp has them in its own structure."""
    made = xllamacpp.CommonParams()
    made.model.path = asked.model
    made.hostnames, made.port = [asked.host], asked.port
    made.model_alias = {asked.alias} if asked.alias else set()
    for name in _SAME_NAMES:
        value = getattr(asked, name)
        if value is not None:
            setattr(made, name, value)
    for cpus, count in (
        (made.cpuparams, asked.threads),
        (made.cpuparams_batch, asked.threads_batch),
    ):
        cpus.n_threads = count or made.cpuparams.n_threads
        cpus.poll = asked.poll
    made.flash_attn_type = xllamacpp.llama_flash_attn_type(
        {"off": 0, "on": 1, "auto": -1}[asked.flash_attn]
    )
    made.cache_type_k = _cache_type(asked.cache_type_k)
    made.cache_type_v = _cache_type(asked.cache_type_v)
    made.load_mode = _LOAD_MODES[asked.load_mode]
    made.speculative.types = [_SPECULATIVE[asked.spec_type]]
    made.pooling_type = _POOLING["rank" if asked.reranking else asked.pooling]
    made.embedding = made.embedding or asked.reranking
    made.endpoint_metrics = asked.metrics
    made.ui = False
    return made


_LOAD_MODES = {
    "auto": xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_AUTO,
    "none": xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_NONE,
    "mmap": xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_MMAP,
    "mlock": xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_MLOCK,
    "mmap+mlock": xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_MMAP_MLOCK,
    "dio": xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_DIRECT_IO,
}
_POOLING = {
    "model": xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_UNSPECIFIED,
    "none": xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_NONE,
    "mean": xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN,
    "cls": xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_CLS,
    "last": xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_LAST,
    "rank": xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_RANK,
}
_SPECULATIVE = {
    "none": xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_NONE,
    "ngram-simple": xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE,
    "ngram-map-k": xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_NGRAM_MAP_K,
    "ngram-map-k4v": xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_NGRAM_MAP_K4V,
    "ngram-mod": xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_NGRAM_MOD,
}


_SAME_NAMES = (
    "n_parallel",
    "n_ctx",
    "n_batch",
    "n_ubatch",
    "n_gpu_layers",
    "n_threads_http",
    "cont_batching",
    "cache_prompt",
    "kv_unified",
    "embedding",
    "cache_ram_mib",
    "verbosity",
)


def _cache_type(name: str) -> Any:
    return getattr(xllamacpp.ggml_type, f"GGML_TYPE_{name.upper()}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="llama-server", allow_abbrev=False)
    parser.add_argument("--model", "-m", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--alias", default="")
    parser.add_argument("--parallel", dest="n_parallel", type=int)
    parser.add_argument("--ctx-size", dest="n_ctx", type=int)
    parser.add_argument("--batch-size", dest="n_batch", type=int)
    parser.add_argument("--ubatch-size", dest="n_ubatch", type=int)
    parser.add_argument("--n-gpu-layers", dest="n_gpu_layers", type=int)
    parser.add_argument("--threads-http", dest="n_threads_http", type=int)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--threads-batch", type=int, default=0)
    parser.add_argument("--poll", type=int, default=50)
    parser.add_argument("--flash-attn", choices=_SWITCHES, default="auto")
    parser.add_argument("--cache-type-k", default="f16")
    parser.add_argument("--cache-type-v", default="f16")
    parser.add_argument(
        "--cache-ram",
        dest="cache_ram_mib",
        type=int,
        default=os.environ.get("LLAMA_ARG_CACHE_RAM"),
    )
    parser.add_argument("--load-mode", choices=_LOAD_MODES, default="auto")
    parser.add_argument("--spec-type", choices=_SPECULATIVE, default="none")
    parser.add_argument("--log-verbosity", dest="verbosity", type=int)
    for name, dest in (
        ("cont-batching", "cont_batching"),
        ("cache-prompt", "cache_prompt"),
        ("kv-unified", "kv_unified"),
    ):
        parser.add_argument(
            f"--{name}", dest=dest, action=argparse.BooleanOptionalAction, default=None
        )
    parser.add_argument("--embeddings", dest="embedding", action="store_true", default=None)
    parser.add_argument("--pooling", choices=_POOLING, default="model")
    parser.add_argument("--reranking", action="store_true")
    parser.add_argument("--metrics", action="store_true")
    return parser


if __name__ == "__main__":
    main()
