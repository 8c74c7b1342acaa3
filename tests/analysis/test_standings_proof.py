"""What finals prove, how often that errs, and which of the tied is recommended."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.analysis.known import known
from tests.report import studies
from tests.report.studies import BEST, DEFAULTS, baseline, configuration, final, trial
from tuner.analysis.standings import Advantage, Cost, Standings, standings
from tuner.errors import Reason
from tuner.records import Purpose, TrialRecord, TrialState, Usage
from tuner.space.space import Configuration

# Of one copy of the model, and of four.
ONE, FOUR = configuration(3), configuration(2)
NOISE = {DEFAULTS: (150.0, 140.0, 158.0), BEST: (400.0, 377.0, 425.0)}


def finals(capacities: Mapping[Configuration, Sequence[float]]) -> list[TrialRecord]:
    """A start of each configuration in each round."""
    return [
        replace(final(100 + 10 * number + position, tried, capacity), round=number)
        for position, (tried, own) in enumerate(capacities.items())
        for number, capacity in enumerate(own)
    ]


def after_finals(capacities: Mapping[Configuration, Sequence[float]]) -> Standings:
    """What the finals say of the server's defaults and of others, the second the search's best."""
    searched = [trial(n, 300.0, configuration=tried) for n, tried in enumerate(capacities)]
    searched[0] = replace(searched[0], purpose=Purpose.BASELINE, throughput=150.0)
    return standings(studies.study([*searched, *finals(capacities)]))


def order(result: Standings) -> list[Configuration]:
    return [s.configuration for s in result.ranked]


def tied(result: Standings) -> list[Configuration]:
    return [s.configuration for s in result.tied]


def recommended(result: Standings) -> Configuration:
    return known(result.winner).configuration


def test_the_interval_comes_from_the_starts() -> None:
    """Student's t over the logarithms of the starts, with one degree of freedom less."""
    result = after_finals({DEFAULTS: (150.0, 150.0, 150.0), BEST: (380.0, 400.0, 421.0)})
    standing = result.ranked[0]

    logs = np.log([380.0, 400.0, 421.0])
    margin = 4.3027 * logs.std(ddof=1) / math.sqrt(3)
    assert standing.throughput == pytest.approx(math.exp(logs.mean()))
    assert standing.low == pytest.approx(standing.throughput * math.exp(-margin), rel=1e-4)
    assert standing.high == pytest.approx(standing.throughput * math.exp(margin), rel=1e-4)


def test_a_gain_is_proved_by_three_rounds() -> None:
    """A difference far beyond the scatter within the rounds is proved, of two rounds it is not."""
    result = after_finals(NOISE)
    three = known(result.gain)
    two = known(after_finals({tried: own[:2] for tried, own in NOISE.items()}).gain)

    assert three == result.leads[0]
    assert three.proved
    assert three.low < 2.68 < three.high
    assert result.tied == ()
    assert (two.decided, two.proved) == (True, False)


def test_two_rounds_are_not_less_than_one() -> None:
    """A second round that was cut short does not hide a gain that one round shows."""
    capacities = {DEFAULTS: (150.0,), BEST: (400.0,), configuration(2): (385.0,)}
    started = {DEFAULTS: (150.0, 170.0), BEST: (400.0, 380.0), configuration(2): (385.0,)}

    one, more = after_finals(capacities), after_finals(started)

    assert recommended(one) == recommended(more) == BEST
    assert known(more.gain).decided


def test_three_starts_in_one_round_prove_nothing() -> None:
    """Starts that were not interleaved may have met a slow hour."""
    apart = [replace(record, round=0) for record in finals(NOISE)]
    search = [baseline(), trial(1, 400.0, configuration=BEST)]

    gain = known(standings(studies.study([*search, *apart])).gain)

    assert (gain.decided, gain.proved) == (True, False)


def test_a_slow_round_is_the_same_for_all() -> None:
    """Ratios are of the same round: a machine that becomes slower does not hide a gain."""
    gain = known(after_finals({DEFAULTS: (100.0, 70.0, 45.0), BEST: (126.0, 87.0, 56.2)}).gain)

    assert gain.proved
    assert gain.estimate == pytest.approx(1.25, rel=1e-3)


def test_a_start_that_the_tuner_spoiled_is_missing() -> None:
    """An overloaded load engine is no fault of the finalist: its other rounds count."""
    noise = {DEFAULTS: (150.0, 140.0, 158.0, 151.0), BEST: (400.0, 377.0, 425.0, 100.0)}
    *kept, last = finals(noise)
    spoiled = replace(last, state=TrialState.FAILED, reason=Reason.CLIENT_OVERLOADED)
    search = [baseline(), trial(1, 400.0, configuration=BEST)]

    result = standings(studies.study([*search, *kept, spoiled]))
    two_left = standings(studies.study([*search, *kept[:6], spoiled]))

    winner = known(result.winner)
    assert (winner.configuration, winner.confirmations) == (BEST, 3)
    assert known(result.gain).proved
    assert not known(two_left.gain).proved


