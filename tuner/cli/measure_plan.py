"""What `tuner measure` measures and watches: options made into values."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from tuner.cli.address import LoadOptions
from tuner.cli.measure_options import MeasureOptions
from tuner.cli.options import checked_percentile, duration_s
from tuner.errors import InputError
from tuner.load.profile import Endpoint
from tuner.sweep.sweep import SweepPlan
from tuner.watch import gpu_usage
from tuner.watch.collectors import Collectors
from tuner.watch.metrics import MetricsScraper
from tuner.watch.process_usage import ServerProcess

# Triton's own default.
_METRICS_PORT = 8002
_AUTO = "auto"


def sweep_plan(options: MeasureOptions) -> SweepPlan:
    """The load points.

    Raises:
        InputError: An option cannot be used.
    """
    length_s = duration_s(options.duration, "--duration")
    load = LoadOptions(
        concurrency=options.concurrency,
        rate=options.rate,
        ramp=options.ramp,
        intervals=options.request_intervals,
        arrivals=options.arrivals,
        seed=options.seed,
    )
    percentile = options.percentile
    return SweepPlan(
        profiles=load.profiles(length_s),
        duration_s=length_s,
        warm_up_s=duration_s(options.warm_up, "--warm-up"),
        timeout_s=duration_s(options.timeout, "--timeout"),
        max_requests=options.request_count,
        tolerance=_tolerance(options.stability),
        percentile=None if percentile is None else checked_percentile(percentile),
        limit_s=_limit_s(options.budget_ms),
        most_workers=_most_workers(options.workers),
    )


def first_workers(options: MeasureOptions) -> int:
    """The processes that the load engine begins with."""
    return 1 if options.workers == _AUTO else _most_workers(options.workers)


@contextmanager
def collectors(options: MeasureOptions, endpoint: Endpoint) -> Iterator[Collectors]:
    """Who watches the server at `endpoint`.

    Raises:
        InputError: The URL of the metrics is none.
    """
    scraper = None
    if options.collect_metrics or options.metrics_url:
        there = Endpoint(endpoint.host, _METRICS_PORT).authority
        url = options.metrics_url or f"http://{there}/metrics"
        scraper = MetricsScraper(url, options.metrics_interval / 1e3)
    # Behind a Unix socket, host and port are a mere name.
    behind_port = endpoint.unix_socket is None
    process = ServerProcess.listening(endpoint.host, endpoint.port) if behind_port else None
    if process is None:
        yield Collectors(scraper)
        return
    # The GPUs of this machine are the server's only if it runs here.
    with gpu_usage.opened() as gpus:
        yield Collectors(scraper, process, gpus)


def _tolerance(text: str | None) -> float | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%?", text.strip())
    percent = float(match[1]) if match else 0.0
    if not 0 < percent <= 999:
        raise InputError(
            f"`--stability` must be a percentage above 0, but got `{text}`",
            hint="for example: `--stability 10%`",
        )
    return percent / 100


def _limit_s(limit_ms: float | None) -> float | None:
    if limit_ms is not None and not 0 < limit_ms < 3_600_000:
        raise InputError(
            f"`--budget-ms` must be above 0 and below 3600000, but got {limit_ms:g}",
            hint="for example: `--budget-ms 50`",
        )
    return None if limit_ms is None else limit_ms / 1e3


def _most_workers(text: str) -> int:
    cores = os.cpu_count() or 1
    if text == _AUTO:
        return max(1, cores - 1)
    if not text.isdecimal() or not 1 <= int(text) <= cores:
        raise InputError(
            f"`--workers` must be `auto` or from 1 to {cores}, the cores of this machine, but got "
            f"`{text}`"
        )
    return int(text)
