"""How often finals prove what is true, over many simulated ones."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tests.report import studies
from tests.report.studies import DEFAULTS, configuration
from tuner.analysis.standings import Standings, standings
from tuner.records import Purpose, TrialRecord, TrialState
from tuner.space.space import Configuration


def simulated(generator: np.random.Generator, capacities: Sequence[float]) -> Standings:
    """Finals of three rounds: 5 % from start to start, 10 % from round to round."""
    tried = (DEFAULTS, *map(configuration, range(1, len(capacities))))
    rounds = generator.normal(0.0, 0.10, (3, 1))
    starts = np.exp(rounds + generator.normal(0.0, 0.05, (3, len(tried)))) * np.array(capacities)
    search = [bare(n, Purpose.SEARCH, each, 100.0) for n, each in enumerate(tried)]
    search[0] = replace(search[0], purpose=Purpose.BASELINE)
    again = [
        bare(10 + number, Purpose.FINAL, each, float(starts[number, column]), number)
        for number in range(3)
        for column, each in enumerate(tried)
    ]
    return standings(studies.study([*search, *again]))


def bare(
    number: int, purpose: Purpose, tried: Configuration, throughput: float, round_number: int = 0
) -> TrialRecord:
    return TrialRecord(
        number=number,
        purpose=purpose,
        proposal=None,
        configuration=tried,
        state=TrialState.FEASIBLE,
        throughput=throughput,
        log_error=0.02,
        round=round_number,
        started_at=studies.BEGAN,
        finished_at=studies.BEGAN,
    )


def test_equals_are_rarely_proved_to_differ() -> None:
    """Of finals of four equal configurations, at most 5 % prove anything."""
    generator = np.random.default_rng(1)
    results = [simulated(generator, [100.0] * 4) for _ in range(2000)]

    wrong = sum(any(ratio.proved for ratio in (*r.leads, r.gain) if ratio) for r in results)

    assert wrong / len(results) <= 0.05


def test_a_gain_of_a_fifth_is_mostly_proved() -> None:
    """20 % more than three equals is found, proved and recommended in most finals."""
    generator = np.random.default_rng(2)
    results = [simulated(generator, [100.0, 100.0, 120.0, 100.0]) for _ in range(500)]

    proved = [r for r in results if r.gain and r.gain.proved]
    right = [r for r in proved if r.winner and r.winner.configuration == configuration(2)]

    assert len(proved) / len(results) > 0.6
    assert len(right) / len(proved) > 0.95
