"""Answers that come token by token, as language-model servers write them."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from tests.load.server import Behaviour, Exchange

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
END = b"0\r\n\r\n"
DONE = b"data: [DONE]\n\n"


def chunk(*events: bytes) -> bytes:
    """One chunk of the body, with these events."""
    data = b"".join(events)
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(**content: Any) -> bytes:
    return b"data: %b\n\n" % json.dumps(content).encode()


def piece(text: str = "a", **more: Any) -> bytes:
    """An event with some output, and whatever else."""
    return event(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": None}], **more)


# What comes before and after the output: only a role, only a reason.
ROLE = event(choices=[{"index": 0, "delta": {"role": "assistant", "content": ""}}])
STOP = event(choices=[{"index": 0, "delta": {}, "finish_reason": "length"}])


def usage(output: int, prompt: int = 9, cached: int = 0) -> bytes:
    """The last event but one, where it was asked for."""
    details = {"prompt_tokens_details": {"cached_tokens": cached}} if cached else {}
    said = {"prompt_tokens": prompt, "completion_tokens": output, **details}
    return event(choices=[], usage=said)


def stream(*segments: bytes, pauses_s: Sequence[float] = (), close: bool = False) -> Behaviour:
    """Send the segments, each by itself, after its pause (2 ms where none is given)."""

    async def behaviour(exchange: Exchange) -> None:
        for number, segment in enumerate(segments):
            await asyncio.sleep(pauses_s[number] if number < len(pauses_s) else 0.002)
            await exchange.send(segment)
        if close:
            exchange.close()

    return behaviour


def answer(tokens: int, *, told: bool = True) -> Behaviour:
    """A whole answer of so many tokens, one in each segment."""
    last = [usage(tokens)] if told else []
    return stream(HEAD + chunk(ROLE), *[chunk(piece())] * tokens, chunk(STOP, *last, DONE), END)
