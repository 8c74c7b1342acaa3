"""How a language-model server schedules its requests, by its own page of metrics.

Sources: vLLM, "Production Metrics"; SGLang, "Production Metrics"; the page of llama.cpp's server.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import fsum

from tuner.watch.metrics import Gauge, ServerMetrics

_RUNNING = (
    "vllm:num_requests_running",
    "sglang:num_running_reqs",
    "llamacpp:requests_processing",
)
_WAITING = ("vllm:num_requests_waiting", "sglang:num_queue_reqs", "llamacpp:requests_deferred")
_CACHE_USE = (
    "vllm:kv_cache_usage_perc",
    "vllm:gpu_cache_usage_perc",
    "sglang:token_usage",
    "llamacpp:kv_cache_usage_ratio",
)
# vLLM's v1/metrics/loggers.py; SGLang's metrics_collector.py, 0.5.23 and 0.5.19: that without
# `_total` is a gauge which each log line sets back. llama.cpp's server puts nothing back.
PREEMPTIONS = (
    "vllm:num_preemptions_total",
    "sglang:num_retracted_requests_total",
    "sglang:num_retracted_reqs_total",
)
# What was reused, or accepted, and what it is a part of: the sum of these counters.
_REUSED: Mapping[str, tuple[str, ...]] = {
    "vllm:prefix_cache_hits_total": ("vllm:prefix_cache_queries_total",),
    "sglang:cached_tokens_total": ("sglang:prompt_tokens_total",),
    "llamacpp:prompt_tokens_cached_total": (
        "llamacpp:prompt_tokens_cached_total",
        "llamacpp:prompt_tokens_total",
    ),
}
_ACCEPTED: Mapping[str, tuple[str, ...]] = {
    f"{server}:spec_decode_num_accepted_tokens_total": (
        f"{server}:spec_decode_num_draft_tokens_total",
    )
    for server in ("vllm", "llamacpp")
}


@dataclass(frozen=True, kw_only=True)
class Scheduling:
    """What the server says of a load point; None is what it does not say.

    Attributes:
        running: Requests that it worked on.
        waiting: Those that had to wait.
        cache_use: The share of its cache of keys and values that was in use, from 0 to 1.
        preemptions: How often it put a request back because that cache was full.
        reused: The share of the prompts' tokens that it knew from earlier requests.
        accepted: The share of the drafted tokens that speculative decoding could use.
    """

    running: Gauge | None
    waiting: Gauge | None
    cache_use: Gauge | None
    preemptions: float | None
    reused: float | None
    accepted: float | None


def scheduling(metrics: ServerMetrics) -> Scheduling | None:
    """What `metrics` say of it; None of a server that has no such metrics.

    Of several engines behind one page, requests are added up; the use of the cache is that of the
    fullest one.
    """
    running, waiting = _sum(metrics, _RUNNING), _sum(metrics, _WAITING)
    if running is None and waiting is None:
        return None
    uses = _gauges(metrics, _CACHE_USE)
    return Scheduling(
        running=running,
        waiting=waiting,
        cache_use=max(uses, key=lambda each: each.largest) if uses else None,
        preemptions=_grown(metrics, PREEMPTIONS),
        reused=_share(metrics, _REUSED),
        accepted=_share(metrics, _ACCEPTED),
    )


def _gauges(metrics: ServerMetrics, names: Iterable[str]) -> list[Gauge]:
    return [gauge for series, gauge in metrics.gauges.items() if _name(series) in names]


def _sum(metrics: ServerMetrics, names: Iterable[str]) -> Gauge | None:
    found = _gauges(metrics, names)
    if not found:
        return None
    return Gauge(fsum(each.mean for each in found), fsum(each.largest for each in found))


def _grown(metrics: ServerMetrics, names: Iterable[str]) -> float | None:
    found = [growth for series, growth in metrics.counters.items() if _name(series) in names]
    return fsum(found) if found else None


def _share(metrics: ServerMetrics, parts: Mapping[str, tuple[str, ...]]) -> float | None:
    for part, whole in parts.items():
        of, all_of_it = _grown(metrics, (part,)), _grown(metrics, whole)
        if of is not None and all_of_it:
            return of / all_of_it
    return None


def _name(series: str) -> str:
    return series.partition("{")[0]
