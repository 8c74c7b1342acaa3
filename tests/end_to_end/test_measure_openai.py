"""`tuner measure --service-kind openai` against a real llama.cpp."""

import json
from pathlib import Path

import pytest

from tests.measuring import Measure
from tests.servers import llama_cpp
from tests.servers.llama_cpp import LlamaServer

OPENAI = ("--service-kind", "openai", "--request-count", "8", "--concurrency", "2")
SHORT = ("--prompt-tokens", "32", "--output-tokens", "8", "--prompts", "4")


@pytest.mark.parametrize("task", ["chat", "completions"])
def test_answers_token_by_token(measure: Measure, llama_server: LlamaServer, task: str) -> None:
    """Each answer has the tokens that were asked for, by the server's own count."""
    [point] = measure(llama_server.url, *OPENAI, *SHORT, "--task", task)
    tokens = point["tokens"]
    assert (tokens["answers"], tokens["output"], tokens["counted_by"]) == (8, 64, "server")
    assert 0 < tokens["ttft"]["p50_ms"] < point["p50_ms"]
    # All tokens of an answer may arrive at once where the machine is busy.
    assert 0 < (tokens["itl"]["p50_ms"] or 1e-3) < point["p50_ms"]


def test_conversations(measure: Measure, llama_server: LlamaServer) -> None:
    """Each turn carries all before it, which the server still knows from the turn before."""
    one_user = ("--service-kind", "openai", "--request-count", "8", "--concurrency", "1")
    [point] = measure(llama_server.url, *one_user, *SHORT, "--sessions", "--turns", "4")
    tokens = point["tokens"]
    # Two conversations of 32, 72, 112 and 152 tokens: a word more or less in each text.
    assert tokens["prompt"] == pytest.approx(2 * (32 + 72 + 112 + 152), rel=0.15)
    assert tokens["cached"] > 0.5 * tokens["prompt"]


def test_a_trace(measure: Measure, llama_server: LlamaServer) -> None:
    """Its requests come at their moments, once each, with its lengths and shared beginnings."""
    lines = [
        {"timestamp": 1000 + 20 * n, "input_length": 96, "output_length": 4 + n, "hash_ids": ids}
        for n, ids in enumerate([[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 7]] * 4)
    ]
    Path("trace.jsonl").write_text("\n".join(map(json.dumps, lines)))
    trace = ("--service-kind", "openai", "--trace", "trace.jsonl", "--request-count", "0")
    [point] = measure(llama_server.url, *trace)
    tokens = point["tokens"]
    assert (point["requests"], tokens["output"]) == (8, 4 * 8 + sum(range(8)))
    assert point["duration_s"] >= 0.14
    assert tokens["prompt"] == pytest.approx(8 * 96, rel=0.1)
    assert tokens["cached"] > 60 * 3


def test_the_page_of_metrics(measure: Measure, llama_server: LlamaServer) -> None:
    """It is found on the same port, and says what was worked on, and what was reused."""
    shared = ("--prefix-share", "0.9", "--collect-metrics", "--metrics-interval", "10")
    [point] = measure(llama_server.url, *OPENAI, *SHORT, *shared, "--prompt-tokens", "200")
    scheduling = point["server"]["scheduling"]
    assert 0 <= scheduling["running"]["mean"] <= scheduling["running"]["largest"] <= 2
    assert scheduling["waiting"]["largest"] == 0
    assert scheduling["reused"] > 0.5


@pytest.mark.parametrize(
    ("task", "flag", "texts"), [("embeddings", "--embeddings", 1), ("rerank", "--reranking", 2)]
)
def test_several_texts_in_a_request(measure: Measure, task: str, flag: str, texts: int) -> None:
    """Each has a vector, or fits to the first as well as it does; the server counts its tokens."""
    if missing := llama_cpp.missing():
        pytest.skip(missing)
    lengths = ("--prompt-tokens", "40", "--prompts", "8", "--batch", "4")
    with llama_cpp.serving(flag, encoder=True) as server:
        [point] = measure(server.url, *OPENAI, "--task", task, *lengths)
    assert point["throughput"] * point["duration_s"] == pytest.approx(8 * 4)
    tokens = point["tokens"]
    assert tokens["output"] == 0
    # A word less in a text, and marks around it and between two of them.
    assert texts * 32 <= tokens["prompt"] / (8 * 4) <= texts * 40 + 4
