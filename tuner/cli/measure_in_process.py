"""`tuner measure triton-c-api:///MODEL_REPOSITORY`: a Triton in the load engine's process.

What perf_analyzer's manual calls not supported there ("Benchmarking Triton directly via C API")
is refused as well: shared memory and request rates. Its asynchronous mode is the only one here.
"""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from tuner.cli.measure_options import MeasureOptions
from tuner.cli.values import check_meaning, cpus
from tuner.errors import InputError, unfit
from tuner.sweep.in_process import InProcessTriton

SCHEME = "triton-c-api"
_NO_NETWORK = "there is no network between load engine and server: leave it out"
_CLOSED_LOOP = (
    "load engine and server share a process, so that late requests could not be told from late "
    "answers: give `--concurrency`"
)
# What a Triton without a front end does not heed, and what to do instead.
REFUSED = {
    "service_kind": "the server is Triton: leave it out",
    **dict.fromkeys(("protocol", "streaming", "unix_socket"), _NO_NETWORK),
    **dict.fromkeys(("ca_file", "client_certificate", "client_key"), _NO_NETWORK),
    **dict.fromkeys(("server_name", "no_verify", "compression"), _NO_NETWORK),
    **dict.fromkeys(("input_tensor_format", "output_tensor_format"), _NO_NETWORK),
    "header": "requests have no headers; `--request-parameter` sets their parameters",
    **dict.fromkeys(("rate", "ramp", "request_intervals"), _CLOSED_LOOP),
    "workers": "there is one process, the server's: leave it out",
    **dict.fromkeys(
        ("shared_memory", "output_shared_memory_size"),
        "tensors lie in the memory of the server's process already: leave it out",
    ),
    **dict.fromkeys(
        ("collect_metrics", "metrics_url", "metrics_interval"),
        "no page is published; the counters of the model are in the result anyway",
    ),
}


def is_in_process(url: str) -> bool:
    """Whether the URL names a model repository, for a Triton in this process."""
    return url.startswith(f"{SCHEME}:")


def in_process_triton(options: MeasureOptions) -> InProcessTriton:
    """The Triton that the options name.

    Raises:
        InputError: The URL names no folder, or an option means nothing to such a Triton.
    """
    for name, hint in REFUSED.items():
        check_meaning(options, {name}, f"{SCHEME}://", hint=hint)
    if options.model_version and not options.model_version.isdecimal():
        hint = "name a folder of the model, such as 1"
        raise unfit("--model-version", "a whole number", options.model_version, hint)
    parts = urlsplit(options.url)
    path = Path(unquote(parts.path))
    if parts.netloc or not path.is_absolute() or parts.query or parts.fragment:
        raise InputError(
            f"a URL of a model repository was expected, but got `{options.url}`",
            hint=f"three slashes, then the whole path: {SCHEME}:///srv/models",
        )
    return InProcessTriton(
        repository=path,
        folder=options.triton_server_directory,
        cpus=cpus(options.engine_cpus, "--engine-cpus"),
    )
