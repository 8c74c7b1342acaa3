"""Who won: finalists, standings, the gain and its interval, and ties."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.analysis.known import known
from tests.report import studies
from tests.report.studies import BEST, DEFAULTS, baseline, configuration, final, trial
from tuner.analysis.standings import (
    Standing,
    Standings,
    finalists,
    in_the_race,
    standings,
)
from tuner.errors import Reason
from tuner.records import Purpose, TrialRecord, TrialState
from tuner.space.space import Configuration


def failed_final(number: int, of: TrialRecord) -> TrialRecord:
    return replace(
        studies.failed(number, Reason.CRASHED, "during the search phase"),
        purpose=Purpose.FINAL,
        proposal=None,
        configuration=of.configuration,
    )


def of(*trials: TrialRecord) -> Standings:
    return standings(studies.study(trials))


def measured(*trials: TrialRecord) -> Standing:
    """What is known of the baseline."""
    return known(of(*trials).baseline)


def order(result: Standings) -> list[Configuration]:
    return [s.configuration for s in result.ranked]


ONE, TWO, THREE, SEVEN = map(configuration, (1, 2, 3, 7))
FOUR = [baseline(), trial(1, 300.0), trial(2, 400.0), trial(3, 350.0)]
CLOSE = [baseline(), trial(1, 400.0), trial(2, 390.0)]
PRUNED = trial(4, 200.0, configuration=ONE, state=TrialState.PRUNED)
CRASHED = replace(failed_final(5, CLOSE[1]), purpose=Purpose.SEARCH)
BASELINE_WINS = [baseline(500.0), trial(1, 300.0), trial(2, 430.0)]
SLOW = studies.infeasible(baseline(), unloaded_s=0.06)
BROKEN = replace(failed_final(0, baseline()), purpose=Purpose.BASELINE)
FINALISTS: dict[str, tuple[list[TrialRecord], int, tuple[Configuration, ...]]] = {
    "the best one, and the server's defaults": (FOUR, 1, (TWO, DEFAULTS)),
    "the best two, best first": (FOUR, 2, (TWO, THREE, DEFAULTS)),
    "not who is surely behind": (FOUR, 9, (TWO, THREE, DEFAULTS)),
    "who may be ahead": (
        [*FOUR[2:], replace(FOUR[1], log_error=0.2)],
        9,
        (TWO, THREE, ONE),
    ),
    "a repeat that was pruned says nothing": ([*CLOSE, PRUNED], 1, (ONE, DEFAULTS)),
    "a repeat that crashed takes its configuration out": ([*CLOSE, CRASHED], 1, (TWO, DEFAULTS)),
    "defaults that are the best, once": (BASELINE_WINS, 1, (DEFAULTS,)),
    "defaults among the best, once": (BASELINE_WINS, 2, (DEFAULTS, TWO)),
    "only what is feasible, and not again what was in finals": (
        [
            SLOW,
            trial(1, 300.0),
            trial(2, 900.0, state=TrialState.PRUNED),
            studies.failed(3, Reason.CRASHED, "it is gone"),
            final(4, SEVEN, 800.0),
        ],
        3,
        (ONE, DEFAULTS),
    ),
    "nobody where nothing is feasible, not even the defaults": ([SLOW], 2, ()),
    "nobody in an empty study": ([], 2, ()),
    "not defaults that failed": ([BROKEN, trial(1, 300.0)], 2, (ONE,)),
}


@pytest.mark.parametrize(("trials", "count", "expected"), FINALISTS.values(), ids=FINALISTS)
def test_finalists(
    trials: list[TrialRecord], count: int, expected: tuple[Configuration, ...]
) -> None:
    """The best of the search, best first, as far as nobody knows who is better; the baseline."""
    assert finalists(studies.study(trials), count) == expected


def test_repeats_of_the_search_count_together() -> None:
    """What was measured several times counts with its weighted mean, the surer for more."""
    lucky, surer = trial(1, 415.0, log_error=0.12), trial(4, 390.0, log_error=0.0)
    study = studies.study([baseline(), lucky, trial(2, 400.0), replace(surer, configuration=ONE)])

    first, second, _ = standings(study).ranked

    weights = np.array([1 / (0.12**2 + 0.05**2), 1 / 0.05**2])
    mean = weights @ np.log([415.0, 390.0]) / weights.sum()
    assert (first.configuration, second.configuration) == (TWO, ONE)
    assert second.throughput == pytest.approx(math.exp(mean))
    assert second.log_error == pytest.approx(weights.sum() ** -0.5)
    assert finalists(study, 1) == (TWO, DEFAULTS)


def test_defaults_that_failed_are_no_measure() -> None:
    """There is a baseline, and nothing is gained over it."""
    result = of(BROKEN, trial(1, 300.0))

    assert result.gain is None
    assert result.baseline is not None


def test_an_empty_study_has_no_standings() -> None:
    """Before the first trial there is no baseline, no winner and no gain."""
    result = of()

    assert result == Standings()
    assert (result.winner, result.fastest, result.tied) == (None, None, ())


def test_without_finals_the_search_ranks() -> None:
    """A study that was cut short ranks by the search's own figures, unconfirmed."""
    result = standings(studies.small_study())

    assert known(result.winner).configuration == BEST
    assert [s.throughput for s in result.ranked] == pytest.approx([401.0, 395.0, 260.0, 152.0])
    assert {s.confirmations for s in result.ranked} == {0}


