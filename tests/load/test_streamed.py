"""Answers made of output tokens: when they came, how many there were, and what went wrong."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.load.runs import load_run, request
from tests.load.server import Behaviour, answer_with, never_answer, serving
from tests.load.streams import (
    DONE,
    END,
    HEAD,
    ROLE,
    STOP,
    answer,
    chunk,
    event,
    piece,
    stream,
    usage,
)
from tuner.load.client import LoadEngine
from tuner.load.measurement import Measurement
from tuner.load.profile import ClosedLoop, OpenLoop
from tuner.load.requests import SERIAL_DIGITS, Heard, RequestSet
from tuner.protocols.openai import OpenAiRule
from tuner.protocols.openai_task import Task

RULE = OpenAiRule(Task.CHAT)
REQUESTS = RequestSet((request(b"{}"),), events=RULE)
WHOLE = (
    b'{"choices":[{"message":{"content":"abc"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":4,"completion_tokens":3}}'
)


def observe(engine: LoadEngine, behaviour: Behaviour, **options: Any) -> Measurement:
    """One request at a time, three of them unless the options say otherwise."""
    engine.prepare(REQUESTS)
    profile = options.pop("profile", ClosedLoop(1))
    run = {"duration_s": 5.0, "max_requests": 3, "profile": profile, **options}
    with serving(behaviour) as server:
        return engine.measure(load_run(server.endpoint, **run))


class TestTokens:
    """How many there were, and who says so."""

    def test_the_server_counts(self, engine: LoadEngine) -> None:
        """Its `usage` is what counts, of the prompt as of the answer."""
        tokens = observe(engine, answer(5)).tokens
        assert tokens is not None
        assert (tokens.output, tokens.prompt, tokens.cached, tokens.answers) == (15, 27, 0, 3)
        assert (tokens.counted_by, tokens.in_time, tokens.together) == ("server", 15, 0)
        assert tokens.gaps.count == 3 * 4
        assert tokens.throughput == pytest.approx(15 / tokens.duration_s)

    def test_pieces_are_counted_where_the_server_does_not(self, engine: LoadEngine) -> None:
        """That is said, since a piece may be any number of tokens."""
        tokens = observe(engine, answer(5, told=False)).tokens
        assert tokens is not None
        assert (tokens.output, tokens.prompt, tokens.counted_by) == (15, 0, "pieces")

    def test_pieces_of_several_tokens(self, engine: LoadEngine) -> None:
        """Of seven tokens in four pieces, three came with the one before them."""
        behaviour = stream(HEAD, *[chunk(piece())] * 4, chunk(STOP, usage(7, cached=8), DONE), END)
        measurement = observe(engine, behaviour)
        tokens = measurement.tokens
        assert tokens is not None
        assert (tokens.output, tokens.together, tokens.cached) == (21, 9, 24)
        assert tokens.together_share == pytest.approx(9 / 21)
        # Over one less than the tokens, not than the pieces.
        assert 0.001 < measurement.itls_s[0] < measurement.latencies_s[0] / 6

    def test_a_server_that_counts_as_it_goes(self, engine: LoadEngine) -> None:
        """Then each piece has as many tokens as the count has risen, also without any text."""
        counts = [1, 3, 4, 4]
        pieces = [
            chunk(piece(text, usage={"completion_tokens": n, "prompt_tokens": 9}))
            for text, n in zip(("a", "b", "", "c"), counts, strict=True)
        ]
        tokens = observe(engine, stream(HEAD, *pieces, chunk(STOP, usage(4), DONE), END)).tokens
        assert tokens is not None
        assert (tokens.output, tokens.together, tokens.gaps.count) == (12, 3, 9)

    def test_a_count_in_the_last_piece(self, engine: LoadEngine) -> None:
        """It is of the whole answer: what came before it is not counted once more."""
        last = piece("c", usage={"completion_tokens": 3, "prompt_tokens": 9})
        segments = (HEAD, chunk(piece()), chunk(piece()), chunk(last, DONE), END)
        tokens = observe(engine, stream(*segments)).tokens
        assert tokens is not None
        assert (tokens.output, tokens.in_time, tokens.together, tokens.gaps.count) == (9, 9, 0, 6)

    def test_tokens_that_arrive_together_share_the_gap(self, engine: LoadEngine) -> None:
        """No gap is zero because a network, or a server, put two events into one segment."""
        pauses_s = (0.0, 0.0, 0.03, 0.03)
        both = chunk(piece()) + chunk(piece())
        behaviour = stream(
            HEAD, chunk(piece()), both, both, chunk(usage(5), DONE), END, pauses_s=pauses_s
        )
        measurement = observe(engine, behaviour)
        tokens = measurement.tokens
        assert tokens is not None
        assert (tokens.together, tokens.gaps.count) == (6, 12)
        assert min(tokens.gaps.counts) > 0
        assert tokens.gaps.percentile(1) > 0.014
        assert measurement.itls_s.min() > 0.014

    def test_all_tokens_in_one_piece(self, engine: LoadEngine) -> None:
        """Then nobody knows the time between them: it is not zero."""
        whole = HEAD + chunk(ROLE, piece(), piece(), STOP, usage(2), DONE) + END
        measurement = observe(engine, stream(whole))
        assert measurement.tokens is not None
        assert measurement.tokens.output == 6
        assert np.isnan(measurement.itls_s).all()

    def test_an_answer_at_once(self, engine: LoadEngine) -> None:
        """Without a stream there is a count, and no time between tokens."""
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        measurement = observe(engine, answer_with(head % len(WHOLE) + WHOLE))
        tokens = measurement.tokens
        assert tokens is not None
        assert (tokens.output, tokens.prompt, measurement.errors) == (9, 12, {})
        assert np.isnan(measurement.itls_s).all()
        assert measurement.ttfts_s == pytest.approx(measurement.latencies_s, abs=0.005)

    def test_any_cut(self, engine: LoadEngine) -> None:
        """In the middle of a character, of `data:`, of a chunk's head."""
        text = (
            HEAD
            + chunk(ROLE)
            + chunk(piece("\N{GRINNING FACE}")) * 3
            + chunk(usage(3), DONE)
            + END
        )
        pieces = [text[at : at + 7] for at in range(0, len(text), 7)]
        behaviour = stream(*pieces, pauses_s=[0.0] * len(pieces))
        measurement = observe(engine, behaviour, max_requests=2)
        assert measurement.errors == {}
        assert measurement.tokens is not None
        assert measurement.tokens.output == 6


