"""Which configuration is tried next, with real Optuna storage."""

import logging
import math
import random
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna  # noqa: TID251 - looks into the tables that its door wrote
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.report import studies
from tests.spaces import choice, integer, real, space, spaces, switch
from tuner.errors import Reason
from tuner.records import TrialRecord, TrialState
from tuner.search.search import Proposal, Search
from tuner.space.space import Configuration, SearchSpace

SERVER = space(
    integer("instances", high=8, log=True, default=1),
    switch("batching"),
    integer("size", when="batching", low=2, high=64, log=True, default=16),
    choice(0, 100, 500, 1000, 2000, 5000, name="delay", when="batching"),
    integer("threads", high=8, log=True, default=8),
    choice("system", "jemalloc", "tcmalloc", name="allocator"),
    rules=("instances * threads <= 16",),
    hints=({"batching": True}, {"instances": 8, "threads": 1}),
)

Outcome = Callable[[Configuration], dict[str, Any]]


def search(space: SearchSpace, url: str | None = None, *, seed: int = 0, **facts: Any) -> Search:
    return Search(space, studies.BUDGET, storage_url=url, study_name="study", seed=seed, **facts)


def record(proposal: Proposal, **facts: Any) -> TrialRecord:
    return studies.trial(
        proposal.number,
        configuration=proposal.configuration,
        proposal=proposal.number,
        points=(),
        **facts,
    )


def throughput(value: float) -> dict[str, Any]:
    return {"throughput": value}


def crashed() -> dict[str, Any]:
    return {"state": TrialState.FAILED, "reason": Reason.CRASHED, "unloaded_s": math.nan}


def server(configuration: Configuration) -> dict[str, Any]:
    """Something like a model server on eight cores: more of everything helps, but only so far."""
    instances, threads = int(configuration["instances"]), int(configuration["threads"])
    size = float(configuration.get("size", 1))
    delay_s = float(configuration.get("delay", 0)) * 1e-6
    speed = min(8, instances * threads) / (1 + 0.3 * (threads - 1))
    filled = max(1.0, size * (1 - 0.6 * math.exp(-delay_s / 1e-3))) if size > 1 else 1.0
    latency_s = (2e-3 + 1e-3 * size) * 3 + 2 * delay_s
    if instances * size > 256:
        return crashed()
    if latency_s > 0.1:
        return {"state": TrialState.INFEASIBLE, "unloaded_s": latency_s}
    allocator = {"system": 0.93, "jemalloc": 1.0, "tcmalloc": 0.97}[
        str(configuration["allocator"])
    ]
    return throughput(
        allocator * speed * filled / (2e-3 + 1e-3 * filled) * (1 - (latency_s / 0.1) ** 2)
    )


def run(search: Search, outcome: Outcome, trials: int) -> Iterator[TrialRecord]:
    """Ask and tell until the search has nothing left, `trials` times at most."""
    for _ in range(trials):
        proposal = search.ask()
        if proposal is None:
            return
        told = record(proposal, **outcome(proposal.configuration))
        search.tell(proposal.number, told)
        yield told


def optunas(url: str) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="study", storage=url).get_trials()


def test_what_was_enqueued_comes_first(url: str) -> None:
    """The baseline and the hints are proposed before anything else, in their order, once."""
    wanted = [SERVER.defaults, *map(SERVER.activate, SERVER.hints)]
    started = search(SERVER, url)

    for configuration in (*wanted, wanted[0]):
        started.enqueue(configuration)
    proposed = [t.configuration for t in run(started, server, 5)]

    assert proposed[:3] == wanted
    assert len(set(proposed)) == 5


def test_what_is_enqueued_first_comes_before_that(url: str) -> None:
    """What a measurement suggests is tried before the next rule of thumb."""
    started = search(SERVER, url)
    hint, advice = (SERVER.activate({"batching": True, "size": size}) for size in (4, 8))
    started.enqueue(hint)
    started.enqueue(advice, first=True)
    assert [t.configuration for t in run(started, server, 2)] == [advice, hint]


def test_what_breaks_a_rule_is_not_enqueued(url: str) -> None:
    """A hint that does not fit this machine is passed over."""
    started = search(SERVER, url)

    started.enqueue(SERVER.activate({"instances": 8, "threads": 8}))
    started.enqueue(SERVER.defaults)

    assert next(run(started, server, 1)).configuration == SERVER.defaults