def test_finals_decide() -> None:
    """With finals only what they confirm counts: the mean over the starts, on a log scale."""
    result = of(
        baseline(150.0),
        trial(1, 300.0),
        trial(2, 500.0, configuration=BEST),
        trial(3, 310.0),
        final(4, BEST, 200.0),
        final(5, ONE, 320.0),
        final(6, DEFAULTS, 140.0),
        final(7, BEST, 450.0),
        final(8, ONE, 310.0),
        final(9, DEFAULTS, 160.0),
    )

    assert order(result) == [ONE, BEST, DEFAULTS]
    assert [s.throughput for s in result.ranked] == pytest.approx(
        [math.sqrt(320 * 310), math.sqrt(200 * 450), math.sqrt(140 * 160)]
    )
    assert {s.confirmations for s in result.ranked} == {2}
    assert result.ranked[1].trial.number == 7
    assert result.baseline == result.ranked[2]


def test_a_final_that_failed_is_out() -> None:
    """One failed or infeasible start among the finals is enough not to win."""
    result = of(
        baseline(),
        best := trial(1, 500.0),
        trial(2, 400.0),
        final(3, ONE, 510.0),
        final(4, TWO, 390.0),
        final(5, DEFAULTS, 150.0),
        failed_final(6, best),
        final(7, TWO, 395.0),
        final(8, DEFAULTS, 151.0),
    )

    assert order(result) == [TWO, DEFAULTS]


FINALS = [baseline(), trial(1, 300.0), trial(2, 400.0), trial(3, 390.0)]
CHOSEN = (TWO, THREE, ONE, DEFAULTS)
RACE: dict[str, tuple[list[TrialRecord], tuple[Configuration, ...]]] = {
    "not who is proved to be beaten, but the defaults": (
        [
            final(4, TWO, 400.0),
            final(5, THREE, 395.0),
            final(6, ONE, 300.0),
            final(7, DEFAULTS, 150.0),
        ],
        (TWO, THREE, DEFAULTS),
    ),
    "who is behind by what may be chance": (
        [final(4, TWO, 400.0), final(5, THREE, 350.0), final(6, ONE, 360.0)],
        CHOSEN,
    ),
    "not who failed a start": (
        [final(4, TWO, 400.0), failed_final(5, FINALS[3]), final(6, ONE, 390.0)],
        (TWO, ONE, DEFAULTS),
    ),
    "whom the machine spoiled": (
        [
            final(4, TWO, 400.0),
            replace(failed_final(5, FINALS[3]), reason=Reason.CLIENT_OVERLOADED),
            final(6, ONE, 390.0),
        ],
        CHOSEN,
    ),
}


@pytest.mark.parametrize("name", RACE)
def test_who_is_measured_in_the_next_round(name: str) -> None:
    """A finalist that cannot win any more costs no further starts."""
    finals, left = RACE[name]
    assert in_the_race(studies.study((*FINALS, *finals)), CHOSEN, 3) == left


def test_all_finals_failed() -> None:
    """Where no final is feasible, what the finals refuted does not win by its search figure."""
    best, second = trial(1, 500.0), trial(2, 400.0)
    finals = failed_final(4, best), failed_final(5, second)

    assert order(of(baseline(), best, second, trial(3, 300.0), *finals)) == [THREE, DEFAULTS]


def test_an_infeasible_baseline_gives_no_gain() -> None:
    """Where the defaults carry nothing within the budget, there is a winner and no ratio."""
    result = of(SLOW, trial(1, 300.0))

    assert known(result.baseline).throughput == 0.0
    assert math.isinf(known(result.baseline).log_error)
    assert result.winner is not None
    assert result.gain is None


