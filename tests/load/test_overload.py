"""When an open loop has lost the race: the rules of `Overload`, without a server."""

import pytest

from tuner.load.measurement import LATE
from tuner.load.overload import OverloadWatch
from tuner.load.profile import Endpoint, LoadRun, OpenLoop, Overload, Share

LOST = Overload(100, blocks=2, slow_s=0.02, forgiven=5, after_s=1.0)


def watch(share: Share = Share(), overload: Overload | None = LOST) -> OverloadWatch:  # noqa: B008 - a frozen value
    run = LoadRun(
        endpoint=Endpoint("", 0),
        profile=OpenLoop(100),
        duration_s=9.0,
        overload=overload,
        share=share,
    )
    return OverloadWatch(run)


@pytest.mark.parametrize(
    ("spent_s", "slow", "reason"), [(2.0, 6, LATE), (2.0, 5, ""), (0.9, 6, "")]
)
def test_more_late_answers_than_are_forgiven(spent_s: float, slow: int, reason: str) -> None:
    """Not before its time."""
    assert watch().reason(spent_s, 0, lambda _: slow) == reason


def test_one_of_several_processes_does_not_stop_alone() -> None:
    """The others would go on, at a part of the load."""
    assert watch(Share(1, 2)).reason(2.0, 0, lambda _: 99) == ""


def test_a_queue_that_does_not_fall() -> None:
    """So many looks in a row; one that fell begins anew."""
    watched = watch()
    outstanding = [101, 90, 102, 103]
    assert [watched.reason(0.1, n, lambda _: 0) for n in outstanding] == ["", "", "", "overload"]


def test_without_rules_nothing_ends() -> None:
    """Whatever is late."""
    assert watch(overload=None).reason(9.0, 999, lambda _: 999) == ""