@settings(max_examples=12, deadline=None, derandomize=True)
@given(spaces(), st.integers(0, 5))
def test_proposals_are_valid_and_new(any_space: SearchSpace, seed: int) -> None:
    """Whatever the space: rules, conditions and domains hold, and nothing comes twice."""
    outcomes = random.Random(seed)

    def outcome(_: Configuration) -> dict[str, Any]:
        facts = [throughput(outcomes.uniform(1, 9)), crashed(), {"state": TrialState.INFEASIBLE}]
        return outcomes.choice(facts)

    proposed = [t.configuration for t in run(search(any_space, seed=seed), outcome, 16)]

    assert len(set(proposed)) == len(proposed)
    for configuration in proposed:
        assert configuration == any_space.activate(configuration)
        assert any_space.violations(configuration) == ()
        assert all(any_space[name].accepts(value) for name, value in configuration.items())
    if any_space.size is not None:
        assert len(proposed) == min(16, any_space.size)


def test_ends_where_the_rules_leave_little(url: str) -> None:
    """A space too large to count, of which the rules leave two configurations, ends as well."""
    strict = space(
        integer("a", high=1000),
        integer("b", high=1000),
        rules=("a == 1", "b <= 2"),
    )
    started = search(strict, url)
    started.enqueue(strict.defaults)

    proposed = [dict(t.configuration) for t in run(started, lambda _: throughput(1.0), 10)]

    assert strict.size is None
    assert proposed == [{"a": 1, "b": 1}, {"a": 1, "b": 2}]


def test_a_rule_that_leaves_a_sliver(url: str) -> None:
    """Where nearly every draw breaks a rule, what is left is found all the same."""
    sliver = space(real(low=0.0, default=0.0), integer(high=4), rules=("x < 0.01",))

    proposed = list(run(search(sliver, url), lambda _: crashed(), 4))

    assert len(proposed) == 4
    assert all(float(t.configuration["x"]) < 0.01 for t in proposed)


def test_proposals_that_wait_are_not_repeated(url: str) -> None:
    """Whoever asks several times before telling gets different configurations."""
    started = search(space(integer(high=3), switch()), url)

    proposals = [started.ask() for _ in range(7)]

    assert len({p.configuration for p in proposals if p}) == 6
    assert proposals[6] is None


def test_a_crash_is_told_with_a_constraint(url: str) -> None:
    """Optuna gets a crash as a complete trial without throughput that violates `crash`."""
    outcomes = iter(
        [
            throughput(100.0),
            crashed(),
            {"state": TrialState.INFEASIBLE, "unloaded_s": 0.1},
            {"state": TrialState.INFEASIBLE, "unloaded_s": 0.001},
            {"state": TrialState.INFEASIBLE, "unloaded_s": math.nan},
            {"state": TrialState.PRUNED, "throughput": 50.0},
        ]
    )

    list(run(search(space(integer(high=50)), url), lambda _: next(outcomes), 6))

    told = optunas(url)
    assert {t.state for t in told} == {optuna.trial.TrialState.COMPLETE}
    assert [t.value for t in told] == [100.0, 0.0, 0.0, 0.0, 0.0, 50.0]
    assert [sorted(t.constraints) for t in told] == [["0", "1", "crash", "latency"]] * 6
    assert [t.constraints["crash"] for t in told] == [-1, 1, -1, -1, -1, -1]
    assert [t.constraints["latency"] for t in told] == pytest.approx(
        [-1, 1, math.log(2), 0.01, 1, -1]
    )


def test_what_a_dashboard_shows(url: str) -> None:
    """Parameters have their values, not only places; a trial says how it ended."""
    outcomes = iter([throughput(100.0), {"state": TrialState.INFEASIBLE, "unloaded_s": 0.1}])

    told = list(run(search(SERVER, url), lambda _: next(outcomes), 2))

    shown = optunas(url)
    assert [t.user_attrs for t in shown] == [
        {**each.configuration, "state": each.state.value} for each in told
    ]
    # As optuna-dashboard 0.21 reads them: all must be up to 0.
    assert [max(t.system_attrs["constraints"]) <= 0 for t in shown] == [True, False]


