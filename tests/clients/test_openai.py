"""The control plane of a language-model server: its models, its tokens, and what it refuses."""

import pytest

from tests.servers.openai_server import MODEL, serving
from tuner.clients.openai import OpenAiClient, ServerTokenizer
from tuner.errors import ServerError
from tuner.watch.scheduling import PREEMPTIONS

CHAT = "/v1/chat/completions"


def test_models() -> None:
    """Their names, and who asks."""
    with serving(models=("a", "b"), key="k") as server:
        headers = {"Authorization": "Bearer k"}
        with OpenAiClient(server.endpoint, headers=headers) as client:
            assert client.models() == ("a", "b")
        with (
            OpenAiClient(server.endpoint, headers={}) as client,
            pytest.raises(ServerError, match=r"who are you\?"),
        ):
            client.models()


@pytest.mark.parametrize("models", [{}, {"data": 5}, {"data": [{}]}, []])
def test_a_list_of_models_in_an_unknown_form(models: object) -> None:
    """The server is no such server."""
    with (
        serving(models=models) as server,
        OpenAiClient(server.endpoint, headers={}) as client,
        pytest.raises(ServerError, match="the server lists its models in an unknown form: "),
    ):
        client.models()


def test_a_server_that_counts() -> None:
    """It is asked in the words of llama.cpp and of vLLM at once."""
    with serving() as server, OpenAiClient(server.endpoint, headers={}) as client:
        tokenizer = ServerTokenizer(client, MODEL)
        assert tokenizer.counts(["abc", ""]) == [3, 0]
        assert tokenizer.by == "the server"
        asked = max(server.bodies("/tokenize"), key=lambda body: len(body["content"]))
    assert asked == {
        "model": MODEL,
        "content": "abc",
        "prompt": "abc",
        "add_special": False,
        "add_special_tokens": False,
    }


def test_a_server_that_does_not_count() -> None:
    """It has no such page."""
    with serving(counts=False) as server, OpenAiClient(server.endpoint, headers={}) as client:
        assert client.token_count(MODEL, "abc") is None
        with pytest.raises(ServerError) as caught:
            ServerTokenizer(client, MODEL).counts(["abc"])
    assert caught.value.message == "the server does not count the tokens of one more text"
    assert caught.value.hint == "give `--tokenizer`, the model's own"


@pytest.mark.parametrize("status", [400, 422])
def test_what_it_refuses(status: int) -> None:
    """A field that it does not know, in its own words; what it takes has none."""
    body = {"model": MODEL, "max_tokens": 1, "ignore_eos": True}
    with (
        serving(unknown=("ignore_eos",), status=status) as server,
        OpenAiClient(server.endpoint, headers={}) as client,
    ):
        assert "what is ignore_eos?" in client.refusal(CHAT, body)
        assert client.refusal(CHAT, {"max_tokens": 1}) == ""


def test_other_failures_are_no_refusals() -> None:
    """They say nothing of the request."""
    with (
        serving(unknown=("max_tokens",), status=503) as server,
        OpenAiClient(server.endpoint, headers={}) as client,
        pytest.raises(ServerError, match=r"what is max_tokens\?"),
    ):
        client.refusal(CHAT, {"max_tokens": 1})


METRICS = """
vllm:num_preemptions_total{engine="0"} 2.0
vllm:num_preemptions_total{engine="1"} 1.0
vllm:other_total 7.0
"""


# Of SGLang 0.5.23, and of 0.5.19; the gauge is of the last moments alone.
RETRACTED = """
sglang:num_retracted_reqs{model_name="m"} 9.0
sglang:num_retracted_requests_total{model_name="m"} 4.0
"""
EARLIER = 'sglang:num_retracted_reqs_total{model_name="m"} 5.0\n'


@pytest.mark.parametrize(
    ("metrics", "count"),
    [(METRICS, 3), (RETRACTED, 4), (EARLIER, 5), ("a 1.0\n", None), ("", None)],
)
def test_what_its_counters_say(metrics: str, count: int | None) -> None:
    """All series of a name, of any of the names; without one, or a page, nothing is known."""
    with (
        serving(metrics=metrics) as server,
        OpenAiClient(server.endpoint, headers={}) as client,
    ):
        assert client.counted(PREEMPTIONS) == count
