"""`tuner measure`: the load engine alone, against a server that already runs."""

import contextlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from tuner.commands.console import err, print_blocks, print_json
from tuner.commands.options import (
    AsJson,
    Batch,
    EngineCpus,
    InputData,
    Percentile,
    Seed,
    Shapes,
    checked_percentile,
    cpus,
    duration_s,
    request_form,
)
from tuner.errors import InputError, LoadError, ServerError
from tuner.load import (
    Arrivals,
    ClosedLoop,
    Endpoint,
    LoadEngine,
    LoadProfile,
    Measurement,
    OpenLoop,
    RequestSet,
)
from tuner.load.profile import LoadRun
from tuner.load.protocols import v2_http
from tuner.targets.base import ServerStatistics

if TYPE_CHECKING:
    from tuner.targets.triton import RequestForm
    from tuner.targets.v2_client import V2Client

_DISTINCT_REQUESTS = 16
_MOST_POINTS = 1000


@dataclass(frozen=True)
class _Result:
    measurement: Measurement
    statistics: ServerStatistics


def measure(
    url: Annotated[str, typer.Argument(help="Where the server listens: http://HOST:PORT.")],
    model: Annotated[str, typer.Option("--model", "-m", help="Model to ask.")],
    *,
    concurrency: Annotated[
        str | None,
        typer.Option(help="Requests in flight (closed loop): 8, or START:END:STEP."),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(help="Requests per second (open loop): 200, or START:END:STEP."),
    ] = None,
    arrivals: Annotated[
        Arrivals, typer.Option(help="How the requests of an open loop are spread.")
    ] = Arrivals.POISSON,
    percentile: Percentile = 99,
    duration: Annotated[str, typer.Option(help="Length of each load point: 5s, 1m.")] = "5s",
    warm_up: Annotated[str, typer.Option(help="Load before the first point.")] = "1s",
    timeout: Annotated[str, typer.Option(help="When a request counts as lost.")] = "10s",
    batch: Batch = 1,
    shape: Shapes = None,
    input_data: InputData = "random",
    seed: Seed = 0,
    engine_cpus: EngineCpus = "",
    as_json: AsJson = False,
) -> None:
    """Measure throughput and latency of a model on a server that already runs."""
    from tuner.report import tables
    from tuner.targets.v2_client import V2Client

    percentile = checked_percentile(percentile)
    endpoint = parse_url(url)
    profiles = load_profiles(concurrency, rate, arrivals, seed)
    form = request_form(batch, input_data, shape)
    times = [duration_s(t, o) for t, o in _named(duration, warm_up, timeout)]
    results = []
    with (
        V2Client(base_url(endpoint)) as client,
        LoadEngine(cpus=cpus(engine_cpus, "--engine-cpus")) as engine,
    ):
        engine.prepare(_requests(client, endpoint, model, form, seed))
        with _progress("warm-up", times[1]):
            engine.measure(_run(endpoint, ClosedLoop(1), times[1], times[2]))
        for profile in profiles:
            with _progress(tables.load_text(profile), times[0]):
                before = client.statistics(model)
                measurement = engine.measure(_run(endpoint, profile, times[0], times[2]))
                after = client.statistics(model)
            results.append(_Result(measurement, after - before))
    if as_json:
        print_json([document(r.measurement, r.statistics, percentile) for r in results])
    else:
        measured = [(r.measurement, r.statistics) for r in results]
        print_blocks(tables.measurement_tables(measured, percentile))


def parse_url(url: str) -> Endpoint:
    """The endpoint of an http:// URL.

    Raises:
        InputError: It is no URL, or of a protocol that is not there.
    """
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port
    except ValueError:
        raise _not_an_address(url) from None
    if parts.scheme != "http":
        raise InputError(
            f"only http:// URLs can be measured, but got `{url}`",
            hint="V2 inference over HTTP: http://127.0.0.1:8000",
        )
    beyond = parts.path.strip("/") or parts.query or parts.fragment or parts.username
    if not re.fullmatch(r"[\w.:-]+", parts.hostname or "") or port == 0 or beyond:
        raise _not_an_address(url)
    return Endpoint(parts.hostname or "", port or 80)


def _not_an_address(url: str) -> InputError:
    return InputError(
        f"a URL of host and port was expected, but got `{url}`",
        hint="for example: http://127.0.0.1:8000",
    )


def base_url(endpoint: Endpoint) -> str:
    """The URL that `parse_url` made `endpoint` of."""
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    return f"http://{host}:{endpoint.port}"