def test_a_dashboard_shows_why_one_failed(url: str) -> None:
    """The reason stands beside the state."""
    list(run(search(SERVER, url), lambda _: crashed(), 1))

    assert [t.user_attrs["state"] for t in optunas(url)] == ["failed: crashed"]


@pytest.mark.parametrize("reason", [Reason.CLIENT_OVERLOADED, Reason.INTERRUPTED])
def test_what_is_not_its_fault_is_not_learned(url: str, reason: Reason) -> None:
    """A trial that the tuner itself spoiled says nothing to the sampler, and is not repeated."""
    started = search(space(integer(high=2)), url)

    spoiled = list(run(started, lambda _: {"state": TrialState.FAILED, "reason": reason}, 3))

    assert len({t.configuration for t in spoiled}) == len(spoiled) == 2
    assert {t.state for t in optunas(url)} == {optuna.trial.TrialState.FAIL}


def test_finds_the_best_far_sooner_than_chance() -> None:
    """On a model of a server, the search needs far fewer trials than drawing does."""
    valid = list(SERVER.grid())
    good = 0.95 * max(value(c) for c in valid)
    firsts = [SERVER.defaults, *map(SERVER.activate, SERVER.hints)]
    needed, needed_by_chance = [], []
    for seed in range(5):
        started = search(SERVER, seed=seed)
        for configuration in firsts:
            started.enqueue(configuration)
        needed.append(needed_trials((t.throughput for t in run(started, server, 60)), good))
    for seed in range(200):
        drawn = firsts + random.Random(seed).sample(valid, len(valid))
        needed_by_chance.append(needed_trials(map(value, drawn), good))

    assert statistics.mean(needed) < 0.25 * statistics.mean(needed_by_chance)
    assert max(needed) <= 60


def value(configuration: Configuration) -> float:
    found = server(configuration).get("throughput", 0.0)
    assert isinstance(found, float)
    return found


def needed_trials(throughputs: Iterator[float], good: float) -> int:
    return next((n for n, each in enumerate(throughputs, 1) if each >= good), 100)


@pytest.mark.parametrize(
    "any_space",
    [
        space(real(low=0.5, high=8.0, default=1.0, log=True), real("y", low=-1.0, high=1.0)),
        space(real(low=0.5, high=8.0, default=1.0, step=0.25), switch()),
        space(real(low=2.0, high=2.0, default=2.0), integer(high=40)),
    ],
)
def test_real_numbers(any_space: SearchSpace) -> None:
    """Parameters without a step, with a logarithm, on a grid or with one value: all in bounds."""
    proposed = list(run(search(any_space), lambda c: throughput(float(c["x"])), 30))

    assert len({t.configuration for t in proposed}) == 30
    assert all(any_space["x"].accepts(t.configuration["x"]) for t in proposed)
    assert all(type(t.configuration["x"]) is float for t in proposed)


def test_small_steps_find_a_real_optimum() -> None:
    """Without any grid, the best value of two real parameters is approached."""
    plane = space(real("x"), real("y", low=1.0, high=100.0, default=1.0, log=True))

    def hill(c: Configuration) -> dict[str, Any]:
        x, y = float(c["x"]), math.log10(float(c["y"])) / 2
        return throughput(100 * math.exp(-((x - 0.8) ** 2) - (y - 0.7) ** 2))

    best = [max(t.throughput for t in run(search(plane, seed=s), hill, 25)) for s in range(4)]

    assert min(best) > 95


def test_one_seed_gives_one_sequence(tmp_path: Path) -> None:
    """The same seed and outcomes give the same proposals; another seed gives others."""
    sequences = [
        [
            t.configuration
            for t in run(search(SERVER, f"sqlite:///{tmp_path / name}", seed=seed), server, 14)
        ]
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]

    assert sequences[0] == sequences[1]
    assert sequences[0] != sequences[2]


def test_optuna_keeps_quiet(
    url: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """No warning or log line of Optuna reaches the user (warnings are errors in these tests)."""
    caplog.set_level(logging.WARNING, logger="optuna")
    logging.getLogger("optuna").propagate = True
    try:
        started = search(SERVER, url)
        started.enqueue(SERVER.defaults)
        list(run(started, server, 15))
        search(SERVER, url).resume({})
    finally:
        logging.getLogger("optuna").propagate = False

    assert caplog.records == []
    assert capfd.readouterr() == ("", "")
