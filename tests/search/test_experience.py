"""What the trials so far say."""

import math
from dataclasses import replace
from typing import Any

import pytest

from tests.report import studies
from tests.spaces import choice, integer, space
from tuner.errors import Reason
from tuner.goals import Objective
from tuner.records import TrialRecord, TrialState
from tuner.search.experience import Experience
from tuner.search.promise import Prospects
from tuner.space.space import Configuration

SPACE = space(integer("n", high=40))
BOTH = (Objective.THROUGHPUT, Objective.LATENCY)


def at(n: int) -> Configuration:
    return Configuration.of({"n": n})


def trial(n: int, throughput: float = 0.0, **facts: Any) -> TrialRecord:
    known: dict[str, Any] = {"configuration": at(n), "throughput": throughput, "points": ()}
    return studies.trial(0, **(known | facts))


def crashed(n: int) -> TrialRecord:
    return trial(n, state=TrialState.FAILED, reason=Reason.CRASHED)


def experience(*trials: TrialRecord, objectives: tuple[Objective, ...] = BOTH[:1]) -> Experience:
    told = Experience(SPACE, studies.BUDGET, objectives)
    for each in trials:
        told.learn(each)
    return told


def promise(told: Experience) -> float:
    return told.promise(Prospects(SPACE, tuple(SPACE.grid())), set())


def test_the_first_record_counts() -> None:
    """Of several trials of one configuration, the first is remembered."""
    told = experience(trial(1, 50.0), trial(1, 70.0))

    assert told.values([trial(1, 60.0)]) == [[60.0]]
    found = told.of(at(1))
    assert found is not None
    assert found.throughput == 50.0
    assert told.of(at(2)) is None


def test_the_best_come_first() -> None:
    """Feasible configurations by their throughput; what is not feasible is not there."""
    told = experience(
        trial(1, 50.0),
        trial(2, 90.0),
        trial(3, 70.0),
        trial(4, 99.0, state=TrialState.PRUNED),
        trial(5, state=TrialState.INFEASIBLE),
        crashed(6),
    )

    assert list(told.best()) == [at(2), at(3), at(1)]


def test_the_front_takes_turns() -> None:
    """With several objectives each member of the front is first once, the others come after it."""
    told = experience(
        trial(1, 50.0, reference_s=0.01),
        trial(2, 90.0, reference_s=0.03),
        trial(3, 70.0, reference_s=0.02),
        trial(4, 60.0, reference_s=0.04),
        objectives=BOTH,
    )
    rounds = [list(told.best()) for _ in range(3)]

    assert {each[0] for each in rounds} == {at(1), at(2), at(3)}
    assert all(each[3] == at(4) for each in rounds)


def test_regions_are_learned() -> None:
    """Two failures make a region, three a sure one, a success among them none."""
    told = experience(trial(1, 50.0), trial(10, 60.0), crashed(30))
    seen = [(told.crashes(at(35)), told.surely_crashes(at(35)))]
    for each in (crashed(32), crashed(40), trial(35, 10.0)):
        told.learn(each)
        seen.append((told.crashes(at(36)), told.surely_crashes(at(36))))

    assert seen == [(False, False), (True, False), (True, True), (False, False)]
    assert not told.crashes(at(20))


def test_promise_needs_trials() -> None:
    """Nothing is promised before ten trials have a throughput, pruned ones among them."""
    nine = [trial(n, 10.0 * n) for n in range(1, 10)]

    assert promise(experience(*nine)) == math.inf
    assert promise(experience(*nine, trial(20, state=TrialState.INFEASIBLE))) == math.inf
    assert promise(experience(*nine, crashed(20))) == math.inf
    assert 0 < promise(experience(*nine, trial(10, 80.0, state=TrialState.PRUNED))) < 1
    assert 0 < promise(experience(*nine, trial(10, 100.0))) < 1
    assert promise(experience(*nine, trial(10, 100.0), objectives=BOTH)) == math.inf


def test_a_likely_crash_promises_less() -> None:
    """What lies where trials crashed promises less by the chance that it crashes as well."""
    twins = space(integer("n", high=40), choice("a", "b"))
    told = Experience(twins, studies.BUDGET, BOTH[:1])
    trials = [
        *(trial(n, 100.0 + n, configuration=twins.activate({"n": n})) for n in range(1, 11)),
        *(
            replace(crashed(n), configuration=twins.activate({"n": n, "mode": "b"}))
            for n in (1, 2)
        ),
    ]
    for each in trials:
        told.learn(each)
    beside, inside = (twins.activate({"n": 20, "mode": mode}) for mode in "ab")
    prospects = Prospects(twins, [beside, inside])

    plain, expected = prospects.expected(trials, set()), told.expected(prospects, set())

    assert plain[inside] > 0
    assert expected[beside] == pytest.approx(plain[beside])
    assert expected[inside] == pytest.approx(plain[inside] * (1 - 3 / 4), abs=0)


def test_too_few_trials_for_a_model() -> None:
    """With four trials nothing is expected of anybody; with five, it is."""
    prospects = Prospects(SPACE, [at(20)])
    trials = [trial(n, 10.0 * n) for n in range(1, 6)]

    assert experience(*trials[:4]).expected(prospects, set()) == {}
    assert experience(*trials).expected(prospects, set()).keys() == {at(20)}
