"""Which parameters mattered: how often what is said of simulated studies is true."""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tests.analysis.test_effects import SWITCHES, TRUTH, grid, log_capacity, shown, study, trial
from tuner.analysis.effects import Judgement, effects
from tuner.records import StudyRecord, TrialRecord, TrialState


@dataclass(frozen=True)
class World:
    """How synthetic studies come about.

    `tried` of the 16 configurations are measured, with an error of `error`. Each has its own part
    that does not add up (`lack`), and every pair of switches works together (`pairs`), which
    leaves the main effects as they are; all are standard deviations. A beaten one is stopped with
    the chance `stopped`, somewhere between what it carries and the best.
    """

    tried: int = 16
    error: float = 0.03
    lack: float = 0.0
    pairs: float = 0.0
    stopped: float = 0.0

    def study(self, seed: int) -> StudyRecord:
        random = np.random.default_rng(seed)
        order = [0, *(1 + random.permutation(15)[: self.tried - 1]).tolist()]
        together = {pair: random.normal(0, 1) for pair in itertools.combinations(SWITCHES, 2)}
        trials: list[TrialRecord] = []
        best = -math.inf
        for number, row in enumerate(grid()[n] for n in order):
            log = log_capacity(row) + self.lack * random.normal()
            for (one, other), size in together.items():
                log += self.pairs * size * (int(row[one]) - 0.5) * (int(row[other]) - 0.5)
            error = self.error * random.uniform(0.5, 1.5)
            log += error * random.normal()
            wishes: dict[str, Any] = {"log_error": error}
            if log < best - 0.05 and random.random() < self.stopped:
                log += random.random() * (best - log)
                wishes = {"state": TrialState.PRUNED, "log_error": math.inf}
            else:
                best = max(best, log)
            trials.append(trial(number, math.exp(log), row, **wishes))
        return study(trials)


@pytest.mark.parametrize(
    "world",
    [
        World(lack=0.15),
        World(lack=0.1, tried=10),
        World(lack=0.03, pairs=0.15, tried=11),
        World(lack=0.1, stopped=0.5),
    ],
    ids=["interactions", "few", "pairs", "pruned"],
)
def test_intervals_hold_the_truth_and_little_is_praised_wrongly(world: World) -> None:
    """Of 120 studies, 95 % of the intervals hold the truth, 5 % praise wrongly, most find it.

    Chance moves the first share by 1 % (standard deviation). Bounds, and pairs that work together
    in so small a grid, make it larger than 95 %.
    """
    holds, praised, discovered = [], 0, 0
    for seed in range(120):
        found = effects(world.study(seed))
        for each in found.effects:
            if each.ratio:
                low, _, high = shown(each)
                holds.append(low <= math.exp(TRUTH[each.parameter]) <= high)
        helped = {each.parameter for each in found.of(Judgement.HELPED)}
        praised += bool(helped - {"a"})
        discovered += "a" in helped

    assert len(holds) > 440
    assert sum(holds) / len(holds) >= 0.925
    assert praised <= 0.05 * 120
    assert discovered >= 0.75 * 120
