"""Requests of OpenAI's interface, byte for byte, and where their serial numbers stand."""

import json
from typing import Any

import pytest

from tuner.load.profile import Endpoint
from tuner.load.requests import SERIAL_DIGITS
from tuner.load.turns import serial_digits
from tuner.protocols.openai import OpenAiOptions, OpenAiRule, body, conversation_set, request_set
from tuner.protocols.openai_task import Task
from tuner.workload.conversations import Conversation, Turn
from tuner.workload.prompts import SERIAL, Message, Prompt

ENDPOINT = Endpoint("h", 8000)
PROMPT = Prompt(messages=(Message("system", "be kind"), Message("user", "hi")), output_tokens=8)
UNIQUE = Prompt(messages=(Message("user", f"{SERIAL} hi"),), unique=True)
USAGE = {"include_usage": True, "continuous_usage_stats": True}


def content(payload: bytes) -> Any:
    return json.loads(payload.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            OpenAiOptions(model="m"),
            {
                "model": "m",
                "messages": [
                    {"role": "system", "content": "be kind"},
                    {"role": "user", "content": "hi"},
                ],
                "max_tokens": 8,
                "ignore_eos": True,
                "stream": True,
                "stream_options": USAGE,
            },
        ),
        (
            OpenAiOptions(model="m", task=Task.COMPLETIONS, streaming=False, ignore_eos=False),
            {"model": "m", "prompt": "be kind\nhi", "max_tokens": 8},
        ),
        (
            OpenAiOptions(
                model="m", task=Task.COMPLETIONS, continuous_usage=False, ignore_eos=False
            ),
            {
                "model": "m",
                "prompt": "be kind\nhi",
                "max_tokens": 8,
                "stream": True,
                "stream_options": {"include_usage": True},
            },
        ),
        (
            OpenAiOptions(
                model="m",
                task=Task.COMPLETIONS,
                include_usage=False,
                extra={"temperature": 0, "max_tokens": 3},
            ),
            {
                "model": "m",
                "prompt": "be kind\nhi",
                "max_tokens": 3,
                "ignore_eos": True,
                "stream": True,
                "temperature": 0,
            },
        ),
    ],
)
def test_bodies(options: OpenAiOptions, expected: dict[str, Any]) -> None:
    """What a person adds goes before what is usual."""
    assert body(PROMPT, options) == expected


def test_an_answer_of_any_length() -> None:
    """Where nobody says it, the server's own limit holds, and the model ends its answer."""
    asked = body(UNIQUE, OpenAiOptions(model="m"))
    assert "max_tokens" not in asked
    assert "ignore_eos" not in asked


@pytest.mark.parametrize(
    ("task", "path"),
    [
        (Task.CHAT, b"/v1/chat/completions"),
        (Task.COMPLETIONS, b"/v1/completions"),
        (Task.EMBEDDINGS, b"/v1/embeddings"),
        (Task.RERANK, b"/v1/rerank"),
    ],
)
def test_requests(task: Task, path: bytes) -> None:
    """Each task has its path; headers go with them, the API key's among them."""
    options = OpenAiOptions(model="m", task=task, headers={"Authorization": "Bearer k"})
    [payload] = request_set(ENDPOINT, [PROMPT], options).payloads
    assert payload.startswith(b"POST %b HTTP/1.1\r\nHost: h:8000\r\n" % path)
    assert b"\r\nAuthorization: Bearer k\r\n" in payload
    assert b"\r\nContent-Type: application/json\r\n" in payload


def test_several_inputs_of_one_request() -> None:
    """What is left over at the end is not sent; of documents, the first is the query as well."""
    prompts = [Prompt.of(text) for text in "abcde"]
    embeddings = OpenAiOptions(model="m", task=Task.EMBEDDINGS, inputs=2)
    found = request_set(ENDPOINT, prompts, embeddings)
    assert found.inferences == 2
    assert [content(each)["input"] for each in found.payloads] == [["a", "b"], ["c", "d"]]
    rerank = OpenAiOptions(model="m", task=Task.RERANK, inputs=3, extra={"top_n": 1})
    [payload] = request_set(ENDPOINT, prompts, rerank).payloads
    assert content(payload) == {
        "model": "m",
        "query": "a",
        "documents": ["a", "b", "c"],
        "top_n": 1,
    }


def test_places_of_serial_numbers() -> None:
    """They are known only where each prompt has one."""
    options = OpenAiOptions(model="m")
    found = request_set(ENDPOINT, [UNIQUE, UNIQUE], options, one_serial=True)
    assert found.one_serial
    for payload, [at] in zip(found.payloads, found.serials, strict=True):
        assert payload[at : at + SERIAL_DIGITS] == SERIAL.encode()
    assert request_set(ENDPOINT, [UNIQUE, PROMPT], options).serials == ()


@pytest.mark.parametrize(
    ("task", "count"), [(Task.CHAT, 1), (Task.EMBEDDINGS, 3), (Task.RERANK, 4)]
)
def test_places_in_several_texts(task: Task, count: int) -> None:
    """Each text has one, the query of rerank too; what looks like one elsewhere is none."""
    options = OpenAiOptions(
        model="m", task=task, inputs=3, headers={"X-Trace": SERIAL}, extra={"seed": 10**14}
    )
    found = request_set(ENDPOINT, [UNIQUE] * (1 if task.generates else 3), options)
    [payload], [places] = found.payloads, found.serials
    text = f"{SERIAL} hi".encode()
    assert len(places) == count
    assert all(payload[at : at + len(text)] == text for at in places)


def test_serial_numbers() -> None:
    """Those that follow each other differ from their first digits on, and none comes twice."""
    found = [serial_digits(number) for number in range(1, 2001)]
    assert {len(each) for each in found} == {SERIAL_DIGITS}
    assert len(set(found)) == 2000
    assert all(len({each[:1] for each in found[at : at + 3]}) == 3 for at in range(0, 1998, 3))


def test_conversations() -> None:
    """Each is a sequence whose steps have the same place for the number of the conversation."""
    turns = (Turn(question="a", answer="b"), Turn(question="c", pause_s=2.0))
    options = OpenAiOptions(model="m")
    found = conversation_set(ENDPOINT, [Conversation(turns=turns)], options, seed=4)
    sequences = found.sequences
    assert sequences is not None
    assert (sequences.stateful, sequences.seed, found.payloads) == (False, 4, ())
    [[first, second]] = sequences.streams
    assert second.pause_s == 2.0
    texts = []
    for step in (first, second):
        [(before, after)] = set(step.forms.values())
        said = content(before + sequences.encode_id(1) + after)["messages"]
        texts.append([message["content"] for message in said])
    number = serial_digits(1).decode()
    assert texts == [[f"{number} a"], [f"{number} a", "b", "c"]]


def test_what_answers_must_have() -> None:
    """Output tokens, where the task makes some."""
    assert {task: OpenAiRule(task).least for task in Task} == {
        Task.CHAT: 1,
        Task.COMPLETIONS: 1,
        Task.EMBEDDINGS: 0,
        Task.RERANK: 0,
    }
