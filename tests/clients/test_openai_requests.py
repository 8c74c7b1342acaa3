"""A form that a person gives, made into requests for a server: what it takes, what is said."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.refusals import refused
from tests.servers.openai_server import MODEL, OpenAiServer, serving
from tuner.clients.openai import OpenAiClient
from tuner.clients.openai_requests import AskedPrompts, asked_prompts
from tuner.errors import ServerError
from tuner.protocols.openai import OpenAiOptions
from tuner.protocols.openai_form import ConversationForm, OpenAiForm
from tuner.protocols.openai_task import Task
from tuner.workload.datasets import Selection
from tuner.workload.lengths import Constant
from tuner.workload.prompts import SERIAL
from tuner.workload.synthetic import SyntheticForm
from tuner.workload.traces import Trace, TracedRequest

SHORT = SyntheticForm(prompt=Constant(60), output=Constant(5), count=3)
EOS = (
    "the server does not know `ignore_eos`: answers are as long as the model likes, so "
    "that results of different runs say less of each other"
)
PIECES = "the server does not say how many tokens an answer has: pieces are counted"
ESTIMATE = (
    "the tokens of prompts are counted by an estimate: one token for each word; `--tokenizer` "
    "counts exactly"
)


@pytest.fixture
def server() -> Iterator[OpenAiServer]:
    with serving() as running:
        yield running


def asked(server: OpenAiServer, **form: Any) -> AskedPrompts:
    with OpenAiClient(server.endpoint, headers={}) as client:
        return asked_prompts(client, OpenAiForm(**{"synthetic": SHORT, **form}))


def test_the_only_model(server: OpenAiServer) -> None:
    """Where there is one, it needs no name; where a name is given, nobody asks for others."""
    assert asked(server).options.model == MODEL
    server.asked.clear()
    assert asked(server, options=OpenAiOptions(model="other")).options.model == "other"
    assert server.bodies("/v1/models") == []


@pytest.mark.parametrize(
    ("models", "said"), [((), "0 models: none"), (("a", "b"), "2 models: a, b")]
)
def test_no_only_model(models: tuple[str, ...], said: str) -> None:
    """Their names are said."""
    with (
        serving(models=models) as server,
        refused(f"the server has {said}", "name one with `--model`"),
    ):
        asked(server)


def test_the_server_counts(server: OpenAiServer) -> None:
    """Its tokens are letters."""
    found = asked(server)
    assert found.remarks == ()
    assert all(52 <= len(each.text) <= 60 for each in found.prompts)


def test_nobody_counts() -> None:
    """Then words are, and it is said; a file of a model would count."""
    with serving(counts=False) as server:
        found = asked(server)
    assert found.remarks == (ESTIMATE,)
    assert {len(each.text.split()) for each in found.prompts} == {60}


@pytest.mark.parametrize(
    ("unknown", "taken", "remarks"),
    [
        ((), (True, True, True), ()),
        (("continuous_usage_stats",), (True, False, True), ()),
        (("stream_options",), (True, False, False), (PIECES,)),
        (("ignore_eos",), (False, True, True), (EOS,)),
        (("ignore_eos", "stream_options"), (False, False, False), (EOS, PIECES)),
    ],
)
def test_what_a_server_does_not_know(
    unknown: tuple[str, ...], taken: tuple[bool, ...], remarks: tuple[str, ...]
) -> None:
    """It is left out, and what that means is said."""
    with serving(unknown=unknown) as server:
        found = asked(server)
    options = found.options
    assert (options.ignore_eos, options.continuous_usage, options.include_usage) == taken
    assert found.remarks == remarks


def test_the_longest_prompt_is_tried_for_one_token(server: OpenAiServer) -> None:
    """So that a refusal comes before the load."""
    asked(server)
    [tried] = server.bodies("/v1/chat/completions")
    assert tried["max_tokens"] == 1
    assert tried["stream"]


def test_a_server_that_takes_nothing() -> None:
    """What it said first is the error."""
    with serving(unknown=("model",)) as server, pytest.raises(ServerError) as caught:
        asked(server)
    assert "what is model?" in str(caught.value)
    assert caught.value.hint == "check `--model`, the lengths of the prompts, and `--extra`"


@pytest.mark.parametrize(("streaming", "count"), [(True, 6), (False, 2)])
def test_nothing_is_tried_twice(streaming: bool, count: int) -> None:  # noqa: FBT001 - a parameter
    """Without a stream there is less to leave out."""
    with serving(unknown=("model",)) as server, pytest.raises(ServerError):
        asked(server, options=OpenAiOptions(streaming=streaming))
    tried = server.bodies("/v1/chat/completions")
    assert len(tried) == len(set(map(json.dumps, tried))) == count


def test_embeddings_are_tried(server: OpenAiServer) -> None:
    """With as many inputs as each request has; what the server says against it is the error."""
    options = OpenAiOptions(task=Task.EMBEDDINGS, inputs=2)
    asked(server, options=options)
    [tried] = server.bodies("/v1/embeddings")
    assert len(tried["input"]) == 2
    with serving(unknown=("input",)) as other, pytest.raises(ServerError) as caught:
        asked(other, options=options)
    assert "no embeddings here" in str(caught.value)
    assert caught.value.hint == "check `--model`, the lengths of the prompts, and `--extra`"


def test_a_file(server: OpenAiServer, tmp_path: Path) -> None:
    """As many of its prompts are asked as were wanted."""
    file = tmp_path / "data.txt"
    file.write_text("one\ntwo\nthree\n")
    found = asked(server, dataset=file, selection=Selection(most=2))
    assert len(found.prompts) == 2
    assert found.remarks == ()
    assert found.request_set(server.endpoint).serials == ()


def test_a_file_of_too_few_prompts(server: OpenAiServer, tmp_path: Path) -> None:
    """A request of several inputs needs them."""
    file = tmp_path / "data.txt"
    file.write_text("one\n")
    with refused(
        f"`--batch 2` needs as many prompts, but `--dataset {file}` has 1",
        "lower it, or give a larger file",
    ):
        asked(server, dataset=file, options=OpenAiOptions(task=Task.EMBEDDINGS, inputs=2))


def test_conversations(server: OpenAiServer, tmp_path: Path) -> None:
    """The last turn of the longest is tried; each is played with a number of its own."""
    played = ConversationForm(turns=Constant(3), think_s=1.0)
    requests = asked(server, conversations=played).request_set(server.endpoint)
    assert requests.sequences is not None
    assert {len(stream) for stream in requests.sequences.streams} == {3}
    assert all(step.pause_s > 0 for stream in requests.sequences.streams for step in stream[1:])
    assert len(server.bodies("/v1/chat/completions")[0]["messages"]) == 5
    file = tmp_path / "data.jsonl"
    file.write_text('{"turns": ["a", "b"]}\n')
    found = asked(server, conversations=played, dataset=file)
    assert found.remarks == ()
    assert len(found.conversations[0].turns) == 2


def test_a_trace(server: OpenAiServer) -> None:
    """One prompt for each of its requests, with the run's serial number in all of them."""
    requests = (
        TracedRequest(at_s=0.0, prompt_tokens=30, output_tokens=5),
        TracedRequest(at_s=1.0, prompt_tokens=40, output_tokens=6),
    )
    found = asked(server, trace=Trace(requests, 512))
    assert [each.output_tokens for each in found.prompts] == [5, 6]
    assert all(each.text.startswith(SERIAL) for each in found.prompts)
    assert found.request_set(server.endpoint).one_serial
