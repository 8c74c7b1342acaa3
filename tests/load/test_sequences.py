"""Sequences of requests: in order, one at a time, and of a stateful model begun and ended."""

import re
from collections import defaultdict
from itertools import pairwise

import pytest

from tests.load.runs import load_run, observe, request
from tests.load.server import Behaviour, Exchange, answer_after, serving
from tuner.load.client import LoadEngine
from tuner.load.profile import ClosedLoop, LoadProfile, OpenLoop
from tuner.load.requests import RequestSet, SequenceSet, SequenceStep

LETTERS = "abcd"


def encode_id(number: int) -> bytes:
    return b"%12d" % number


def step(letter: str) -> SequenceStep:
    """The bodies say letter, flags and correlation id."""

    def halves(first_and_last: tuple[bool, bool]) -> tuple[bytes, bytes]:
        flags = "".join(f"{each:d}" for each in first_and_last)
        before, _, after = request(f"{letter}{flags}".encode() + b"#" * 12).partition(b"#" * 12)
        return before, after

    return SequenceStep.of(halves)


def sequences(*, count: int = 3, length: int = 0, ids: int = 2**32) -> RequestSet:
    streams = (tuple(step(letter) for letter in LETTERS), (step("z"),))
    return RequestSet(
        (),
        sequences=SequenceSet(
            streams=streams, encode_id=encode_id, count=count, length=length, ids=ids
        ),
    )


def played(bodies: list[bytes]) -> dict[int, list[str]]:
    """What each correlation id was used for, in order: letter, first, last."""
    steps: dict[int, list[str]] = defaultdict(list)
    for body in bodies:
        match = re.fullmatch(rb"(...) *(\d+)", body)
        assert match is not None
        steps[int(match[2])].append(match[1].decode())
    return steps


PROFILES = [ClosedLoop(3), OpenLoop(300)]


@pytest.mark.parametrize("profile", PROFILES, ids=["closed", "open"])
def test_every_sequence_is_played_whole_and_in_order(
    profile: LoadProfile, engine: LoadEngine
) -> None:
    """First and last step are flagged, also of the sequences that the end of the run cut short."""
    engine.prepare(sequences())
    measurement, server = observe(engine, answer_after(0.003), profile, duration_s=0.3)
    by_id = played(server.bodies)
    assert measurement.errors == {}
    assert measurement.requests <= len(server.bodies) <= measurement.requests + 3
    assert server.most_in_flight <= 3
    assert len(by_id) > 5
    for steps in by_id.values():
        assert [each[1] for each in steps] == ["1", *"0" * (len(steps) - 1)]
        assert [each[2] for each in steps] == [*"0" * (len(steps) - 1), "1"]
        assert "".join(each[0] for each in steps) in ("abcd", "abc", "ab", "a", "z")
    assert sum(len(steps) == 4 for steps in by_id.values()) > 2


def test_lengths_vary_around_the_one_asked_for(engine: LoadEngine) -> None:
    """20 % either way by default; a stream that is too short starts again."""
    engine.prepare(sequences(length=10))
    _, server = observe(engine, answer_after(0.0), duration_s=0.5)
    by_id = played(server.bodies)
    lengths = {len(steps) for number, steps in by_id.items() if number < max(by_id) - 2}
    assert lengths <= set(range(8, 13))
    assert len(lengths) > 2


def test_an_id_is_not_used_by_two_sequences_at_once(engine: LoadEngine) -> None:
    """After the last id comes the first again, or the one that is free, as a short one's is."""
    engine.prepare(sequences(ids=2))
    _, server = observe(engine, answer_after(0.001), duration_s=0.3)
    by_id = played(server.bodies)
    assert set(by_id) == {1, 2}
    for steps in by_id.values():
        flags = "".join(each[1:] for each in steps)
        assert re.fullmatch("(11|10(00)*01)*", flags)


