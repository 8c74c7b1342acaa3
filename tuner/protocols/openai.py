"""The HTTP interface of OpenAI, as language-model servers have it: requests and their answers.

Sources: OpenAI API reference (chat completions, completions, embeddings); the servers' own manuals
for what they add: `ignore_eos` and `continuous_usage_stats` (vLLM, "OpenAI-Compatible Server"),
`/v1/rerank` (Jina's interface, which vLLM, llama.cpp and infinity have).
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tuner.load.profile import Endpoint
from tuner.load.requests import SERIAL_DIGITS, Heard, RequestSet, SequenceSet, SequenceStep
from tuner.load.turns import serial_digits
from tuner.protocols import generic_http
from tuner.protocols.openai_events import FamiliarEvents
from tuner.protocols.openai_task import Task
from tuner.workload.conversations import Conversation
from tuner.workload.prompts import SERIAL, Prompt

_END = Heard(ends=True)
_BROKEN = Heard(fault="bad_response")
_ERROR = Heard(fault="stream_error")
# Tokens of an answer, or of its prompt: more than any model takes.
_MOST_TOKENS = 10**9
# What output tokens are made into, beside text: thoughts, calls of tools, refusals.
_OUTPUT = ("content", "reasoning_content", "reasoning", "tool_calls", "refusal", "function_call")
_SERIAL = re.compile(SERIAL.encode())
_END_OF_HEAD = b"\r\n\r\n"
# Enough for a conversation in each request of the longest run.
_CONVERSATIONS = 10**13


@dataclass(frozen=True, kw_only=True)
class OpenAiOptions:
    """The form of the requests.

    Attributes:
        model: The name that the server knows the model by; empty where nobody has said it yet.
        task: What it is asked for.
        streaming: Whether the answer comes token by token.
        ignore_eos: Whether the answer goes on to its full length, whatever the model says.
        continuous_usage: Whether each event is to say how many tokens there are by now.
        include_usage: Whether the last event is to say it.
        extra: Further fields of the body, such as `temperature`.
        headers: Further headers, the API key's among them.
        inputs: How many prompts one request of embeddings carries, or documents one of rerank.
    """

    model: str = ""
    task: Task = Task.CHAT
    streaming: bool = True
    ignore_eos: bool = True
    continuous_usage: bool = True
    include_usage: bool = True
    extra: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    inputs: int = 1


def request_set(
    endpoint: Endpoint,
    prompts: Sequence[Prompt],
    options: OpenAiOptions,
    *,
    one_serial: bool = False,
) -> RequestSet:
    """Wire-ready requests, one for each prompt or, of several inputs, for so many of them.

    With `one_serial`, the serial numbers in the prompts are the same throughout a run.

    Raises:
        InputError: A header cannot be sent.
    """
    payloads = _payloads(endpoint, bodies(prompts, options), options)
    unique = all(prompt.unique for prompt in prompts)
    return RequestSet(
        payloads,
        inferences=options.inputs,
        events=OpenAiRule(options.task),
        serials=tuple(_places(each, options) for each in payloads) if unique else (),
        one_serial=one_serial,
    )


def conversation_set(
    endpoint: Endpoint,
    conversations: Sequence[Conversation],
    options: OpenAiOptions,
    *,
    seed: int = 0,
) -> RequestSet:
    """Wire-ready conversations; each time that one is played, it has another serial number.

    Raises:
        InputError: A header cannot be sent.
    """

    def steps(conversation: Conversation) -> Iterator[SequenceStep]:
        asked = bodies(list(conversation.prompts()), options)
        payloads = _payloads(endpoint, asked, options)
        for turn, payload in zip(conversation.turns, payloads, strict=True):
            [at] = _places(payload, options)
            before, after = payload[:at], payload[at + SERIAL_DIGITS :]
            yield SequenceStep.alike(before, after, pause_s=turn.pause_s)

    sequences = SequenceSet(
        streams=tuple(tuple(steps(each)) for each in conversations),
        encode_id=serial_digits,
        ids=_CONVERSATIONS,
        seed=seed,
        stateful=False,
    )
    return RequestSet((), events=OpenAiRule(options.task), sequences=sequences)


def _payloads(
    endpoint: Endpoint, asked: Iterable[Mapping[str, Any]], options: OpenAiOptions
) -> tuple[bytes, ...]:
    headers = generic_http.with_defaults(options.headers, {"Content-Type": "application/json"})
    return tuple(
        generic_http.prepare(
            endpoint, options.task.path, headers=headers, body=json.dumps(each).encode()
        )
        for each in asked
    )


def _places(payload: bytes, options: OpenAiOptions) -> tuple[int, ...]:
    """Where serial numbers stand: one in each text that the body begins with."""
    texts = 1 if options.task.generates else options.inputs
    if options.task is Task.RERANK:
        texts += 1  # the query
    found = _SERIAL.finditer(payload, payload.index(_END_OF_HEAD))
    return tuple(match.start() for match in islice(found, texts))


def body(prompt: Prompt, options: OpenAiOptions) -> dict[str, Any]:
    """The body of a request for an answer of output tokens."""
    content: dict[str, Any] = {"model": options.model}
    if options.task is Task.CHAT:
        content["messages"] = [
            {"role": message.role, "content": message.text} for message in prompt.messages
        ]
    else:
        content["prompt"] = prompt.text
    if prompt.output_tokens:
        content["max_tokens"] = prompt.output_tokens
        if options.ignore_eos:
            content["ignore_eos"] = True
    if options.streaming:
        content["stream"] = True
        if options.include_usage:
            usage = {"include_usage": True}
            more = {"continuous_usage_stats": True} if options.continuous_usage else {}
            content["stream_options"] = usage | more
    return content | dict(options.extra)


def bodies(prompts: Sequence[Prompt], options: OpenAiOptions) -> list[dict[str, Any]]:
    """One for each prompt or, of several inputs, for so many of them."""
    if options.task.generates:
        return [body(prompt, options) for prompt in prompts]
    texts = [prompt.text for prompt in prompts]
    count = options.inputs
    groups = [texts[at : at + count] for at in range(0, len(texts) - count + 1, count)]
    made = (
        {"input": group}
        if options.task is Task.EMBEDDINGS
        else {"query": group[0], "documents": group}
        for group in groups
    )
    return [{"model": options.model} | each | dict(options.extra) for each in made]


@dataclass(frozen=True)
class OpenAiRule:
    """Implements EventRule."""

    task: Task

    @property
    def least(self) -> int:
        return int(self.task.generates)

    def reader(self) -> FamiliarEvents:
        return FamiliarEvents(self.read)

    def read(self, data: bytes) -> Heard:
        """What one event says by itself."""
        if data == b"[DONE]":
            return _END
        try:
            event = json.loads(data)
            return _ERROR if event.get("error") else self._read(event)
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            return _BROKEN

    def _read(self, event: Mapping[str, Any]) -> Heard:
        usage = event.get("usage") or {}
        prompt_tokens = _count(usage.get("prompt_tokens"))
        if not self.task.generates:
            found = event.get("data") or event.get("results")
            return Heard(prompt_tokens=prompt_tokens, fault="" if found else "no_output")
        choices = event.get("choices") or ()
        carries = any(map(_carries, choices))
        if not usage:
            return Heard(carries)
        details = usage.get("prompt_tokens_details") or {}
        return Heard(
            tokens=carries,
            output_tokens=_count(usage.get("completion_tokens")),
            # Events with usage come while tokens do, or once at the end.
            is_total=not carries and all(each.get("finish_reason") for each in choices),
            prompt_tokens=prompt_tokens,
            cached_tokens=_count(details.get("cached_tokens")),
        )


def _count(said: Any) -> int:
    """A number of tokens; 0 where none is said.

    Raises:
        ValueError: It is none that an answer could have.
        OverflowError: It is infinite.
        TypeError: It is no number.
    """
    number = int(said or 0)
    if not 0 <= number <= _MOST_TOKENS:
        raise ValueError(f"{number} tokens")
    return number


def _carries(choice: Mapping[str, Any]) -> bool:
    """Whether there is output in it."""
    said = choice.get("delta") or choice.get("message")
    return bool(choice.get("text") or (said and any(said.get(name) for name in _OUTPUT)))