def tie(fast: Configuration, other: Configuration, *usages: Usage) -> Standings:
    """Two that are tied; `fast` measured 2 % more. `usages` are of `fast` and of `other`."""
    search = [
        baseline(),
        trial(1, 400.0, configuration=fast),
        trial(2, 400.0, configuration=other),
    ]
    again = finals(
        {
            DEFAULTS: (150.0, 148.0, 150.0),
            fast: (408.0, 404.0, 408.0),
            other: (400.0, 396.0, 400.0),
        }
    )
    took = dict(zip((fast, other), usages, strict=False))
    used = [replace(each, usage=took.get(each.configuration, Usage())) for each in again]
    return standings(studies.study([*search, *used]))


MUCH, LITTLE = Usage(memory_bytes=3e9, cpu_s=0.003), Usage(memory_bytes=2e9, cpu_s=0.002)
MEMORY, CPU = Advantage(Cost.MEMORY, 2e9, 3e9), Advantage(Cost.CPU, 0.002, 0.003)
TIES: dict[str, tuple[Configuration, Configuration, tuple[Usage, ...], Advantage | None]] = {
    # One instance instead of four is simpler,
    "to fewer instances": (FOUR, ONE, (), Advantage(Cost.INSTANCES, own=1, fastest=4)),
    # those of all parts together,
    "to fewer instances of all parts": (
        Configuration.of({"a.instance_count": 2, "b.instance_count": 2}),
        Configuration.of({"a.instance_count": 1, "b.instance_count": 2}),
        (),
        Advantage(Cost.INSTANCES, own=3, fastest=4),
    ),
    # and needs no reason where it is the fastest as well.
    "to the fastest and simplest": (ONE, FOUR, (), None),
    # With as many instances, what is closer to the server's defaults is simpler.
    "to fewer changes": (
        configuration(4),
        configuration(7),
        (),
        Advantage(Cost.CHANGES, own=5, fastest=6),
    ),
    # Where nothing tells them apart, the higher throughput does.
    "of equally simple ones to the fastest": (configuration(1), configuration(7), (), None),
    "of the same ones the other way": (configuration(7), configuration(1), (), None),
    # What was measured of memory, then of processor time, weighs more than simplicity.
    "to less memory": (ONE, FOUR, (Usage(memory_bytes=3e9), Usage(memory_bytes=2e9)), MEMORY),
    "to less processor time": (ONE, FOUR, (Usage(cpu_s=0.003), Usage(cpu_s=0.002)), CPU),
    "to less memory rather than processor time": (
        ONE,
        FOUR,
        (replace(MUCH, cpu_s=0.002), replace(LITTLE, cpu_s=0.003)),
        MEMORY,
    ),
    "to less processor time where the memory is within 10 %": (
        ONE,
        FOUR,
        (replace(MUCH, memory_bytes=2e9), replace(LITTLE, memory_bytes=2.1e9)),
        CPU,
    ),
    # A difference of 10 % or less counts for nothing, nor does what only one has.
    "not to 10 % less": (ONE, FOUR, (MUCH, Usage(memory_bytes=2.8e9, cpu_s=0.0028)), None),
    "not where the other was not measured": (ONE, FOUR, (MUCH, Usage()), None),
    "not where the fastest was not measured": (ONE, FOUR, (Usage(), LITTLE), None),
}


@pytest.mark.parametrize(("fast", "other", "usages", "advantage"), TIES.values(), ids=TIES)
def test_a_tie_goes(
    fast: Configuration,
    other: Configuration,
    usages: tuple[Usage, ...],
    advantage: Advantage | None,
) -> None:
    """To the other for its advantage, else to the fastest, which is known in either case."""
    result = tie(fast, other, *usages)

    assert result.advantage == advantage
    assert recommended(result) == (other if advantage else fast)
    assert tied(result) == [fast if advantage else other]
    assert known(result.fastest).configuration == fast
    assert order(result) == [fast, other, DEFAULTS]


def test_the_reason_is_what_the_fastest_lost_by() -> None:
    """A later cost that decides between the others is not why it is not the fastest."""
    capacities = {
        DEFAULTS: (150.0, 148.0, 150.0),
        configuration(4): (408.0, 404.0, 408.0),
        FOUR: (404.0, 400.0, 404.0),
        ONE: (400.0, 396.0, 400.0),
    }
    search = [trial(n, 400.0, configuration=each) for n, each in enumerate(capacities)]
    search[0] = baseline()
    took = {configuration(4): Usage(memory_bytes=3e9)}
    again = [
        replace(each, usage=took.get(each.configuration, Usage(memory_bytes=2e9)))
        for each in finals(capacities)
    ]

    result = standings(studies.study([*search, *again]))

    assert recommended(result) == ONE
    assert result.advantage == Advantage(Cost.MEMORY, own=2e9, fastest=3e9)


