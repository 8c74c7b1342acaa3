"""Tokens beside a server that knows when it sent them; `benchmarks/token_truth.py` is long."""

import numpy as np
import pytest

from benchmarks.token_answers import AnswerForm, Cut
from benchmarks.token_server import Schedule, SentTokens, token_server
from tests.load.runs import load_run, request
from tests.load.test_truth import CLOCKS_S, MACHINE_S
from tuner.load.client import LoadEngine
from tuner.load.histogram import percentile
from tuner.load.http1 import request_bytes
from tuner.load.measurement import Measurement
from tuner.load.profile import ClosedLoop
from tuner.load.requests import RequestSet
from tuner.protocols.openai import OpenAiRule
from tuner.protocols.openai_task import Task

BODY = b'{"stream": true, "stream_options": {"continuous_usage_stats": true}}'
REQUESTS = RequestSet(
    (request_bytes("/v1/chat/completions", host="127.0.0.1", headers={}, body=BODY),),
    events=OpenAiRule(Task.CHAT),
)
TTFTS_S = np.array([0.02] * 9 + [0.06])
GAPS_S = np.array([0.004] * 9 + [0.02])


def observe(
    engine: LoadEngine, form: AnswerForm, *, requests: RequestSet = REQUESTS, answers: int = 12
) -> tuple[Measurement, SentTokens]:
    """What the engine saw of four streams at a time, and what the server did."""
    engine.prepare(requests)
    schedule = Schedule(ttfts_s=TTFTS_S, gaps_s=GAPS_S, form=form)
    with token_server(schedule) as server:
        run = load_run(
            server.endpoint, ClosedLoop(4), duration_s=9.0, drain_s=9.0, max_requests=answers
        )
        measurement = engine.measure(run)
        sent = server.sent()
    assert measurement.errors == {}
    assert measurement.requests == len(sent.ttfts_s) == answers
    return measurement, sent


@pytest.mark.parametrize("cut", Cut)
@pytest.mark.parametrize("together", [1, 3])
def test_tokens_are_seen_when_they_were_sent(cut: Cut, together: int, engine: LoadEngine) -> None:
    """In one packet or several, wherever packets end: every token, and when it came."""
    measurement, sent = observe(engine, AnswerForm(tokens=12, together=together, cut=cut))
    tokens = measurement.tokens
    assert tokens is not None
    assert (tokens.output, tokens.answers) == (12 * 12, 12)
    # On a busy machine packets may come together that were sent apart.
    assert tokens.together >= 12 * (12 - 12 // together)
    # Of the tokens of a first packet none has a gap.
    assert len(sent.gaps_s) == 12 * (12 - together)
    # Those that come with the one before have none, either.
    assert 0 < tokens.gaps.count <= len(sent.gaps_s)
    for q in (50, 95, 99):
        ttft_s, itl_s = (percentile(np.sort(each), q) for each in (sent.ttfts_s, sent.itls_s))
        assert ttft_s - CLOCKS_S <= measurement.ttft(q) < ttft_s + MACHINE_S
        assert 0.5 * itl_s < measurement.itl(q) < itl_s + MACHINE_S
    gap_s = percentile(np.sort(sent.gaps_s), 50)
    assert 0.5 * gap_s < tokens.gaps.percentile(50) < gap_s + MACHINE_S


def test_the_server_keeps_its_schedule(engine: LoadEngine) -> None:
    """What the engine is compared with: never too early, in turn, and told in full."""
    _, sent = observe(engine, AnswerForm(tokens=3))
    assert np.all(np.sort(sent.ttfts_s) >= np.sort(np.resize(TTFTS_S, 12)))
    assert len(sent.itls_s) == 12
    assert len(sent.lags_s) == 12 * 3
    assert sent.lags_s.min() >= 0.0
    # A late packet makes the gap after it shorter, never the sum of both.
    assert sent.gaps_s.sum() == pytest.approx(2 * sent.itls_s.sum())


def test_whatever_is_asked_of_it(engine: LoadEngine) -> None:
    """Not a stream: the same tokens at once. Another path: there is none."""
    at_once = request_bytes("/v1/chat/completions", host="h", headers={}, body=b"{}")
    events = OpenAiRule(Task.CHAT)
    engine.prepare(RequestSet((at_once,), events=events))
    schedule = Schedule(ttfts_s=TTFTS_S, gaps_s=GAPS_S)
    with token_server(schedule) as server:
        run = load_run(server.endpoint, ClosedLoop(1), max_requests=2)
        tokens = engine.measure(run).tokens
        assert tokens is not None
        assert tokens.output == 2 * 32
        engine.prepare(RequestSet((request(b"{}"),), events=events))
        assert engine.measure(run).errors == {"http_404": 2}
