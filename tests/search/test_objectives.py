"""A search with several objectives."""

import math
from typing import Any

import optuna  # noqa: TID251 - looks into the tables that its door wrote
import pytest

from tests.search.test_search import crashed, optunas, run, search
from tests.spaces import integer, space
from tuner.goals import Objective
from tuner.records import TrialState, Usage
from tuner.search.samplers import Sampler
from tuner.space.space import Configuration

BOTH = (Objective.THROUGHPUT, Objective.LATENCY)
# More threads carry more, and answer later; `other` does no good.
SPACE = space(integer("threads", high=30), integer("other", high=30))


def server(configuration: Configuration) -> dict[str, Any]:
    threads, other = int(configuration["threads"]), int(configuration["other"])
    waste = 1 + 0.1 * (other - 1)
    return {"throughput": 10 * threads / waste, "reference_s": 1e-3 * threads * waste}


def test_values_in_their_order(url: str) -> None:
    """Optuna is told of every objective, and in which direction it is better."""
    objectives = (Objective.LATENCY, Objective.THROUGHPUT, Objective.MEMORY)
    started = search(SPACE, url, objectives=objectives)

    facts = {"throughput": 70.0, "reference_s": 0.01, "usage": Usage(memory_bytes=2e9)}
    list(run(started, lambda _: facts, 1))

    study = optuna.load_study(study_name="study", storage=url)
    assert study.trials[0].values == [0.01, 70.0, 2e9]
    assert [d.name for d in study.directions] == ["MINIMIZE", "MAXIMIZE", "MINIMIZE"]


def test_what_was_not_measured_is_the_worst_yet(url: str) -> None:
    """Unknown and infinite values, and all those of a failed trial, are the worst seen so far."""
    outcomes = iter(
        [
            {"throughput": 50.0},
            {"throughput": 60.0, "reference_s": 0.02},
            {"throughput": 70.0, "reference_s": 0.03},
            {"throughput": 80.0, "reference_s": math.inf},
            {"throughput": 90.0, "reference_s": 0.01},
            {**crashed(), "throughput": 500.0, "reference_s": 0.001},
            {"state": TrialState.INFEASIBLE, "reference_s": 0.04},
            {"throughput": 60.0},
        ]
    )

    list(run(search(SPACE, url, objectives=BOTH), lambda _: next(outcomes), 8))

    told = optunas(url)
    assert [t.values for t in told] == [
        [50.0, 1.0],
        [60.0, 0.02],
        [70.0, 0.03],
        [80.0, 0.03],
        [90.0, 0.01],
        [0.0, 0.03],
        [0.0, 0.04],
        [60.0, 0.04],
    ]
    assert [t.constraints["crash"] for t in told] == [-1, -1, -1, -1, -1, 1, -1, -1]
    assert {t.state for t in told} == {optuna.trial.TrialState.COMPLETE}


def test_steps_start_from_all_of_the_front() -> None:
    """Small steps begin at each member of the Pareto front in turn, never at a worse one."""
    started = search(SPACE, objectives=BOTH, local_steps=100)
    front = [Configuration.of({"threads": n, "other": 1}) for n in (5, 15, 25)]
    worse = Configuration.of({"threads": 10, "other": 20})
    for configuration in (*front, worse):
        started.enqueue(configuration)
    list(run(started, server, 4))
    constant = iter([{"throughput": 1.0, "reference_s": 9.0}] * 6)

    stepped = [t.configuration for t in run(started, lambda _: next(constant), 6)]

    assert sorted(
        at for c in stepped for at, base in enumerate(front) if distance(c, base) <= 2
    ) == [0, 0, 1, 1, 2, 2]


def distance(a: Configuration, b: Configuration) -> int:
    return sum(abs(int(a[name]) - int(b[name])) for name in a)


def test_finds_much_of_the_front() -> None:
    """On a space with a simple front, members of it are found again and again, far apart.

    Of the 30 members 20 to 25 were found in each of 8 seeds, from 1..5 to 29 or 30; a random
    search finds 0 to 6. Only the sum over seeds is asserted: one path of a sampler is luck.
    """
    counts, widths = [], []
    for seed in range(3):
        trials = run(search(SPACE, seed=seed, objectives=BOTH), server, 80)
        tried = [trial.configuration for trial in trials]
        found = {int(c["threads"]) for c in tried if c["other"] == 1}
        counts.append(len(found))
        widths.append(max(found) - min(found))

    assert sum(counts) >= 3 * 12
    assert sum(widths) >= 3 * 15


@pytest.mark.parametrize("sampler", [Sampler.RANDOM, Sampler.EXHAUSTIVE])
def test_other_samplers_take_several_objectives(sampler: Sampler) -> None:
    """Samplers that do not learn take any objectives."""
    trials = list(run(search(SPACE, objectives=BOTH, sampler=sampler), server, 20))

    assert len({t.configuration for t in trials}) == 20
