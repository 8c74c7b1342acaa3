"""A server's own metrics while it is under load, from its page for Prometheus."""

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Self

import httpx

from tuner.errors import InputError, masked
from tuner.load.profile import TlsSettings
from tuner.load.tls import tls_context
from tuner.protocols.prometheus import MetricKind, MetricsPage, Series, parse
from tuner.watch.gpu_usage import GpuUsage, put_together
from tuner.watch.sampling import Samples, sampled

# In bytes.
_LARGEST_PAGE = 16 * 2**20
_ACCEPT = {"Accept": "text/plain; version=0.0.4"}
# Triton's names and units: docs/user_guide/metrics.md. TorchServe's: ts/configs/metrics.yaml; its
# megabytes come from nvidia-smi, which counts in MiB.
_GPU_LABELS = ("gpu_uuid", "DeviceId", "device_id")
_GPU_METRICS: Mapping[str, tuple[str, Callable[[float], float]]] = {
    "nv_gpu_utilization": ("utilization", float),
    "nv_gpu_power_usage": ("power_w", float),
    "nv_gpu_memory_used_bytes": ("memory_used_bytes", round),
    "nv_gpu_memory_total_bytes": ("memory_total_bytes", round),
    "GPUUtilization": ("utilization", lambda percent: percent * 0.01),
    "GPUMemoryUsed": ("memory_used_bytes", lambda mebibytes: round(mebibytes * 2**20)),
}


@dataclass(frozen=True)
class Gauge:
    """A value that comes and goes: its mean over the scrapes, and the largest of them."""

    mean: float
    largest: float


@dataclass(frozen=True)
class ServerMetrics:
    """What a server's metrics say of the time under load; the keys are series: `name{label="x"}`.

    `counters` grew by this much, and so did `totals`: the `_sum` and `_count` of histograms and
    summaries. A series is missing where this cannot be said: the server restarted, or the page
    could not be had at an end of the window. `gpus` are by UUID (TorchServe: by device number),
    and not among the `gauges`.
    """

    scrapes: int
    gpus: Mapping[str, GpuUsage]
    counters: Mapping[str, float]
    totals: Mapping[str, float]
    gauges: Mapping[str, Gauge]

    @classmethod
    def of(cls, windows: Sequence[Samples[MetricsPage]]) -> Self | None:
        """The scrapes of one load point, which may have several windows; None without any."""
        pages = [page for window in windows for page in window.within]
        if not pages:
            return None
        return cls(
            scrapes=len(pages),
            gpus=put_together([_gpus(page) for page in pages]),
            counters=_growth(windows, MetricKind.COUNTER),
            totals=_growth(windows, MetricKind.TOTAL),
            gauges=_gauges(pages),
        )


class MetricsScraper:
    """Reads the page at `url` at an interval; `http://` may be left out.

    `headers` go with it, and `tls` says whom to believe, in place of the system's certificates.
    That a page cannot be had is no error: it is missing from the samples, and `warning` says what
    came in its place the first time. The environment's proxy settings are not used.

    Raises:
        InputError: `url` is none.
    """

    def __init__(
        self,
        url: str,
        interval_s: float = 1.0,
        *,
        timeout_s: float = 2.0,
        headers: Mapping[str, str] | None = None,
        tls: TlsSettings | None = None,
    ) -> None:
        self._url = _checked(url)
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._headers = {**_ACCEPT, **(headers or {})}
        self._tls = tls_context(tls) if tls else httpx.create_ssl_context(trust_env=False)
        self.warning = ""

    def window(self) -> AbstractContextManager[Samples[MetricsPage]]:
        """Scrapes within the block; `ServerMetrics.of` makes sense of the samples."""
        return sampled(self._scrape, self._interval_s)

    def _scrape(self) -> MetricsPage | None:
        try:
            return _page(asyncio.run(self._fetch()))
        except (TimeoutError, httpx.TimeoutException):
            reason = f"no answer within {self._timeout_s:g} s"
        except (httpx.HTTPError, ValueError) as error:
            reason = str(error) or type(error).__name__
        self.warning = self.warning or masked(
            f"metrics of the server are missing: asked for {self._url}, got: {reason}; check that "
            "it publishes them there (Triton: `--allow-metrics=true`, TorchServe: "
            "`metrics_mode=prometheus`, llama.cpp: `--metrics`, SGLang: `--enable-metrics`)"
        )
        return None

    async def _fetch(self) -> str:
        # httpx's own timeouts begin anew with every byte; this one is for the whole page.
        async with (
            asyncio.timeout(self._timeout_s),
            httpx.AsyncClient(
                trust_env=False, verify=self._tls, timeout=self._timeout_s
            ) as client,
            client.stream("GET", self._url, headers=self._headers) as response,
        ):
            if not response.is_success:
                raise ValueError(f"status {response.status_code}")
            content = bytearray()
            async for part in response.aiter_bytes():
                content += part
                if len(content) > _LARGEST_PAGE:
                    raise ValueError(f"a page larger than {_LARGEST_PAGE >> 20} MiB")
        return content.decode(errors="replace")


def _checked(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url if "://" in url else f"http://{url}")
    except httpx.InvalidURL:
        parsed = httpx.URL()
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise InputError(
            f"a URL of a page of metrics was expected, but got `{url}`",
            hint="for example: http://127.0.0.1:8002/metrics",
        )
    return parsed


def _page(text: str) -> MetricsPage:
    page = parse(text)
    if not page.values:
        raise ValueError("a page without a metric")
    return page


def _gpus(page: MetricsPage) -> dict[str, GpuUsage]:
    found: dict[str, dict[str, Any]] = {}
    for series, value in page.values.items():
        if series.name in _GPU_METRICS and math.isfinite(value):
            field, converted = _GPU_METRICS[series.name]
            name = next(filter(None, map(series.label, _GPU_LABELS)), "0")
            found.setdefault(name, {})[field] = converted(value)
    return {name: GpuUsage(**fields) for name, fields in found.items()}


def _growth(windows: Sequence[Samples[MetricsPage]], kind: MetricKind) -> dict[str, float]:
    """By how much each series grew over all windows; only those of which every window knows."""
    grown = [dict(_growth_within(window, kind)) for window in windows]
    known = sorted(set.intersection(*map(set, grown)), key=str)
    return {str(series): math.fsum(each[series] for each in grown) for series in known}


def _growth_within(
    window: Samples[MetricsPage], kind: MetricKind
) -> Iterator[tuple[Series, float]]:
    if window.begin is None or window.end is None:
        return
    for series, value in window.end.values.items():
        # Some servers show a counter only once it counted something.
        growth = value - window.begin.values.get(series, 0.0)
        if window.end.kind(series) is kind and 0 <= growth < math.inf:
            yield series, growth


def _gauges(pages: Sequence[MetricsPage]) -> dict[str, Gauge]:
    values: dict[Series, list[float]] = {}
    for page in pages:
        for series, value in page.values.items():
            is_gauge = page.kind(series) is MetricKind.GAUGE and series.name not in _GPU_METRICS
            if is_gauge and math.isfinite(value):
                values.setdefault(series, []).append(value)
    return {
        str(each): Gauge(fmean(values[each]), max(values[each]))
        for each in sorted(values, key=str)
    }
