"""Whether the machine kept its speed: what repeats of the baseline prove, and what follows."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from tests.report import studies
from tests.report.studies import BEGAN, DEFAULTS
from tuner.analysis.drift import drift
from tuner.errors import Reason
from tuner.records import Purpose, TrialRecord, TrialState

EVERY = 5  # a repeat of the baseline, then four trials of the search
REPEATS = 8
SIMULATIONS = 400


def factors(trials: Sequence[TrialRecord]) -> dict[int, float]:
    return drift(trials).factors(trials)


def corrected(
    chosen: Sequence[TrialRecord], trials: Sequence[TrialRecord]
) -> tuple[TrialRecord, ...]:
    return drift(trials).corrected(chosen)


def repeat(number: int, speed: float = 1.0, **wishes: Any) -> TrialRecord:
    """The baseline, on a machine of that speed."""
    facts: dict[str, Any] = {
        "purpose": Purpose.DRIFT if number else Purpose.BASELINE,
        "configuration": DEFAULTS,
        "proposal": None,
        "throughput": 152.0 * speed,
        "saturation": 175.0 * speed,
        "unloaded_s": 0.0075 / speed,
    }
    return studies.trial(number, **(facts | wishes))


def searched(number: int, throughput: float = 300.0, **wishes: Any) -> TrialRecord:
    facts: dict[str, Any] = {"throughput": throughput, "log_error": 0.04}
    return studies.trial(number, **(facts | wishes))


def night(speeds: Sequence[float]) -> list[TrialRecord]:
    """Repeats of the baseline at these speeds, four trials of 300/s after each of them."""
    return [
        repeat(number, speeds[number // EVERY]) if number % EVERY == 0 else searched(number)
        for number in range(EVERY * len(speeds))
    ]


def noisy(random: np.random.Generator, speed: float, number: int, noise: float) -> TrialRecord:
    """A repeat whose three signals differ from `speed`, each by a noise of its own."""
    capacity, saturation, latency = speed * np.exp(random.normal(0.0, noise, 3))
    return repeat(
        number,
        throughput=152.0 * capacity,
        saturation=175.0 * saturation,
        unloaded_s=0.0075 / latency,
    )


def test_a_machine_that_keeps_its_speed() -> None:
    """Equal repeats prove no change: all factors are 1 and nothing is said."""
    trials = night([1.0] * 4)

    found = drift(trials)

    assert not found.significant
    assert found.correctable
    assert found.repeat == ()
    assert set(factors(trials).values()) == {1.0}
    assert corrected(trials, trials) == tuple(trials)


@pytest.mark.parametrize(
    "trials", [[], [repeat(0)], [repeat(0), searched(1)], [searched(0), searched(1)]]
)
def test_too_little_is_known(trials: list[TrialRecord]) -> None:
    """Before the first repeat, and before the baseline itself, no speed can have changed."""
    assert not drift(trials).significant
    assert drift(trials).factor(BEGAN) == 1.0
    assert corrected(trials, trials) == tuple(trials)
    assert factors(trials) == {trial.number: 1.0 for trial in trials}


def vague(log_error: float) -> list[TrialRecord]:
    return [repeat(0, log_error=log_error), searched(1), repeat(2, 0.7, log_error=log_error)]


def final(number: int, speed: float, **wishes: Any) -> TrialRecord:
    """The baseline in the finals, which take over the saturation throughput of the search."""
    return repeat(number, speed, **({"purpose": Purpose.FINAL, "saturation": 175.0} | wishes))


CRASHED = replace(
    studies.failed(1, Reason.CRASHED, "it is gone"), purpose=Purpose.DRIFT, configuration=DEFAULTS
)
BLANK = repeat(1, throughput=0.0, saturation=0.0, unloaded_s=math.nan)
NOISY = [1.0, 1.2, 0.95, 1.15, 1.0, 1.2, 1.0, 1.15, 0.95, 1.2]
# Repeats, and the speed in the end over that of the first one, which is 1 where nothing is proved.
SPEEDS: dict[str, tuple[list[TrialRecord], float]] = {
    "a machine that became slower": (vague(0.02), 0.7),
    # Where a capacity is known to 40 % only, 30 % less of it is no slower machine.
    "vague repeats prove less": (vague(0.4), 1.0),
    # A machine can also become faster: a neighbour has gone.
    "a faster machine": (night([1.0, 1.0, 1.2, 1.2]), 1.2),
    # One repeat before and one after prove 15 %, but not 13 %, not even again and again.
    "a sure change": ([repeat(0), repeat(1, 0.85)], 0.85),
    "an unsure change": ([repeat(0), repeat(1, 0.87)], 1.0),
    "an unsure change again": ([repeat(0), repeat(1, 0.87), repeat(2), repeat(3, 0.87)], 1.0),
    # Repeats that jump by 20 % from one to the next show their own scatter.
    "a noisy machine is not a changing one": (night(NOISY), 1.0),
    # A capacity that is off by a third accuses nobody: saturation and latency disagree.
    "one vague signal is outvoted": (
        [repeat(n, throughput=152.0 if n < 3 else 100.0) for n in range(6)],
        1.0,
    ),
    # A neighbour on another core does not change the unloaded latency, but everything else.
    "one deaf signal is outvoted": (
        [repeat(n, 1.0 if n < 3 else 0.85, unloaded_s=0.0075) for n in range(6)],
        0.85,
    ),
    # Defaults without a capacity still have an unloaded latency.
    "a baseline over the latency budget tells as well": (
        [studies.infeasible(repeat(n), unloaded_s=0.061 if n < 3 else 0.080) for n in range(6)],
        61 / 80,
    ),
    # A machine may become so slow that the baseline has no capacity left: the others tell.
    "a repeat that falls over the latency budget": (
        [
            *map(repeat, range(3)),
            *(repeat(n, 0.8, throughput=0.0, state=TrialState.INFEASIBLE) for n in (3, 4, 5)),
        ],
        0.8,
    ),
    "a failed repeat is none": ([repeat(0), CRASHED], 1.0),
    "a repeat after a failed one": ([repeat(0), CRASHED, repeat(2, 0.8)], 0.8),
    "a repeat without a latency tells nothing": ([repeat(0, 0.5), BLANK], 1.0),
    # With a deaf latency, what they took over from the search would outvote their capacity: the
    # middle of the two is left.
    "finals do not vouch for their saturation": (
        [repeat(0), repeat(2), *(final(n, 0.7, unloaded_s=0.0075) for n in (4, 6))],
        math.sqrt(0.7),
    ),
}


@pytest.mark.parametrize(("trials", "speed"), SPEEDS.values(), ids=SPEEDS)
def test_the_speed_in_the_end(trials: list[TrialRecord], speed: float) -> None:
    """What repeats prove, and what they do not."""
    found = drift(trials)

    assert found.significant is (speed != 1.0)
    assert found.factor(trials[-1].finished_at) == pytest.approx(speed)


def test_a_repeat_without_a_latency_alone() -> None:
    """Where not even one request at a time was answered, nothing is known."""
    assert drift([BLANK]).blocks == ()


def test_one_change() -> None:
    """A change is known with its size and with the last trial that is known to be before it."""
    found = drift(night([1.0, 1.0, 1.0, 0.9, 0.9, 0.9]))

    assert found.significant
    assert found.correctable
    assert [math.exp(block.log_speed) for block in found.blocks] == pytest.approx([1.0, 0.9])
    assert [(block.first.number, block.last.number) for block in found.blocks] == [
        (0, 10),
        (15, 25),
    ]


def test_two_changes_in_one_direction() -> None:
    """Two steps down are taken off one by one."""
    trials = night([1.0] * 4 + [0.9] * 4 + [0.8] * 4)

    found = drift(trials)

    assert found.correctable
    assert [block.last.number for block in found.blocks] == [15, 35, 55]
    assert factors(trials)[59] == pytest.approx(0.8)


def test_factors_within_and_between_blocks() -> None:
    """Within a block the factor is that of the block, between two it goes over gradually."""
    trials = night([1.0, 1.0, 1.0, 0.8, 0.8, 0.8])

    found = factors(trials)

    assert list(found) == list(range(30))
    assert all(found[number] == pytest.approx(1.0) for number in range(11))
    assert 1.0 > found[11] > found[12] > found[13] > found[14] > 0.8
    assert math.log(found[12] * found[13]) == pytest.approx(math.log(0.8))
    assert all(found[number] == pytest.approx(0.8) for number in range(15, 30))


def test_factors_outside_of_all_blocks() -> None:
    """Before the first repeat and after the last one the nearest speed holds."""
    found = drift(night([1.0, 1.0, 0.8, 0.8]))

    assert found.factor(BEGAN - timedelta(days=1)) == pytest.approx(1.0)
    assert found.factor(BEGAN + timedelta(days=1)) == pytest.approx(0.8)


def test_small_changes_are_not_believed() -> None:
    """Less than 5 % does not matter, however sure it is; larger changes beside it still do."""
    many = 40
    small_and_large = drift(night([1.0] * many + [0.96] * many + [0.86] * many))

    assert not drift(night([1.0] * many + [0.96] * many)).significant
    assert drift(night([1.0] * many + [0.94] * many)).significant
    assert [block.first.number for block in small_and_large.blocks] == [0, 2 * many * EVERY]


def test_steady_machines_are_rarely_accused() -> None:
    """Without a change, repeats that scatter by 5 % prove one in less than 5 % of all studies."""
    random = np.random.default_rng(4)
    accused = 0
    for _ in range(SIMULATIONS):
        trials = [noisy(random, 1.0, number, 0.05) for number in range(REPEATS)]
        accused += drift(trials).significant

    assert accused < 0.05 * SIMULATIONS


def test_scatter_that_all_signals_share_is_rarely_taken_for_a_change() -> None:
    """Starts that differ by 5 % in all that they show prove a change in less than 5 %, too."""
    random = np.random.default_rng(5)
    accused = 0
    for _ in range(SIMULATIONS):
        speeds = np.exp(random.normal(0.0, 0.05, REPEATS))
        accused += drift([repeat(n, speed) for n, speed in enumerate(speeds)]).significant

    assert accused < 0.05 * SIMULATIONS


def test_a_change_of_15_per_cent_is_found_where_it_is() -> None:
    """One step at any place among repeats that scatter by 5 %: found there in 9 of 10 studies."""
    random = np.random.default_rng(6)
    found_it = 0
    for _ in range(SIMULATIONS):
        place = int(random.integers(2, REPEATS - 1))
        speeds = [1.0] * place + [0.85] * (REPEATS - place)
        found = drift([noisy(random, s, number, 0.05) for number, s in enumerate(speeds)])
        found_it += [block.first.number for block in found.blocks] == [0, place]

    assert found_it > 0.9 * SIMULATIONS


def test_the_factor_is_unbiased() -> None:
    """What is taken off is what was there: 15 %, to less than 1 % on average."""
    random = np.random.default_rng(7)
    speeds = [1.0] * 4 + [0.85] * 4
    found = [
        drift([noisy(random, s, number, 0.05) for number, s in enumerate(speeds)])
        for _ in range(SIMULATIONS)
    ]

    logs = [math.log(each.factor(BEGAN + timedelta(hours=1))) for each in found]

    assert np.mean(logs) == pytest.approx(math.log(0.85), abs=0.01)


def test_a_gradual_change_is_followed() -> None:
    """A machine that becomes 16 % slower over a night: more than half of it is taken off."""
    count = 12
    speeds = np.linspace(1.0, 0.84, count)
    trials = night([float(speed) for speed in speeds])
    truth = np.interp(np.arange(EVERY * count), EVERY * np.arange(count), speeds)

    found = np.array(list(factors(trials).values()))

    left = (found / truth)[: EVERY * (count - 1)]
    assert left.max() / left.min() < 1 + (1 / 0.84 - 1) / 2


def test_finals_measure_the_baseline_too() -> None:
    """The baseline in the finals counts as a repeat, and only the baseline.

    Its saturation throughput is none of its own, but what the search found.
    """
    finals = [final(n, 0.8) for n in (4, 6)]
    others = [searched(n, 100.0, purpose=Purpose.FINAL) for n in (5, 7)]
    trials = sorted([repeat(0), repeat(2), *finals, *others], key=lambda t: t.number)

    found = drift(trials)

    assert [block.first.number for block in found.blocks] == [0, 4]
    assert found.blocks[1].last.number == 6
    assert found.factor(trials[-1].finished_at) == pytest.approx(0.8)


def test_corrected_throughputs_can_be_compared() -> None:
    """Throughputs are divided by the speed at their time, and their errors grow by its own."""
    trials = night([1.0, 1.0, 0.8, 0.8])

    before, after = corrected([trials[1], trials[18]], trials)

    assert before == trials[1]
    assert after.throughput == pytest.approx(300.0 / 0.8)
    # 5 % for a repeat, two of them on either side.
    assert after.log_error == pytest.approx(math.hypot(0.04, 0.05))
    assert replace(after, throughput=300.0, log_error=0.04) == trials[18]


def test_finals_are_not_corrected() -> None:
    """Finals and the proof are compared with what was measured beside them, so they stay."""
    kept = [
        replace(searched(number), purpose=purpose)
        for number, purpose in ((20, Purpose.FINAL), (21, Purpose.PROOF))
    ]
    trials = [*night([1.0, 1.0, 0.8, 0.8]), *kept]

    assert list(corrected(kept, trials)) == kept
    assert factors(trials)[20] == pytest.approx(0.8)