def test_a_tie_with_the_defaults_changes_nothing() -> None:
    """No change is the simplest of all, whatever it takes."""
    again = finals({DEFAULTS: (400.0, 396.0, 400.0), ONE: (408.0, 404.0, 408.0)})
    took = {DEFAULTS: Usage(memory_bytes=9e9), ONE: Usage(memory_bytes=1e9)}
    used = [replace(each, usage=took[each.configuration]) for each in again]

    result = standings(studies.study([baseline(), trial(3, 400.0), *used]))

    assert recommended(result) == DEFAULTS
    assert tied(result) == [ONE]
    assert known(result.gain).estimate == 1.0
    assert not known(result.gain).decided


def test_defaults_that_measured_much_less_are_not_kept() -> None:
    """Over 10 % less, though it is not proved: starts scatter."""
    result = after_finals({DEFAULTS: (250.0, 400.0, 300.0), ONE: (420.0, 390.0, 410.0)})

    assert (recommended(result), tied(result)) == (ONE, [DEFAULTS])
    assert not known(result.gain).decided


def test_only_the_tied_are_recommended() -> None:
    """A simpler configuration that is proved to carry less stays behind."""
    result = after_finals(
        {DEFAULTS: (150.0, 150.0, 150.0), FOUR: (400.0, 400.0, 400.0), ONE: (360.0, 360.0, 360.0)}
    )

    assert recommended(result) == FOUR
    assert result.tied == ()
    assert all(lead.proved for lead in result.leads)


def test_a_tie_is_no_reason_to_give_up_much() -> None:
    """A simpler one that is tied because starts scatter, and measured 8 % less, stays behind."""
    result = after_finals(
        {DEFAULTS: (150.0, 150.0, 150.0), FOUR: (400.0, 440.0, 380.0), ONE: (380.0, 360.0, 385.0)}
    )

    assert tied(result) == [ONE]
    assert recommended(result) == FOUR
    assert result.advantage is None


def test_nothing_that_measured_less_than_the_baseline_is_recommended() -> None:
    """Of a finalist with a start too few little is proved, not even that the baseline beats it."""
    capacities = {
        DEFAULTS: (100.0, 100.0, 100.0),
        FOUR: (101.0, 101.0, 101.0),
        ONE: (99.0, 99.0, 99.0),
    }
    exact = [replace(each, log_error=0.001) for each in finals(capacities)]
    spoiled = replace(exact[-1], state=TrialState.FAILED, reason=Reason.INTERRUPTED)
    search = [baseline(90.0), trial(1, 101.0, configuration=FOUR)]

    result = standings(studies.study([*search, *exact[:-1], spoiled]))

    assert (recommended(result), tied(result)) == (FOUR, [ONE])
    assert known(result.gain).proved


def test_nobody_wins_by_missing_a_slow_round() -> None:
    """The plain mean of fewer starts may be the highest; what counts is the average round."""
    missed, better = configuration(1), BEST
    capacities = {
        DEFAULTS: (50.0, 50.5, 49.5, 17.0),
        better: (120.0, 121.0, 119.0, 40.0),
        missed: (100.0, 101.0, 99.0, 33.0),
    }
    *kept, last = finals(capacities)
    spoiled = replace(last, state=TrialState.FAILED, reason=Reason.CLIENT_OVERLOADED)
    search = [baseline(), trial(1, 400.0, configuration=BEST)]

    result = standings(studies.study([*search, *kept, spoiled]))

    assert recommended(result) == better
    assert order(result) == [better, missed, DEFAULTS]
    assert result.ranked[0].throughput == pytest.approx((120 * 121 * 119 * 40) ** 0.25)
    assert result.leads[0].estimate == pytest.approx(1.2, rel=0.01)
    assert result.leads[0].proved
    assert result.baseline == result.ranked[2]


def test_a_tie_of_the_search_alone_goes_to_the_fastest() -> None:
    """Without fresh starts the highest throughput wins, and the tie is told."""
    search = [baseline(), trial(2, 400.0), trial(3, 396.0)]

    result = standings(studies.study(search))

    assert recommended(result) == FOUR
    assert tied(result) == [ONE]
    assert not any(lead.proved for lead in result.leads)


def test_a_larger_family_needs_surer_differences() -> None:
    """Among six finalists the same difference proves less than between two: Holm's correction."""
    pair = {DEFAULTS: (100.0, 100.0, 100.0), configuration(1): (103.4, 103.4, 103.4)}
    others = {configuration(n): (50.0, 50.0, 50.0) for n in range(2, 6)}

    alone, among = after_finals(pair), after_finals(pair | others)

    # Of the fifteen pairs, the eight of one of these two with one of the four are surer.
    assert alone.leads[0].p_value == pytest.approx(0.00633, rel=0.01)
    assert among.leads[0].p_value == pytest.approx(7 * alone.leads[0].p_value)
