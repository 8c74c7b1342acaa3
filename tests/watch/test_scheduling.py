"""How language-model servers schedule: what is read from their own pages."""

from collections.abc import Mapping

import pytest

from tuner.watch.metrics import Gauge, ServerMetrics
from tuner.watch.scheduling import Scheduling, scheduling


def metrics(counters: Mapping[str, float], gauges: Mapping[str, float]) -> ServerMetrics:
    """The mean of each gauge is half of its largest value."""
    return ServerMetrics(
        scrapes=3,
        gpus={},
        counters=counters,
        totals={},
        gauges={series: Gauge(value / 2, value) for series, value in gauges.items()},
    )


MODEL = '{model_name="m"}'
VLLM = metrics(
    {
        'vllm:num_preemptions_total{engine="0"}': 2.0,
        'vllm:num_preemptions_total{engine="1"}': 1.0,
        f"vllm:prefix_cache_queries_total{MODEL}": 400.0,
        f"vllm:prefix_cache_hits_total{MODEL}": 100.0,
        f"vllm:spec_decode_num_draft_tokens_total{MODEL}": 50.0,
        f"vllm:spec_decode_num_accepted_tokens_total{MODEL}": 40.0,
    },
    {
        'vllm:num_requests_running{engine="0"}': 8.0,
        'vllm:num_requests_running{engine="1"}': 4.0,
        'vllm:num_requests_waiting{engine="0"}': 2.0,
        'vllm:kv_cache_usage_perc{engine="0"}': 0.5,
        'vllm:kv_cache_usage_perc{engine="1"}': 0.75,
    },
)
SGLANG = metrics(
    {
        f"sglang:num_retracted_requests_total{MODEL}": 0.0,
        f"sglang:cached_tokens_total{MODEL}": 30.0,
        f"sglang:prompt_tokens_total{MODEL}": 300.0,
    },
    {
        f"sglang:num_running_reqs{MODEL}": 8.0,
        f"sglang:num_queue_reqs{MODEL}": 0.0,
        f"sglang:token_usage{MODEL}": 0.25,
    },
)
LLAMA_CPP = metrics(
    {
        "llamacpp:prompt_tokens_total": 75.0,
        "llamacpp:prompt_tokens_cached_total": 25.0,
        "llamacpp:spec_decode_num_draft_tokens_total": 0.0,
        "llamacpp:spec_decode_num_accepted_tokens_total": 0.0,
    },
    {"llamacpp:requests_processing": 4.0, "llamacpp:requests_deferred": 6.0},
)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            VLLM,
            Scheduling(
                running=Gauge(6.0, 12.0),
                waiting=Gauge(1.0, 2.0),
                cache_use=Gauge(0.375, 0.75),
                preemptions=3.0,
                reused=0.25,
                accepted=0.8,
            ),
        ),
        (
            SGLANG,
            Scheduling(
                running=Gauge(4.0, 8.0),
                waiting=Gauge(0.0, 0.0),
                cache_use=Gauge(0.125, 0.25),
                preemptions=0.0,
                reused=0.1,
                accepted=None,
            ),
        ),
        (
            LLAMA_CPP,
            Scheduling(
                running=Gauge(2.0, 4.0),
                waiting=Gauge(3.0, 6.0),
                cache_use=None,
                preemptions=None,
                reused=0.25,
                accepted=None,
            ),
        ),
    ],
    ids=["vllm", "sglang", "llama.cpp"],
)
def test_what_servers_say(said: ServerMetrics, expected: Scheduling) -> None:
    """Several engines are added up, but for their caches: the fullest one counts."""
    assert scheduling(said) == expected


def test_other_servers() -> None:
    """They have nothing of the kind."""
    assert scheduling(metrics({"nv_inference_count": 1.0}, {"nv_cpu_utilization": 0.5})) is None
