"""What `compared` claims of two studies, against truths that are known."""

import math
import random
from dataclasses import replace

from tests.analysis.known import known
from tests.report import studies
from tests.report.studies import BEST, DEFAULTS, baseline, final
from tuner.analysis.standings import Ratio
from tuner.analysis.study_comparison import compared
from tuner.records import StudyRecord

PAIRS = 60
# Fresh starts scatter by 5 % (standard deviation), as on two shared cores.
SCATTER = 0.05


def measured(chance: random.Random, factor: float) -> StudyRecord:
    """Three rounds of finals of two configurations whose true capacities are known."""
    tried = [replace(baseline(150.0 * factor), points=())]
    for start in range(3):
        for configuration, truth in ((BEST, 400.0), (DEFAULTS, 150.0)):
            found = truth * factor * math.exp(chance.gauss(0.0, SCATTER))
            final_ = final(len(tried), configuration, found)
            tried.append(replace(final_, round=start, points=()))
    return studies.study(tried)


def ratios(factor: float) -> list[Ratio]:
    """Those of the winners of many pairs of studies, of which one carries `factor` as much."""
    chance = random.Random(1)
    pairs = [compared(measured(chance, 1.0), measured(chance, factor)) for _ in range(PAIRS)]
    return [known(pair.winners).ratio for pair in pairs]


def test_intervals_hold_the_truth() -> None:
    """At least as often as they say."""
    held = sum(each.low <= 1.1 <= each.high for each in ratios(1.1))

    assert held >= 0.95 * PAIRS


def test_equals_are_seldom_proved_to_differ() -> None:
    """In one case of twenty at most; what differs by 30 % is proved in most cases."""
    assert sum(each.proved for each in ratios(1.0)) <= 0.05 * PAIRS
    assert sum(each.proved for each in ratios(1.3)) >= 0.8 * PAIRS