class TestTimes:
    """When the first token came, and the others."""

    def test_the_first_token_is_not_the_first_event(self, engine: LoadEngine) -> None:
        """A role is no output; the time counts from when the request was due."""
        pauses_s = (0.0, 0.05, 0.02, 0.02)
        segments = (HEAD + chunk(ROLE), chunk(piece()), chunk(piece()), chunk(piece()))
        behaviour = stream(*segments, chunk(STOP, usage(3), DONE), END, pauses_s=pauses_s)
        measurement = observe(engine, behaviour)
        assert measurement.ttfts_s.min() > 0.049
        assert measurement.itls_s.min() > 0.019
        assert measurement.first_response is not None
        assert measurement.first_response.percentile(50) > 0.049
        assert np.all(measurement.latencies_s > measurement.ttfts_s)

    def test_what_is_not_answered_in_time(self, engine: LoadEngine) -> None:
        """It counts with what it has reached: the first token is known, the end is not."""
        behaviour = stream(
            HEAD, chunk(piece()), chunk(piece()), END, pauses_s=(0.0, 0.02, 0.02, 9)
        )
        measurement = observe(engine, behaviour, duration_s=0.3, drain_s=0.0, max_requests=0)
        assert (measurement.requests, measurement.unanswered, measurement.errors) == (1, 1, {})
        assert 0.02 < measurement.ttfts_s[0] < measurement.latencies_s[0]
        assert measurement.itls_s[0] > 0.02
        assert measurement.tokens is not None
        assert (measurement.tokens.in_time, measurement.tokens.answers) == (2, 0)

    def test_parts_of_a_run(self, engine: LoadEngine) -> None:
        """What is cut out of a run has the times of its requests, and no count of tokens."""
        whole = observe(engine, answer(3), profile=OpenLoop(20), max_requests=6, drain_s=2.0)
        half = whole.between(whole.profile, 0.0, float(whole.due_s[3]))
        assert half.ttfts_s.tolist() == whole.ttfts_s[:3].tolist()
        assert half.tokens is None
        both = Measurement.pooled([whole, whole])
        assert both.tokens is not None
        assert whole.tokens is not None
        assert both.tokens.output == 2 * whole.tokens.output
        assert both.tokens.throughput == pytest.approx(whole.tokens.throughput)
        assert len(both.itls_s) == 12