def load_profiles(
    concurrency: str | None, rate: str | None, arrivals: Arrivals, seed: int
) -> list[LoadProfile]:
    """The load points that `--concurrency` or `--rate` ask for; concurrency 1 without either."""
    if concurrency and rate:
        raise InputError(
            "`--concurrency` (closed loop) and `--rate` (open loop) exclude each other",
            hint="measure one after the other",
        )
    if rate:
        return [OpenLoop(each, arrivals, seed) for each in steps(rate, "--rate")]
    return [
        ClosedLoop(round(each)) for each in steps(concurrency or "1", "--concurrency", whole=True)
    ]


def steps(text: str, option: str, *, whole: bool = False) -> list[float]:
    """The values of `8`, `START:END` or `START:END:STEP`, the end included."""
    try:
        numbers = [float(int(part)) if whole else float(part) for part in text.split(":")]
    except ValueError:
        numbers = []
    match numbers:
        case [start]:
            end, step = start, 1.0
        case [start, end]:
            step = 1.0
        case [start, end, step]:
            pass
        case _:
            start = end = step = 0.0
    if not 0 < start <= end < math.inf or not step > 0:
        kind = "whole numbers" if whole else "numbers"
        raise InputError(
            f"`{option}` must be a number or START:END:STEP in {kind} above 0, but got `{text}`",
            hint=f"for example: `{option} 1:16:5`",
        )
    if (end - start) / step >= _MOST_POINTS:
        raise InputError(
            f"`{option} {text}` would be more than {_MOST_POINTS} load points",
            hint="choose a larger STEP",
        )
    count = int((end - start) / step + 1e-9) + 1
    return [start + n * step for n in range(count)]


def document(
    measurement: Measurement, statistics: ServerStatistics, percentile: float
) -> dict[str, Any]:
    """One load point as JSON content; latencies in milliseconds."""
    profile = measurement.profile
    load = (
        {"concurrency": profile.concurrency}
        if isinstance(profile, ClosedLoop)
        else {"rate": profile.rate, "arrivals": profile.arrivals.value, "seed": profile.seed}
    )
    shown = sorted({50.0, 90.0, 95.0, 99.0, percentile})
    return load | {
        "throughput": measurement.throughput,
        "requests": measurement.requests,
        "duration_s": measurement.duration_s,
        "avg_ms": measurement.mean_s * 1e3,
        **{f"p{q:g}_ms": measurement.percentile(q) * 1e3 for q in shown},
        "errors": dict(measurement.errors),
        "unanswered": measurement.unanswered,
        "stopped_early": measurement.stopped_early or None,
        "send_lag_p99_ms": measurement.send_lag_p99_s * 1e3,
        "engine_cpu_us_per_request": measurement.engine_cpu_per_request_s * 1e6,
        "engine_priority": measurement.priority,
        "server": {
            "inferences": statistics.inferences,
            "executions": statistics.executions,
            "queue_ms": statistics.per_request_s(statistics.queue_s) * 1e3,
            "compute_input_ms": statistics.per_request_s(statistics.compute_input_s) * 1e3,
            "compute_infer_ms": statistics.per_request_s(statistics.compute_infer_s) * 1e3,
            "compute_output_ms": statistics.per_request_s(statistics.compute_output_s) * 1e3,
            "batches": dict(statistics.batches),
        },
    }


def _named(*texts: str) -> Iterator[tuple[str, str]]:
    return zip(texts, ("--duration", "--warm-up", "--timeout"), strict=True)


def _run(endpoint: Endpoint, profile: LoadProfile, length_s: float, timeout_s: float) -> LoadRun:
    return LoadRun(
        endpoint=endpoint,
        profile=profile,
        duration_s=length_s,
        timeout_s=timeout_s,
        drain_s=min(timeout_s, 5.0),
    )


def _requests(
    client: "V2Client", endpoint: Endpoint, model: str, form: "RequestForm", seed: int
) -> RequestSet:
    if not client.ready(model):
        raise ServerError(
            f"the server does not have the model `{model}` ready",
            hint="check the name; Triton lists its models at POST /v2/repository/index",
        )
    specs = client.metadata(model).inputs
    batched = bool(client.config(model).get("max_batch_size"))
    if form.batch > 1 and not batched:
        raise InputError(
            f"`--batch {form.batch}` was given, but the model `{model}` has no batch dimension"
        )
    try:
        inputs = [
            form.inputs(specs, batched=batched, seed=seed + n) for n in range(_DISTINCT_REQUESTS)
        ]
    except LoadError as error:  # the model is the server's, so it is the option that is wrong
        raise InputError(error.message, hint=error.hint) from None
    payloads = tuple(v2_http.prepare(endpoint, model, each) for each in inputs)
    return RequestSet(payloads, inferences=form.batch)


def _progress(what: str, length_s: float) -> contextlib.AbstractContextManager[object]:
    return err.status(f"measuring {what} for {length_s:g} s")
