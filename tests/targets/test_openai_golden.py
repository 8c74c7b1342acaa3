"""What servers of OpenAI's interface are compared on, whatever they tell."""

import math
import struct
from collections.abc import Mapping
from typing import Any

import pytest

from tests.servers.openai_server import MODEL, serving
from tuner.clients.openai import OpenAiClient
from tuner.errors import ServerError
from tuner.load.requests import Tensor
from tuner.protocols.openai_task import Task
from tuner.targets.openai_golden import golden_outputs

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
TOP = [{"token": "b", "logprob": -2.0}, {"token": "a", "logprob": -0.5}]
OF_CHAT = {"choices": [{"logprobs": {"content": [{"top_logprobs": TOP}]}}]}
OF_COMPLETIONS = {"choices": [{"text": "a", "logprobs": {"top_logprobs": [{"b": -2, "a": -0.5}]}}]}


def golden(task: Task, answers: Mapping[str, Any]) -> tuple[Tensor, ...]:
    with (
        serving(answers=answers) as server,
        OpenAiClient(server.endpoint, headers={}) as client,
    ):
        return golden_outputs(client, MODEL, task)


def numbers(tensor: Tensor) -> list[float]:
    return list(struct.unpack(f"<{math.prod(tensor.shape)}d", tensor.data))


@pytest.mark.parametrize(
    ("task", "answers"),
    [(Task.CHAT, {CHAT: OF_CHAT}), (Task.COMPLETIONS, {COMPLETIONS: OF_COMPLETIONS})],
)
def test_log_probabilities(task: Task, answers: Mapping[str, Any]) -> None:
    """The largest first, in either form; which tokens these are does not count."""
    found = golden(task, answers)
    assert [tensor.name for tensor in found] == [f"logprobs after text {n}" for n in range(1, 5)]
    assert numbers(found[0]) == [-0.5, -2.0]


@pytest.mark.parametrize(
    ("task", "answers"),
    [
        (Task.CHAT, {CHAT: {"choices": [{"message": {"content": "so"}}]}}),
        (Task.CHAT, {CHAT: {"choices": [{"message": {"reasoning_content": "so"}}]}}),
        (Task.COMPLETIONS, {COMPLETIONS: {"choices": [{"text": "so", "logprobs": None}]}}),
    ],
)
def test_a_server_without_probabilities(task: Task, answers: Mapping[str, Any]) -> None:
    """It is compared on what it says."""
    found = golden(task, answers)
    assert [tensor.name for tensor in found] == [f"text after text {n}" for n in range(1, 5)]
    assert found[0].data.endswith(b"so")


def test_an_embedding() -> None:
    """The vector of a text."""
    [found] = golden(Task.EMBEDDINGS, {"/v1/embeddings": {"data": [{"embedding": [0.5, 1]}]}})
    assert (found.name, numbers(found)) == ("embedding", [0.5, 1.0])


def test_relevance() -> None:
    """In the order of the documents, not of the answer."""
    results = [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]
    [found] = golden(Task.RERANK, {"/v1/rerank": {"results": results}})
    assert (found.name, numbers(found)) == ("relevance", [0.1, 0.9])


def test_an_unknown_form() -> None:
    """What cannot be read is said."""
    with pytest.raises(ServerError, match="/v1/embeddings was answered in an unknown form: Key"):
        golden(Task.EMBEDDINGS, {"/v1/embeddings": {"vectors": []}})