FAULTS = {
    "stream_error": stream(
        HEAD, chunk(piece()), chunk(event(error={"message": "no memory"})), END
    ),
    "stream_incomplete": stream(HEAD, chunk(piece()), chunk(STOP), END),
    "no_output": stream(HEAD, chunk(ROLE), chunk(STOP, DONE), END),
    "bad_response": stream(HEAD, chunk(piece()), chunk(b"data: {no json\n\n", DONE), END),
    "connection_lost": stream(HEAD, chunk(piece()), close=True),
    "stalled": stream(HEAD, chunk(piece()), END, pauses_s=(0, 0, 9)),
    "timeout": never_answer,
    "http_503": answer_with(b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n{}"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_faults(kind: str, engine: LoadEngine) -> None:
    """Each failure has a name, and no time: not to the first token either."""
    measurement = observe(engine, FAULTS[kind], max_requests=1, timeout_s=0.2)
    assert measurement.errors == {kind: 1}
    assert math.isinf(measurement.ttfts_s[0])
    assert math.isinf(measurement.itls_s[0])


def test_a_slow_stream_is_no_timeout(engine: LoadEngine) -> None:
    """It may take any time, as long as something comes."""
    behaviour = stream(HEAD, *[chunk(piece())] * 4, chunk(DONE), END, pauses_s=[0.15] * 6)
    assert observe(engine, behaviour, max_requests=1, timeout_s=0.4).errors == {}


def test_embeddings_have_no_output_tokens(engine: LoadEngine) -> None:
    """What counts is that there are some."""
    engine.prepare(RequestSet((request(b"{}"),), events=OpenAiRule(Task.EMBEDDINGS)))
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    good = b'{"data":[{"embedding":[1.0]}],"usage":{"prompt_tokens":7}}'
    with serving(answer_with(head % len(good) + good)) as server:
        tokens = engine.measure(load_run(server.endpoint, ClosedLoop(1), max_requests=2)).tokens
    assert tokens is not None
    assert (tokens.output, tokens.prompt) == (0, 14)
    bad = b'{"data":[]}'
    with serving(answer_with(head % len(bad) + bad)) as server:
        run = load_run(server.endpoint, ClosedLoop(1), max_requests=2)
        assert engine.measure(run).errors == {"no_output": 2}


def test_no_request_is_sent_twice(engine: LoadEngine) -> None:
    """A serial number makes each of them another one, from run to run too."""
    text = b'{"prompt": "' + b"0" * SERIAL_DIGITS + b' tell me"}'
    payload = request(text)
    places = (payload.index(b"0" * SERIAL_DIGITS),)
    engine.prepare(replace(REQUESTS, payloads=(payload, payload), serials=(places, places)))
    with serving(answer(1)) as server:
        for _ in range(2):
            engine.measure(
                load_run(server.endpoint, ClosedLoop(2), duration_s=5.0, max_requests=4)
            )
    assert len(set(server.bodies)) == 8
    assert {len(each) for each in server.bodies} == {len(text)}
    with pytest.raises(ValueError, match="a serial number in each payload, or in none"):
        replace(REQUESTS, serials=((1,), (2,)))


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("[DONE]", Heard(ends=True)),
        ('{"choices":[{"text":"a"}]}', Heard(tokens=True)),
        ('{"choices":[{"delta":{"reasoning_content":"hm"}}]}', Heard(tokens=True)),
        ('{"choices":[{"delta":{"tool_calls":[{}]}}]}', Heard(tokens=True)),
        ('{"choices":[{"delta":{"content":""}}],"usage":null}', Heard()),
        ('{"error":{"message":"no"}}', Heard(fault="stream_error")),
        ("[]", Heard(fault="bad_response")),
        ('{"choices":[7]}', Heard(fault="bad_response")),
        ('{"choices":[],"usage":{"completion_tokens":"x"}}', Heard(fault="bad_response")),
    ],
)
def test_what_an_event_says(said: str, heard: Heard) -> None:
    """Output is whatever tokens are made into; what is no such event is a failure."""
    assert RULE.read(said.encode()) == heard


def test_connections_are_opened_as_they_are_needed(engine: LoadEngine) -> None:
    """Idle ones would take a thread each from servers such as llama.cpp's."""
    engine.prepare(REQUESTS)
    with serving(answer(1)) as server:
        run = load_run(server.endpoint, OpenLoop(20), duration_s=0.3, drain_s=2.0, connections=9)
        assert engine.measure(run).errors == {}
    assert server.connections < 5