def test_the_gain_and_its_interval() -> None:
    """The gain is a ratio whose interval combines both errors, symmetric on a log scale."""
    gain = known(of(baseline(100.0, log_error=0.03), trial(1, 250.0, log_error=0.04)).gain)

    assert gain.estimate == pytest.approx(2.5)
    error = math.sqrt(0.03**2 + 0.04**2 + 2 * 0.05**2)  # 5 % from start to start, on both sides
    assert gain.low == pytest.approx(2.5 * math.exp(-1.96 * error), rel=1e-4)
    assert gain.high == pytest.approx(2.5 * math.exp(1.96 * error), rel=1e-4)
    assert gain.decided
    assert not gain.proved


def test_the_scatter_of_starts_is_never_taken_for_nothing() -> None:
    """However exact one start was measured, another one differs by some five percent."""
    exact, rough = (measured(baseline(log_error=error)) for error in (0.001, 0.12))

    assert (exact.log_error, rough.log_error) == pytest.approx((0.05, 0.13), abs=1e-4)


def test_starts_that_agree_keep_their_own_errors() -> None:
    """Starts that happen to show the same leave the uncertainty that each of them has."""
    equal = [replace(final(n, DEFAULTS, 150.0), log_error=0.12) for n in range(1, 5)]

    standing = measured(baseline(), *equal)

    assert standing.log_error == pytest.approx(0.12 / 2)
    assert standing.low == pytest.approx(150.0 * math.exp(-1.96 * 0.06), rel=1e-4)


def test_two_starts_that_differ_are_less_sure() -> None:
    """Too few starts to know their scatter: it is 5 %, or more if they differ by more."""
    close = of(final(1, DEFAULTS, 150.0), final(2, DEFAULTS, 152.0))
    apart = of(final(1, DEFAULTS, 120.0), final(2, DEFAULTS, 150.0))

    scatter = math.log(150 / 120) / math.sqrt(2)
    assert close.ranked[0].log_error == pytest.approx(math.hypot(0.05, 0.015) / math.sqrt(2))
    assert apart.ranked[0].log_error == pytest.approx(math.hypot(scatter, 0.015) / math.sqrt(2))


def test_nothing_carried_has_no_interval() -> None:
    """Where no load meets the budget, both ends are zero."""
    nothing = Standing(DEFAULTS, 0.0, math.inf, 3, baseline())

    assert (nothing.low, nothing.high) == (0.0, 0.0)


def test_finals_that_ended_too_soon() -> None:
    """Where the search's best was not measured again yet, the search decides."""
    result = of(baseline(150.0), trial(1, 400.0), final(2, DEFAULTS, 151.0))

    assert known(result.winner).configuration == ONE
    assert [s.confirmations for s in result.ranked] == [0, 1]


@pytest.mark.parametrize("purpose", [Purpose.DRIFT, Purpose.PROOF])
def test_what_is_not_a_start(purpose: Purpose) -> None:
    """Repeats to look for drift and the proof of a load are not part of a capacity."""
    repeats = [replace(baseline(90.0), number=n, purpose=purpose) for n in (2, 3)]

    standing = measured(baseline(150.0), trial(1, 300.0), *repeats)

    assert standing.throughput == pytest.approx(150.0)
    assert standing.confirmations == 0


def test_ties_are_called_ties() -> None:
    """What the winner does not surely beat is tied with it; the defaults may be, too."""
    rest = trial(2, 390.0), trial(3, 341.0), trial(4, 345.0)
    result = of(baseline(200.0), trial(1, 400.0), *rest)

    # 1.96 * sqrt(2) * 5.4 % (5 % from start to start and 2 % each) is 15 %.
    assert [s.throughput for s in result.tied] == pytest.approx([390.0])
    assert [s.throughput for s in result.ranked[2:]] == pytest.approx([345.0, 341.0, 200.0])
    close = of(baseline(398.0), trial(1, 400.0))
    assert [s.configuration for s in close.tied] == [DEFAULTS]


def test_equal_throughputs_rank_in_the_order_of_their_trials() -> None:
    """A tie to the last digit has one winner, the same one in every process."""
    result = of(baseline(400.0), *(trial(n, 400.0) for n in range(1, 9)))

    assert [s.trial.number for s in result.ranked] == list(range(9))


def test_a_standing_over_itself() -> None:
    """A configuration is one times as good as itself."""
    one = Standing(DEFAULTS, 100.0, 0.0, 1, baseline())

    assert one.over(one).low == one.over(one).estimate == one.over(one).high == 1.0
