"""Traces: which requests came when, and which of their prompts began alike.

The form is that of Mooncake's traces (github.com/kvcache-ai/Mooncake, `FAST25-release/traces`),
which AIPerf, Dynamo and vLLM's benchmark read as well: one JSON document in each line,
`{"timestamp": 3000, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1, 2, ...]}`, with
milliseconds since the trace began. Each of `hash_ids` stands for a block of the prompt's tokens,
512 in Mooncake's own: where two prompts begin with the same ids, they begin with the same text.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tuner.errors import InputError
from tuner.workload.prompts import SERIAL, Message, Prompt
from tuner.workload.synthetic import Writer
from tuner.workload.tokenizers import Tokenizer

# The sizes of blocks that traces have, in tokens: Mooncake's, and those of servers.
_BLOCKS = (512, 256, 128, 64, 32, 16)
# Prepared requests are kept in memory, at some five bytes for each token of a prompt.
_MOST_TOKENS = 100_000_000
# What another document, or a number that is none, makes of an attempt to read it.
_UNFIT = (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError)
_HINT = (
    'one JSON document in each line, such as {"timestamp": 3000, "input_length": 6758, '
    '"output_length": 500, "hash_ids": [0, 1]}, with milliseconds that do not fall'
)


@dataclass(frozen=True, kw_only=True)
class TracedRequest:
    """One request: when it came, in seconds, and the lengths of prompt and answer, in tokens."""

    at_s: float
    prompt_tokens: int
    output_tokens: int
    blocks: tuple[int, ...] = ()


@dataclass(frozen=True)
class Trace:
    """Requests in the order of their time, the first at 0 s, and their `block_tokens`."""

    requests: tuple[TracedRequest, ...]
    block_tokens: int

    def played(self, *, speed: float, most_s: float = math.inf, most: int = 0) -> "Trace":
        """So many times as fast, and then cut after `most_s` seconds or `most` requests."""
        faster = (replace(each, at_s=each.at_s / speed) for each in self.requests[: most or None])
        return Trace(tuple(each for each in faster if each.at_s < most_s), self.block_tokens)

    @property
    def intervals_s(self) -> tuple[float, ...]:
        """Before each request; none before the first."""
        moments = [each.at_s for each in self.requests]
        return (
            0.0,
            *(after - before for before, after in pairwise(moments)),
        )

    @property
    def length_s(self) -> float:
        """Until the next request would come."""
        last_s = self.requests[-1].at_s
        return last_s + last_s / (len(self.requests) - 1)


def read_trace(path: Path) -> Trace:
    """The trace in a file.

    Raises:
        InputError: It cannot be read, or has something else in it.
    """
    try:
        # Not `splitlines`: texts may have other ends of lines in them.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(f"`--trace {path}` cannot be read: {reason}", hint=_HINT) from None
    found: list[TracedRequest] = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                found.append(_request(json.loads(line), found))
            except _UNFIT:
                raise InputError(
                    f"`--trace {path}`, line {number} is no request of a trace", hint=_HINT
                ) from None
    return Trace(_from_zero(found), _block_tokens(path, found))


def _request(document: Any, earlier: Sequence[TracedRequest]) -> TracedRequest:
    request = TracedRequest(
        at_s=float(document["timestamp"]) / 1e3,
        prompt_tokens=int(document["input_length"]),
        output_tokens=int(document["output_length"]),
        blocks=tuple(map(int, document.get("hash_ids") or ())),
    )
    since_s = earlier[-1].at_s if earlier else 0.0
    if not since_s <= request.at_s < math.inf:
        raise ValueError("the time falls")
    if not all(1 <= n <= _MOST_TOKENS for n in (request.prompt_tokens, request.output_tokens)):
        raise ValueError("a length of nothing, or of more than could be played")
    if min(request.blocks, default=0) < 0:
        raise ValueError("an id below zero")
    return request


def _from_zero(requests: Sequence[TracedRequest]) -> tuple[TracedRequest, ...]:
    return tuple(replace(each, at_s=each.at_s - requests[0].at_s) for each in requests)


def _block_tokens(path: Path, requests: Sequence[TracedRequest]) -> int:
    for size in _BLOCKS:
        if all(len(r.blocks) in (0, math.ceil(r.prompt_tokens / size)) for r in requests):
            return size
    sizes = ", ".join(map(str, _BLOCKS))
    raise InputError(
        f"`--trace {path}`: the lengths of its `hash_ids` fit no size of blocks",
        hint=f"each of them stands for as many tokens of the prompt, one of {sizes}",
    )


def traced_prompts(trace: Trace, tokenizer: Tokenizer, *, seed: int = 0) -> list[Prompt]:
    """The prompts of a trace: those with the same first blocks begin with the same text.

    Each begins with a serial number, which is the run's: what an earlier run has left in a
    server's cache does not help this one.

    Raises:
        InputError: The prompts are too many to be kept.
        ServerError: The tokenizer's server does not answer.
    """
    total = sum(each.prompt_tokens for each in trace.requests)
    if total > _MOST_TOKENS:
        raise InputError(
            f"the prompts of the trace have {total:,} tokens, more than {_MOST_TOKENS:,}",
            hint="play a part of it: give `--duration` or `--request-count`",
        )
    writer = Writer(tokenizer, np.random.default_rng([seed, 0]))

    @cache
    def block(number: int) -> str:
        return writer.words(trace.block_tokens, np.random.default_rng([seed, 1, number]))

    def text(number: int, request: TracedRequest) -> str:
        missing = request.prompt_tokens - writer.serial_tokens
        if request.blocks:
            words = writer.cut(" ".join(map(block, request.blocks)), missing)
        else:
            words = writer.words(missing, np.random.default_rng([seed, 2, number]))
        return f"{SERIAL} {words}".rstrip()

    return [
        Prompt(
            messages=(Message("user", text(number, each)),),
            output_tokens=each.output_tokens,
            unique=True,
        )
        for number, each in enumerate(trace.requests)
    ]
