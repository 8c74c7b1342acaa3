"""Studies with many trials are read as far as somebody wants to see them."""

import random
from dataclasses import replace
from typing import Any

import pytest

from tests.report import studies
from tests.store.test_storage import stored, write
from tuner.analysis.pareto import trade_off
from tuner.analysis.standings import standings
from tuner.goals import Loop
from tuner.records import PointRecord, StudyRecord, TrialState
from tuner.store.storage import Storage


def test_in_brief_it_has_what_its_result_takes(place: str) -> None:
    """Load points, verdicts, statistics and files are left out; the winner is the same."""
    night = studies.night()
    stored(place, night)
    with Storage(place) as storage:
        brief = storage.study(night.name, brief=True)

    found, winner = standings(brief).winner, standings(night).winner
    assert found
    assert winner
    assert found == replace(winner, trial=brief.trials[winner.trial.number])
    for left, whole in zip(brief.trials, night.trials, strict=True):
        assert left == replace(
            whole, points=(), verdicts={}, statistics=left.statistics, export=""
        )
        assert left.statistics.requests == 0


@pytest.mark.parametrize("trials", [False, True])
def test_some_trials_are_read_in_full(place: str, *, trials: bool) -> None:
    """The others stay as they are, or away."""
    night = studies.night()
    stored(place, night)
    with Storage(place) as storage:
        read = storage.study(night.name, brief=True, trials=trials)
        full = storage.in_full(read, [3, 1])

    known = {trial.number: trial for trial in full.trials}
    assert list(known) == (list(range(len(night.trials))) if trials else [1, 3])
    assert (known[1], known[3]) == (night.trials[1], night.trials[3])


def rough(seed: int, arrivals: Loop) -> StudyRecord:
    """A study whose load points are many, alike, and some of them no part of the front."""
    chance = random.Random(seed)

    def point() -> PointRecord:
        closed = chance.random() < 0.4
        return studies.point(
            chance.randint(1, 40),
            chance.choice((0.01, 0.02, 0.03, 0.05, 0.08))
            if chance.random() < 0.9
            else float("inf"),
            kind="closed" if closed else "open",
            phase=chance.choice(("search", "saturation")),
            stopped_early=chance.choice(("", "", "", "overload")),
        )

    trials = [
        studies.trial(
            number,
            100.0,
            state=chance.choice(tuple(TrialState)),
            points=tuple(point() for _ in range(6)),
        )
        for number in range(30)
    ]
    return replace(studies.study(trials), name=f"rough-{seed}", arrivals=arrivals)


@pytest.mark.parametrize("arrivals", list(Loop))
def test_the_database_finds_the_front(place: str, arrivals: Loop) -> None:
    """With the trials that it names alone, the front is that of the whole study."""
    for seed in range(5):
        study = rough(seed, arrivals)
        write(place, [study])
        with Storage(place) as storage:
            head = storage.study(study.name, trials=False)
            found = storage.front_trials(head)
            few = storage.in_full(head, found)

        front = _places(study)
        assert {number for number, *_ in front} <= found
        assert found < {trial.number for trial in study.trials}
        assert _places(few) == front


def _places(study: StudyRecord) -> list[tuple[Any, ...]]:
    """Of the front, as far as they can be compared: a NaN is not equal to itself."""
    return [(p["trial"], p["throughput"], p["latency_ms"]) for p in trade_off(study)]
