"""perf_analyzer's stability rule: three windows in a row that agree."""

import math
from collections.abc import Iterator, Sequence

import pytest

from tuner.sweep.stability import CONSECUTIVE, Stability, Window, until_stable


def stability_of(throughputs: Sequence[float], latencies_s: Sequence[float]) -> Stability:
    windows = map(Window, throughputs, latencies_s)
    return Stability(tuple(windows))


@pytest.mark.parametrize(
    ("throughputs", "latencies_s", "stable"),
    [
        ([100, 100, 100], [0.01, 0.01, 0.01], True),
        ([100, 110, 105], [0.010, 0.011, 0.0105], True),
        ([100, 111, 105], [0.01, 0.01, 0.01], False),
        ([100, 100, 100], [0.0100, 0.0105, 0.0111], False),
        ([1, 50, 100, 100, 100], [1.0, 0.5, 0.01, 0.01, 0.01], True),
        ([100, 100, 100, 1], [0.01, 0.01, 0.01, 0.01], False),
        ([100, 100], [0.01, 0.01], False),
        ([], [], False),
        ([0, 0, 0], [0.01, 0.01, 0.01], False),
        ([100, 0, 100], [0.01, 0.01, 0.01], False),
        ([100, 100, 100], [math.inf, math.inf, math.inf], False),
        ([100, 100, 100], [0.01, math.nan, 0.01], False),
    ],
)
def test_the_rule(
    throughputs: Sequence[float], latencies_s: Sequence[float], *, stable: bool
) -> None:
    """The last three windows are within 10 % of one another in both, and none was idle."""
    assert stability_of(throughputs, latencies_s).stable is stable


def test_the_tolerance() -> None:
    """What counts as stable is a matter of the stability percentage."""
    windows = tuple(Window(throughput, 0.01) for throughput in (100, 120, 110))

    assert not Stability(windows).stable
    assert Stability(windows, 0.25).stable


def test_stops_as_soon_as_it_is_stable() -> None:
    """No window is measured after the third of three that agree."""
    windows = replayed([100, 200, 201, 202, 203])

    stability = until_stable(lambda: next(windows))

    assert [window.throughput for window in stability.windows] == [100, 200, 201, 202]
    assert stability.stable
    assert next(windows).throughput == 203


def test_an_unstable_result_is_kept() -> None:
    """After ten windows it ends; all of them are there, and they are called what they are."""
    windows = replayed([100.0, 300.0] * 10)

    stability = until_stable(lambda: next(windows))

    assert len(stability.windows) == 10
    assert not stability.stable
    assert str(stability) == (
        "not stable within 10 % after 10 windows: in the last 3, throughput varied by 200 % and "
        "latency by 0 %"
    )


def test_says_how_stable_it_is() -> None:
    """The label of a result names the tolerance and the windows, and what varied without bound."""
    assert str(stability_of([1, 9, 9, 9], [1, 1, 1, 1])) == "stable within 10 % after 4 windows"
    assert str(stability_of([0, 9, 9], [1, 1, 2])) == (
        "not stable within 10 % after 3 windows: in the last 3, throughput varied by ∞ and "
        "latency by 100 %"
    )
    assert CONSECUTIVE == 3


def replayed(throughputs: Sequence[float]) -> Iterator[Window]:
    return (Window(throughput, 0.01) for throughput in throughputs)
