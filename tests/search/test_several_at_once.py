"""Proposals while others run: on a fleet, several are asked for before any is told."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analysis.known import known
from tests.search.test_search import SERVER, crashed, optunas, record, search, server, throughput
from tests.spaces import choice, integer, space, spaces
from tuner.goals import Objective
from tuner.search.samplers import Sampler
from tuner.search.search import Proposal
from tuner.space.space import SearchSpace

AT_ONCE = 7
TRIALS = 40


@settings(max_examples=10, deadline=None, derandomize=True)
@given(
    spaces(),
    st.sampled_from(Sampler),
    st.sampled_from([(Objective.THROUGHPUT,), (Objective.THROUGHPUT, Objective.LATENCY)]),
    st.integers(0, 5),
)
def test_none_comes_twice(
    any_space: SearchSpace, sampler: Sampler, objectives: tuple[Objective, ...], seed: int
) -> None:
    """Whatever the space and the sampler, and in whichever order they end; all are proposed."""
    if any_space.size is None:
        sampler = Sampler.TPE
    started = search(any_space, seed=seed, sampler=sampler, objectives=objectives)
    chance = random.Random(seed)
    running: list[Proposal] = []
    proposed = set()
    for _ in range(TRIALS):
        while len(running) < AT_ONCE and (proposal := started.ask()) is not None:
            assert proposal.configuration not in proposed
            assert any_space.violations(proposal.configuration) == ()
            proposed.add(proposal.configuration)
            running.append(proposal)
        if not running:
            break
        ended = running.pop(chance.randrange(len(running)))
        facts = throughput(chance.uniform(1, 9)) if chance.random() < 0.7 else crashed()
        started.tell(ended.number, record(ended, **facts))

    assert any_space.size is None or len(proposed) >= min(TRIALS, any_space.size)


def test_each_is_told_under_its_own_number(url: str) -> None:
    """The last one that began ends first; the tables say of each what came of it."""
    started = search(SERVER, url)
    running = [known(started.ask()) for _ in range(4)]

    for proposal in reversed(running):
        started.tell(proposal.number, record(proposal, throughput=10.0 + proposal.number))

    assert [t.value for t in optunas(url)] == [10.0, 11.0, 12.0, 13.0]


def test_what_runs_still_promises_something() -> None:
    """All that is left runs: what promised most may still come of it, until it is told."""
    small = space(integer("instances", high=12), choice("a", name="name"))
    started = search(small)
    configurations = sorted(small.grid(), key=lambda c: int(c["instances"]))
    for configuration in configurations:
        started.enqueue(configuration)
    running = [known(started.ask()) for _ in configurations]
    for proposal in running[:-1]:
        value = 100.0 * int(proposal.configuration["instances"])
        started.tell(proposal.number, record(proposal, throughput=value))

    assert started.promise() > 0.05
    started.tell(running[-1].number, record(running[-1], throughput=1200.0))
    assert started.promise() == 0.0


@pytest.mark.parametrize("sampler", [Sampler.TPE, Sampler.RANDOM])
def test_several_that_were_lost_come_first_and_once(url: str, sampler: Sampler) -> None:
    """A driver died with one told, one recorded but not told, and three that ran."""
    killed = search(SERVER, url, sampler=sampler)
    told, recorded, *lost = (known(killed.ask()) for _ in range(5))
    records = [record(each, **server(each.configuration)) for each in (told, recorded)]
    killed.tell(told.number, records[0])
    again = search(SERVER, url, seed=1, sampler=sampler)

    again.resume({told.number: records[0], recorded.number: records[1]})
    after = [known(again.ask()).configuration for _ in range(20)]

    assert after[:3] == [each.configuration for each in lost]
    assert len({*after, told.configuration, recorded.configuration}) == 22
