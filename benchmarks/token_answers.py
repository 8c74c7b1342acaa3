"""The bytes of an answer that is made of output tokens, as language-model servers write them.

The form is that of vLLM's chat completions: one event for each token, one chunk for each event.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
_END = b"0\r\n\r\n"
# What tokens are made into, in turn. The last stands for what is not ASCII, and in every event
# where a packet is to end within a character.
_TEXTS = (
    " the",
    " answer",
    " of",
    " a",
    " model",
    ",",
    "\n",
    " 17",
    " is",
    " caf\xe9",
)
# Stands for the id of an answer, and is as long as one.
ID = b"chatcmpl-%032d" % 0
PROMPT_TOKENS = 9


class Cut(StrEnum):
    """Where packets end.

    event      where an event does
    field      in the middle of the next event's `data:`
    character  in the middle of a character of the next event's text
    """

    EVENT = "event"
    FIELD = "field"
    CHARACTER = "character"


@dataclass(frozen=True, kw_only=True)
class AnswerForm:
    """An answer of `tokens` output tokens, each packet with `together` of them."""

    tokens: int = 32
    together: int = 1
    cut: Cut = Cut.EVENT

    @property
    def packet_tokens(self) -> list[int]:
        """How many output tokens each packet completes."""
        whole, rest = divmod(self.tokens, self.together)
        return [self.together] * whole + [rest] * (rest > 0)

    def packets(self, *, counted: bool) -> list[bytes]:
        """What is sent at once, which has no output, and then each packet.

        With `counted` each event says how many tokens there are by now; the last one always does.
        """
        events = [self._event(number, counted=counted) for number in range(1, self.tokens + 1)]
        begins = range(0, self.tokens, self.together)
        groups = [b"".join(events[begin : begin + self.together]) for begin in begins]
        groups[-1] += self._last()
        early = [self._early(group) for group in groups]
        opening = _HEAD + _chunk(_choice({"role": "assistant", "content": ""}))
        following = [*early[1:], 0]
        return [opening + groups[0][: early[0]]] + [
            group[begin:] + after[:end]
            for group, begin, after, end in zip(
                groups, early, [*groups[1:], b""], following, strict=True
            )
        ]

    def whole(self) -> bytes:
        """An answer that is not asked for as a stream."""
        text = "".join(_TEXTS[number % len(_TEXTS)] for number in range(1, self.tokens + 1))
        choice = {"index": 0, "message": {"role": "assistant", "content": text}}
        choice["finish_reason"] = "length"
        return _document(_content([choice]) | {"usage": _usage(self.tokens)})

    def _event(self, number: int, *, counted: bool) -> bytes:
        text = _TEXTS[-1 if self.cut is Cut.CHARACTER else number % len(_TEXTS)]
        return _chunk(_choice({"content": text}) | ({"usage": _usage(number)} if counted else {}))

    def _last(self) -> bytes:
        stop = _choice({}, "length")
        usage = _content([]) | {"usage": _usage(self.tokens)}
        return _chunk(stop) + _chunk(usage) + b"e\r\ndata: [DONE]\n\n\r\n" + _END

    def _early(self, group: bytes) -> int:
        """How many of its bytes come with the packet before it."""
        match self.cut:
            case Cut.EVENT:
                return 0
            case Cut.FIELD:
                return group.index(b"data:") + 3
            case Cut.CHARACTER:
                return next(at for at, byte in enumerate(group) if byte > 0x7F) + 1


def models() -> bytes:
    """What there is to be asked."""
    return _document({"object": "list", "data": [{"id": "stand-in", "object": "model"}]})


def missing() -> bytes:
    """The answer to whatever the stand-in does not have."""
    return b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}"


def _document(content: dict[str, Any]) -> bytes:
    body = _json(content)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


def _chunk(content: dict[str, Any]) -> bytes:
    event = b"data: %b\n\n" % _json(content)
    return b"%x\r\n%b\r\n" % (len(event), event)


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _choice(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    return _content([choice | {"token_ids": None}])


def _content(choices: list[dict[str, Any]]) -> dict[str, Any]:
    kind = "chat.completion.chunk"
    named = {"id": ID.decode(), "object": kind, "created": 1764527000, "model": "stand-in"}
    return named | {"choices": choices}


def _usage(output: int) -> dict[str, int]:
    total = PROMPT_TOKENS + output
    return {
        "prompt_tokens": PROMPT_TOKENS,
        "total_tokens": total,
        "completion_tokens": output,
    }
