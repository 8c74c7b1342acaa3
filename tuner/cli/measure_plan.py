"""What `tuner measure` measures and watches: options made into values."""

import math
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tuner.cli.measure_options import LoadOptions, MeasureOptions, ServiceKind
from tuner.cli.prompt_forms import with_key
from tuner.cli.values import check_meaning, check_needed, duration_s, headers
from tuner.errors import InputError, unfit
from tuner.load.profile import ClosedLoop, Endpoint, LoadProfile, OpenLoop, Ramp, Replay
from tuner.report.budgets import answer_limits, checked_percentile
from tuner.sweep.sweep import SweepPlan
from tuner.watch import gpu_usage
from tuner.watch.collectors import Collectors
from tuner.watch.metrics import MetricsScraper
from tuner.watch.process_usage import ServerProcess
from tuner.workload.traces import Trace, read_trace

# Triton's own default.
_METRICS_PORT = 8002
_AUTO = "auto"
_USUAL_DURATION = "5s"
_MOST_POINTS = 1000


def sweep_plan(options: LoadOptions, trace: Trace | None = None) -> SweepPlan:
    """The load points; `trace` is what `traced` has made of the option.

    Raises:
        InputError: An option cannot be used.
    """
    length_s = duration_s(options.duration or _USUAL_DURATION, "--duration")
    percentile = options.percentile
    if trace is not None and options.duration is None:
        length_s = trace.length_s
    return SweepPlan(
        profiles=profiles(options, length_s, trace),
        duration_s=length_s,
        warm_up_s=duration_s(options.warm_up, "--warm-up"),
        timeout_s=duration_s(options.timeout, "--timeout"),
        max_requests=len(trace.requests) if trace else options.request_count,
        tolerance=_tolerance(options.stability),
        percentile=None if percentile is None else checked_percentile(percentile),
        limits=answer_limits(
            options.budget_ms, ttft_ms=options.budget_ttft_ms, itl_ms=options.budget_itl_ms
        ),
        most_workers=_most_workers(options.workers),
    )


def traced(options: LoadOptions) -> Trace | None:
    """What is played of the trace, if there is one.

    Raises:
        InputError: It cannot be read, or there is nothing to play.
    """
    if options.trace is None:
        check_needed(options, "trace_speed", "--trace")
        return None
    asked_s = options.duration and duration_s(options.duration, "--duration")
    played = read_trace(options.trace).played(
        speed=options.trace_speed, most_s=asked_s or math.inf, most=options.request_count
    )
    if not played.requests or not played.requests[-1].at_s:
        raise InputError(
            f"`--trace {options.trace}` has no two requests at different times to play",
            hint="give a longer one, or raise `--duration` or `--request-count`",
        )
    return played


def first_workers(options: LoadOptions) -> int:
    """The processes that the load engine begins with."""
    return 1 if options.workers == _AUTO else _most_workers(options.workers)


def profiles(options: LoadOptions, step_s: float, trace: Trace | None = None) -> list[LoadProfile]:
    """One profile a load point, concurrency 1 by default; each step of a ramp has `step_s`.

    Raises:
        InputError: A range or a file cannot be used, or two loads exclude each other.
    """
    given = {
        "--concurrency": options.concurrency,
        "--rate": options.rate,
        "--ramp": options.ramp,
        "--request-intervals": options.request_intervals,
        "--trace": options.trace,
    }
    names = [name for name, value in given.items() if value]
    if len(names) > 1:
        raise InputError(
            f"`{names[0]}` and `{names[1]}` exclude each other",
            hint="measure one after the other",
        )
    _check_spread(options)
    spread = options.arrivals, options.seed
    if options.rate:
        return [OpenLoop(each, *spread) for each in steps(options.rate, "--rate")]
    if options.ramp:
        return [Ramp(tuple(steps(options.ramp, "--ramp")), step_s, *spread)]
    if options.request_intervals:
        return [Replay(read_intervals(options.request_intervals))]
    if trace is not None:
        return [Replay(trace.intervals_s)]
    numbers = steps(options.concurrency or "1", "--concurrency", whole=True)
    return [ClosedLoop(round(each)) for each in numbers]


def _check_spread(options: LoadOptions) -> None:
    """That what is said of an open loop is said of one."""
    hint = "leave it out, or give `--rate`"
    if options.request_intervals:
        check_meaning(options, {"arrivals"}, "--request-intervals", hint=hint)
    elif options.trace:
        check_meaning(options, {"arrivals"}, "--trace", hint=hint)
    elif not options.rate and not options.ramp:
        check_meaning(options, {"arrivals", "num_of_sequences"}, "--concurrency", hint=hint)


