"""When a capacity that was measured again is called worse, or as good."""

import math
import random

import pytest

from tuner.analysis.loss import FIRST_LOOK, Change, LossVerdict, looks

THEN = (990.0, 1000.0, 1010.0)
TOLERANCE = 0.05
ROUNDS = 6
CHECKS = 200


def checked(random_: random.Random, *, carries: float, scatter: float) -> LossVerdict:
    """A check of a winner that carries so much of what it did; starts are log-normal."""

    def start(capacity: float) -> float:
        return capacity * math.exp(random_.gauss(0, scatter))

    then = [start(1000.0) for _ in range(3)]
    now = [start(1000.0 * carries) for _ in range(ROUNDS)]
    first, last = (
        Change(then, now[:rounds]).verdict(TOLERANCE, looks(ROUNDS))
        for rounds in (FIRST_LOOK, ROUNDS)
    )
    return last if first is LossVerdict.UNDECIDED else first


def share(wanted: LossVerdict, *, carries: float, scatter: float) -> float:
    """Of many checks, those with this verdict."""
    numbers = random.Random(7)
    found = [checked(numbers, carries=carries, scatter=scatter) for _ in range(CHECKS)]
    return found.count(wanted) / CHECKS


@pytest.mark.parametrize("scatter", [0.01, 0.015, 0.02])
def test_a_loss_is_found(scatter: float) -> None:
    """A tenth less is called worse in nine checks of ten, if starts scatter by up to 2 %."""
    assert share(LossVerdict.WORSE, carries=0.9, scatter=scatter) >= 0.9


@pytest.mark.parametrize("scatter", [0.01, 0.02, 0.05, 0.1])
def test_no_alarm_without_a_loss(scatter: float) -> None:
    """However much starts scatter: what has not changed is called worse in one of ten at most."""
    assert share(LossVerdict.WORSE, carries=1.0, scatter=scatter) <= 0.1


@pytest.mark.parametrize("scatter", [0.01, 0.02, 0.05, 0.1])
def test_the_tolerance_is_kept(scatter: float) -> None:
    """A loss of the tolerance itself is called worse, or as good, in one of twenty at most."""
    edge = 1 - TOLERANCE

    assert share(LossVerdict.WORSE, carries=edge, scatter=scatter) <= 0.07
    assert share(LossVerdict.AS_GOOD, carries=edge, scatter=scatter) <= 0.07


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        ((1000.0, 1000.0, 1000.0), LossVerdict.AS_GOOD),
        ((1300.0, 1310.0, 1290.0), LossVerdict.AS_GOOD),
        ((950.0, 955.0, 945.0), LossVerdict.UNDECIDED),
        ((800.0, 810.0, 790.0), LossVerdict.WORSE),
        ((700.0, 1000.0, 1300.0), LossVerdict.UNDECIDED),
        ((), LossVerdict.UNDECIDED),
    ],
)
def test_a_verdict_takes_proof(now: tuple[float, ...], verdict: LossVerdict) -> None:
    """What lies within its scatter of the tolerance is not decided; more is as good."""
    assert Change(THEN, now).verdict(TOLERANCE) is verdict


def test_starts_that_fail() -> None:
    """One that carries nothing may be an accident, but is not as good; two are worse."""
    assert Change(THEN, THEN, failures=1).verdict(TOLERANCE) is LossVerdict.UNDECIDED
    assert Change(THEN, THEN, failures=2).verdict(TOLERANCE) is LossVerdict.WORSE
    assert Change(THEN, (), failures=2).verdict(TOLERANCE) is LossVerdict.WORSE
    assert [Change(THEN, THEN, failures=n).fails for n in (0, 1, 2)] == [False, False, True]


def test_the_ratio() -> None:
    """Of geometric means, with Student's interval; the change of both cancels in their ratio."""
    change = Change((100.0, 400.0), (100.0, 100.0))
    ratio = change.ratio

    assert ratio is not None
    assert ratio.estimate == pytest.approx(0.5)
    # Pooled deviation of the logs, two degrees of freedom: log(2) * sqrt(2) / sqrt(2).
    margin = 4.302653 * math.log(2) * math.sqrt(1 / 2 + 1 / 2)
    assert math.log(ratio.high / ratio.estimate) == pytest.approx(margin, rel=1e-6)
    alone = change.over(change)
    assert alone is not None
    assert alone.estimate == 1.0
    assert change.over(Change((), ())) is None


def test_starts_that_agree_by_chance() -> None:
    """No capacity is known better than the search for it is."""
    ratio = Change((100.0, 100.0, 100.0), (100.0, 100.0, 100.0)).ratio

    assert ratio is not None
    assert ratio.high > 1.02


def test_a_start_each() -> None:
    """Two starts do not tell how much they scatter: it is taken to be as on other machines."""
    ratio = Change((100.0,), (100.0,)).ratio

    assert ratio is not None
    assert ratio.high == pytest.approx(math.exp(1.96 * 0.05 * math.sqrt(2)), rel=1e-3)


def test_the_smallest_loss() -> None:
    """What would have been proved is more than the tolerance, by what starts scatter."""
    found = Change(THEN, THEN)
    lost = found.smallest_loss(TOLERANCE)

    assert TOLERANCE < lost < 0.09
    worse = [each * (1 - lost - 0.001) for each in THEN]
    assert Change(THEN, worse).verdict(TOLERANCE) is LossVerdict.WORSE
    assert Change(THEN, ()).smallest_loss(TOLERANCE) == 1.0
