"""Load points without the time that the machine's host has taken."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.capacity.simulated_server import Batching, SimulatedServer
from tuner.load.histogram import Histogram
from tuner.load.measurement import LATE, Measurement
from tuner.load.profile import ClosedLoop, LoadProfile, OpenLoop, Overload
from tuner.records import Phase
from tuner.watch.stolen_time import (
    Span,
    StolenReading,
    StolenTime,
    stood_still,
    undisturbed,
    watched,
)

LIMIT_S = 0.02


def readings(*stolen_s: float) -> list[StolenReading]:
    """Four a second; so much was stolen between each and the one before."""
    totals = np.cumsum([0.0, *stolen_s])
    return [StolenReading(0.25 * number, float(total)) for number, total in enumerate(totals)]


def measured(
    profile: LoadProfile, duration_s: float = 2.0, overload: Overload | None = None
) -> Measurement:
    server = SimulatedServer(Batching(2e-3, 1e-4, 16))
    return server(Phase.SEARCH, profile, duration_s=duration_s, overload=overload)


@pytest.mark.parametrize(
    ("stolen_s", "spans"),
    [
        ((), []),
        ((0.0, 0.0, 0.0), []),
        ((0.01, 0.01, 0.01), []),
        ((0.0, 0.02, 0.0), [(0.23, 0.58)]),
        ((0.02, 0.0, 0.0, 0.0, 0.03), [(-0.02, 0.33), (0.98, 1.33)]),
        ((0.02, 0.02, 0.0), [(-0.02, 0.33), (0.23, 0.58)]),
    ],
)
def test_what_is_spoiled(stolen_s: tuple[float, ...], spans: list[tuple[float, float]]) -> None:
    """From a limit before a bad quarter of a second to four after it; one tick is nothing."""
    found = StolenTime(readings(*stolen_s), processors=2).spoiled(LIMIT_S)
    assert len(found) == len(spans)
    assert np.ravel(found) == pytest.approx(np.ravel(spans))


def test_a_slow_server_recovers_within_a_window() -> None:
    """Four long limits would leave nothing."""
    [span] = StolenTime(readings(0.0, 0.1, 0.0), processors=2).spoiled(0.4)
    assert list(span) == pytest.approx([-0.15, 0.75])


def test_a_slow_server_does_not_care_for_a_moment() -> None:
    """A window is as long as the latency limit: less than a fortieth of that is nothing."""
    stolen = StolenTime(readings(0.0, 0.04, 0.0, 0.0, 0.06, 0.0), processors=2)
    assert len(stolen.spoiled(LIMIT_S)) == 2
    [span] = stolen.spoiled(1.0)
    assert list(span) == pytest.approx([0.0, 1.75])


def test_a_large_machine_loses_more_before_it_is_spoiled() -> None:
    """A fortieth of its processor time."""
    stolen_s = readings(0.0, 0.09, 0.11)
    assert len(StolenTime(stolen_s, processors=4).spoiled(LIMIT_S)) == 2
    [span] = StolenTime(stolen_s, processors=16).spoiled(LIMIT_S)
    assert list(span) == pytest.approx([0.48, 0.83])


def test_an_open_loop_is_cut() -> None:
    """What was due meanwhile is gone, and the rate of what is left is the same."""
    firsts = Histogram({3: 1}, 0)
    told = measured(OpenLoop(1000.0, seed=1))
    whole = replace(told, reconnected=3, first_response=firsts)
    rest, share = undisturbed(whole, [(-0.5, 0.25), (1.0, 1.5)])
    assert (rest.reconnected, rest.first_response) == (3, firsts)
    assert share == pytest.approx(0.625)
    assert rest.duration_s == pytest.approx(1.25)
    assert rest.requests == np.count_nonzero(
        (whole.due_s >= 0.25) & ((whole.due_s < 1.0) | (whole.due_s >= 1.5))
    )
    assert rest.throughput == pytest.approx(1000.0, rel=0.1)


def test_latencies_of_what_is_left_are_those_of_its_requests() -> None:
    """A stall in the part that was cut leaves no trace, nor do its late sends."""
    whole = measured(OpenLoop(1000.0, seed=1))
    stalled = (whole.due_s > 0.5) & (whole.due_s < 0.7)
    whole.latencies_s[stalled] = 0.9
    whole.lags_s[stalled] = 0.2
    rest, _ = undisturbed(whole, [(0.45, 0.75)])
    assert rest.percentile(99.9) < 0.1
    assert rest.send_lag_p99_s == pytest.approx(0.0, abs=1e-6)


def late(whole: Measurement, at_s: float, lag_s: float) -> Measurement:
    """One send that was late."""
    lags_s = np.zeros(len(whole.due_s))
    lags_s[np.searchsorted(whole.due_s, at_s)] = lag_s
    return replace(whole, lags_s=lags_s, priority="real-time")


def test_a_late_send_tells_that_the_machine_stood_still() -> None:
    """What was in flight then is out, and what queued up, for nine times as long."""
    whole = late(measured(OpenLoop(1000.0, seed=1)), 1.0, 0.01)
    [span] = stood_still(whole, late_s=0.005, limit_s=LIMIT_S)
    assert list(span) == pytest.approx([0.98, 1.1], abs=0.005)
    assert stood_still(whole, late_s=0.01, limit_s=LIMIT_S) == []
    rest, share = undisturbed(whole, [span])
    assert share == pytest.approx(0.94, abs=0.005)
    assert rest.send_lag_p99_s == 0.0


def test_without_precedence_a_late_send_tells_nothing() -> None:
    """The server may have been in its way; and in a closed loop nothing is late."""
    slow = replace(late(measured(OpenLoop(1000.0)), 1.0, 0.1), priority="normal")
    assert stood_still(slow, late_s=0.005, limit_s=LIMIT_S) == []
    closed = late(measured(ClosedLoop(4)), 1.0, 0.1)
    assert stood_still(closed, late_s=0.005, limit_s=LIMIT_S) == []


def test_what_was_late_for_a_stall_is_not_late_without_it() -> None:
    """A point that ended early because of its late answers may have them from the host."""
    late = replace(measured(OpenLoop(1000.0)), stopped_early=LATE)
    rest, share = undisturbed(late, [(0.5, 1.0)])
    assert rest.stopped_early == ""
    assert share == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("whole", "spans", "share"),
    [
        # Spans before and after it do not matter.
        (measured(OpenLoop(1000.0)), [(-3.0, -1.0), (2.5, 3.0)], 1.0),
        # Whether a closed loop is worth measuring again, the share says.
        (measured(ClosedLoop(8)), [(0.5, 1.0)], 0.75),
        # How it failed must not be lost.
        (replace(measured(OpenLoop(1000.0)), errors={"timeout": 3}), [(0.5, 1.0)], 0.75),
        # One that was stopped for an overload that may be the host's, and one all spoiled.
        (measured(OpenLoop(20_000.0), overload=Overload(10)), [(0.1, 0.2)], 0.0),
        (measured(OpenLoop(20_000.0)), [(0.0, 2.0)], 0.0),
    ],
    ids=["undisturbed", "closed", "failed", "overloaded", "spoiled"],
)
def test_what_stays_whole(whole: Measurement, spans: list[Span], share: float) -> None:
    """What cannot be cut is what it was."""
    rest, left = undisturbed(whole, spans)
    assert rest is whole
    assert left == pytest.approx(share)


def test_the_machine_is_watched() -> None:
    """What this machine has lost meanwhile: nothing is made up where nobody counts."""
    with watched() as stolen:
        assert len(stolen.readings) == 0
    assert all(math.isfinite(each.stolen_s) for each in stolen.readings)
    assert [each.at_s for each in stolen.readings] == sorted(each.at_s for each in stolen.readings)