def steps(text: str, option: str, *, whole: bool = False) -> list[float]:
    """The values of `8`, `START:END` or `START:END:STEP`, the end included."""
    try:
        numbers = [float(int(part)) if whole else float(part) for part in text.split(":")]
    except ValueError:
        numbers = []
    start, end, step = _range(numbers)
    if not 0 < start <= end < math.inf or not step > 0:
        kind = "whole numbers" if whole else "numbers"
        wanted = f"a number or START:END:STEP in {kind} above 0"
        raise unfit(option, wanted, text, f"for example: `{option} 1:16:5`")
    if (end - start) / step >= _MOST_POINTS:
        raise InputError(
            f"`{option} {text}` would be more than {_MOST_POINTS} load points",
            hint="choose a larger STEP",
        )
    count = int((end - start) / step + 1e-9) + 1
    return [start + n * step for n in range(count)]


def _range(numbers: Sequence[float]) -> tuple[float, float, float]:
    match numbers:
        case [start]:
            return start, start, 1.0
        case [start, end]:
            return start, end, 1.0
        case [start, end, step]:
            return start, end, step
        case _:
            return 0.0, 0.0, 0.0


def read_intervals(path: Path) -> tuple[float, ...]:
    """Seconds between requests from a file of whole microseconds, one in each line.

    Source: perf_analyzer's `--request-intervals`.

    Raises:
        InputError: The file cannot be read, or has something else in it.
    """
    try:
        lines = path.read_text().split()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(
            f"the intervals in `{path}` cannot be read: {reason}",
            hint="give a text file with one number of microseconds in each line",
        ) from None
    for number, line in enumerate(lines, start=1):
        if not line.isdecimal():
            raise InputError(
                f"`{path}`, number {number}: whole microseconds were expected, but got `{line}`"
            )
    intervals_s = tuple(int(line) / 1e6 for line in lines)
    if not sum(intervals_s) > 0:
        raise InputError(f"`{path}` has no interval above 0 microseconds")
    return intervals_s


@contextmanager
def collectors(
    options: MeasureOptions, endpoint: Endpoint, pid: int | None = None
) -> Iterator[Collectors]:
    """Who watches the server at `endpoint`, or in the process `pid` of this machine.

    Raises:
        InputError: The URL of the metrics is none.
    """
    scraper = None
    if options.metrics_url:
        scraper = MetricsScraper(options.metrics_url, options.metrics_interval / 1e3)
    elif options.collect_metrics:
        scraper = _usual_metrics(options, endpoint)
    process = _listening(endpoint) if pid is None else ServerProcess.of(pid)
    if process is None:
        yield Collectors(scraper)
        return
    # The GPUs of this machine are the server's only if it runs here.
    with gpu_usage.opened() as gpus:
        yield Collectors(scraper, process, gpus)


def _listening(endpoint: Endpoint) -> ServerProcess | None:
    if endpoint.unix_socket is not None:  # host and port are a mere name
        return None
    return ServerProcess.listening(endpoint.host, endpoint.port)


def _usual_metrics(options: MeasureOptions, endpoint: Endpoint) -> MetricsScraper:
    """Where servers of this kind have their page; only there do they hear who asks."""
    interval_s = options.metrics_interval / 1e3
    if options.service_kind is not ServiceKind.OPENAI:
        there = Endpoint(endpoint.host, _METRICS_PORT).authority
        return MetricsScraper(f"http://{there}/metrics", interval_s)
    scheme = "https" if endpoint.tls else "http"
    return MetricsScraper(
        f"{scheme}://{endpoint.authority}/metrics",
        interval_s,
        headers=with_key(headers(options.header)),
        tls=endpoint.tls,
    )


def _tolerance(text: str | None) -> float | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%?", text.strip())
    percent = float(match[1]) if match else 0.0
    if not 0 < percent <= 999:
        hint = "for example: `--stability 10%`"
        raise unfit("--stability", "a percentage above 0", text, hint)
    return percent / 100


def _most_workers(text: str) -> int:
    cores = os.cpu_count() or 1
    if text == _AUTO:
        return max(1, cores - 1)
    if not text.isdecimal() or not 1 <= int(text) <= cores:
        wanted = f"`{_AUTO}` or from 1 to {cores}, the cores of this machine"
        raise unfit("--workers", wanted, text)
    return int(text)