def test_a_sequence_that_failed_is_not_continued(engine: LoadEngine) -> None:
    """The server has lost its state: the next request begins a new sequence."""

    async def fail_second(exchange: Exchange) -> None:
        body = server.bodies[exchange.number]
        status = b"503 Busy" if body.startswith(b"b") else b"200 OK"
        await exchange.send(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")

    engine.prepare(sequences())
    with serving(fail_second) as server:
        measurement = engine.measure(load_run(server.endpoint, ClosedLoop(1)))
        by_id = played(server.bodies)
    assert set(measurement.errors) == {"http_503"}
    assert {"".join(each[0] for each in steps) for steps in by_id.values()} <= {"ab", "z", "a"}
    assert all(steps[0][1] == "1" for steps in by_id.values())


def test_several_processes_share_the_ids() -> None:
    """No correlation id is played twice at a time, whichever process plays it."""
    with serving(answer_after(0.002)) as server, LoadEngine(workers=2) as engine:
        engine.prepare(sequences())
        engine.measure(load_run(server.endpoint, ClosedLoop(4)))
        by_id = played(server.bodies)
    assert len(by_id) > 8
    assert all(sum(each[1] == "1" for each in steps) == 1 for steps in by_id.values())


def conversations(*, pause_s: float = 0.0) -> RequestSet:
    """What is no state of the server: `a`, `b`, `c`, `d` with a number, and pauses between."""
    steps = []
    for letter in LETTERS:
        before, _, after = request(f"{letter}00".encode() + b"#" * 12).partition(b"#" * 12)
        steps.append(SequenceStep.alike(before, after, pause_s=pause_s if letter != "a" else 0.0))
    sequences = SequenceSet(
        streams=(tuple(steps),), encode_id=encode_id, ids=10**9, stateful=False
    )
    return RequestSet((), sequences=sequences)


async def close_after_each(exchange: Exchange) -> None:
    """As llama.cpp's server does, which says that it would not."""
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    exchange.close()


async def say_that_it_closes(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    exchange.close()


class TestWithoutAState:
    """Sequences of which the server knows nothing, such as conversations with all before them."""

    @pytest.mark.parametrize("behaviour", [close_after_each, say_that_it_closes])
    def test_they_go_on_on_other_connections(
        self, behaviour: Behaviour, engine: LoadEngine
    ) -> None:
        """Each step comes once, or again where the server closed before it saw it; in order."""
        engine.prepare(conversations())
        measurement, server = observe(engine, behaviour, ClosedLoop(2), duration_s=0.3)
        by_id = played(server.bodies)
        assert measurement.errors == {}
        assert len(by_id) > 3
        whole = ["".join(each[0] for each in steps) for steps in by_id.values()]
        assert all("abcd".startswith(each) for each in whole)
        assert whole.count("abcd") >= len(whole) - 2  # the run ends in the middle of two

    def test_they_are_not_ended(self, engine: LoadEngine) -> None:
        """Nobody waits for the rest after the run."""
        engine.prepare(conversations())
        measurement, server = observe(engine, answer_after(0.0), max_requests=6, duration_s=5.0)
        assert measurement.requests == len(server.bodies) == 6

    def test_each_run_has_others(self, engine: LoadEngine) -> None:
        """A server that remembers an earlier run does not know them."""
        engine.prepare(conversations())
        first, second = (
            set(played(observe(engine, answer_after(0.0), max_requests=6)[1].bodies))
            for _ in range(2)
        )
        assert first.isdisjoint(second)

    @pytest.mark.parametrize("behaviour", [answer_after(0.0), say_that_it_closes])
    def test_users_pause(self, behaviour: Behaviour, engine: LoadEngine) -> None:
        """Before each further turn, also where their connection is gone meanwhile."""
        engine.prepare(conversations(pause_s=0.05))
        measurement, server = observe(
            engine, behaviour, ClosedLoop(1), max_requests=8, duration_s=5.0
        )
        assert measurement.errors == {}
        assert [body[:1] for body in server.bodies] == [b"a", b"b", b"c", b"d"] * 2
        gaps = [after - before for before, after in pairwise(server.arrivals_s)]
        assert all(gap > 0.049 for number, gap in enumerate(gaps) if number != 3)
        assert measurement.duration_s > 6 * 0.05
        assert max(measurement.latencies_s) < measurement.duration_s / 4
