"""Whatever happens to the hosts of a fleet, and whatever is asked: what holds for every study."""

import math
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.simulated_fleet import Server, SimulatedHost, Trouble
from tests.fleet.fleets import Ran, Study, capacity
from tuner.errors import Reason, TunerError
from tuner.goals import SearchBudget
from tuner.records import Purpose, TrialState
from tuner.store.hosts import HostState
from tuner.store.jobs import Wanted

Asked = Sequence[tuple[float, Wanted]]
NIGHTS = 8
# One in which two configurations kill two hosts at once, again and again.
TWO_KILLERS = 121
# A study of these takes some 250 s.
_SOME_TIME_S = 250.0


def night(seed: int) -> Study:
    """Up to four hosts that come late, vanish, flap or fail; perhaps somebody ends it."""
    chance = random.Random(seed)
    killing = chance.random() < 0.3
    return Study(
        [
            _host(chance, f"h{number}", spoiling=not killing)
            for number in range(chance.randint(1, 4))
        ],
        server=Server(capacity, kills=lambda c: killing and c["n"] == 4),
        budget=SearchBudget(trials=12, timeout_s=2000.0, finalists=2, confirmations=2),
        asked=_asked(chance),
        seed=seed,
        sampler="random",
    )


def _host(chance: random.Random, name: str, *, spoiling: bool) -> SimulatedHost:
    troubles = [_trouble(chance) for _ in range(chance.choice([0, 0, 1, 3]))]
    joins_s = chance.choice([0.0, 0.0, chance.uniform(0, 150)])
    speed = chance.uniform(0.85, 1.1)
    spoils = _spoils(random.Random(speed)) if spoiling else {}
    return SimulatedHost(name, speed, joins_s, troubles, spoils=spoils)


def _spoils(chance: random.Random) -> dict[int, Reason | None]:
    reasons = (None, Reason.INTERRUPTED, Reason.CLIENT_OVERLOADED)
    often = chance.choice([0.0, 0.0, 0.4, 0.8])
    return {n: chance.choice(reasons) for n in range(8) if chance.random() < often}


def _trouble(chance: random.Random) -> Trouble:
    return Trouble(
        at_s=chance.uniform(0, _SOME_TIME_S),
        for_s=chance.choice([math.inf, chance.uniform(0.5, 5), chance.uniform(0.5, 120)]),
        unnoticed_s=chance.uniform(0, 25),
        says_late=chance.random() < 0.5,
    )


def _asked(chance: random.Random) -> Asked:
    at_s = chance.uniform(0, _SOME_TIME_S)
    later_s = at_s + chance.uniform(1, 60)
    return chance.choice(
        [
            (),
            ((at_s, Wanted.STOP),),
            ((at_s, Wanted.STOP_NOW),),
            ((at_s, Wanted.PAUSE), (later_s, Wanted.NOTHING)),
            ((at_s, Wanted.PAUSE), (later_s, Wanted.STOP)),
        ]
    )


@pytest.mark.parametrize("seed", [*range(NIGHTS), TWO_KILLERS])
def test_any_night(tmp_path: Path, seed: int) -> None:
    """No trial has two records, no number is left out, and there are finals if there is time."""
    study, path = night(seed), tmp_path / "studies.db"
    with suppress(TunerError):
        check(study.run(path), study.asked)


def check(ran: Ran, asked: Asked) -> None:
    """That a host had no two attempts at once, its fleet has seen to."""
    trials = ran.record.trials
    assert [trial.number for trial in trials] == list(range(len(trials)))
    begun = {attempt.number: (host, attempt.plan) for host, attempt in ran.fleet.begun}
    assert len({trial.attempt for trial in trials}) == len(trials)
    for trial in trials:
        host, plan = begun[trial.attempt]
        assert (trial.host, trial.number) == (host, plan.number)
        assert trial.purpose is plan.purpose or trial.reason is Reason.INTERRUPTED
        assert trial.configuration == plan.configuration
    purposes = Counter(trial.purpose for trial in trials)
    searched = Counter(t.configuration for t in ran.record.searched if t.proposal is not None)
    assert purposes[Purpose.BASELINE] == bool(purposes.keys() - {Purpose.DRIFT})
    assert max(searched.values(), default=1) == 1
    assert all(host.state is not HostState.MEASURING for host in ran.hosts.values())
    assert all(host.trial is None for host in ran.hosts.values())
    feasible = [t for t in ran.record.searched if t.state is TrialState.FEASIBLE]
    ended = any(wanted in (Wanted.STOP, Wanted.STOP_NOW) for _, wanted in asked)
    if feasible and not ended and "no host" not in "".join((ran.record.stopped, *ran.said)):
        assert purposes[Purpose.FINAL] >= 4
        assert 1 <= purposes[Purpose.PROOF] <= 3
