"""A whole study in virtual time: what is tried, when it stops, the finals and the proof."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests import spaces
from tests.analysis.known import known
from tests.capacity.simulated_server import Batching, Instances, Simulation, constant
from tests.report import studies
from tests.study import simulated_bench
from tests.study.simulated_bench import Answer, Ran, Run, Server
from tuner.analysis import drift, standings
from tuner.errors import Reason, TunerError
from tuner.goals import LatencyBudget, Objective, SearchBudget
from tuner.records import (
    Comparison,
    Golden,
    Purpose,
    ServerStatistics,
    StudyRecord,
    TrialRecord,
    TrialState,
)
from tuner.space.settings import ConfigPath
from tuner.space.space import Configuration, SearchSpace
from tuner.store.storage import Storage
from tuner.study.continued_study import open_study
from tuner.study.loop import Study
from tuner.study.study_plan import StudyPlan
from tuner.study.trial import Bench, TrialPlan, run_trial

BUDGET = LatencyBudget(95, 0.05)
SPACE = spaces.space(
    spaces.integer("max_batch_size", low=1, high=64, default=1, log=True, reload=True),
    spaces.choice(0, 1000, 2000, 5000, name="delay_us"),
    hints=({"max_batch_size": 8},),
)
BEST = 32  # batches of 64 take longer than the limit allows


def batching(configuration: Configuration) -> Simulation | None:
    """Batches are cheap and waiting is not; a batch of 64 takes 68 ms."""
    size = int(configuration["max_batch_size"])
    each_s = 0.4e-3 if size < 64 else 1e-3
    return Batching(4e-3, each_s, size, delay_s=int(configuration["delay_us"]) / 1e6)


def ran(
    path: Path,
    *,
    server: Server = batching,
    space: SearchSpace = SPACE,
    trials: int = 14,
    timeout_s: float = 3600.0,
    record: StudyRecord | None = None,
    first: tuple[Configuration, ...] = (),
    lags_s: tuple[float, ...] = (),
    answer: Answer = lambda _: 1.0,
    confirmations: int = 3,
    budget: LatencyBudget = BUDGET,
    retry: Sequence[Reason] = (),
) -> Ran:
    """The study in the database at `path`, run or gone on with."""
    said: list[str] = []
    with (
        Storage(str(path), create=True) as storage,
        simulated_bench.simulated_bench(space, server, budget, lags_s, answer) as (
            bench,
            watcher,
        ),
    ):
        study = Study(
            open_study(storage, record or studies.study(budget=BUDGET)),
            bench=bench,
            storage=storage,
            plan=StudyPlan(
                space=space,
                budget=SearchBudget(
                    trials=trials, timeout_s=timeout_s, confirmations=confirmations
                ),
                seed=0,
                first=first,
                retry=retry,
            ),
            say=said.append,
        )
        return Ran(study.run(), watcher, said)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return partial(ran, tmp_path / "studies.db")


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A study as it mostly is."""
    return ran(tmp_path_factory.mktemp("usual") / "studies.db")


def test_a_study_finds_confirms_and_proves(usual: Ran) -> None:
    """Baseline, hints, search; three rounds of finals on fresh starts; then proofs."""
    purposes = [purpose for purpose, _ in usual.watcher.began]

    assert purposes[0] is Purpose.BASELINE
    assert usual.watcher.began[1][1]["max_batch_size"] == 8
    finals_began = purposes.index(Purpose.FINAL)
    assert set(purposes[1:finals_began]) == {Purpose.SEARCH}
    proofs_began = purposes.index(Purpose.PROOF)
    assert set(purposes[finals_began:proofs_began]) == {Purpose.FINAL}
    assert set(purposes[proofs_began:]) == {Purpose.PROOF}
    winner = known(standings.standings(usual.record).winner)
    assert winner.configuration["max_batch_size"] in (16, BEST)
    assert winner.confirmations == 3
    assert all(t.applied == "restart" for t in usual.record.finals)


def test_every_finalist_is_measured_once_a_round(usual: Ran) -> None:
    """The baseline among them, in another order each round, under the round's own arrivals."""
    rounds: dict[int, list[Configuration]] = {}
    seeds: dict[int, set[int]] = {}
    for trial in usual.record.finals:
        rounds.setdefault(trial.round, []).append(trial.configuration)
        seeds.setdefault(trial.round, set()).add(trial.seed)

    assert sorted(rounds) == [0, 1, 2]
    assert all(SPACE.defaults in each for each in rounds.values())
    assert len({frozenset(each) for each in rounds.values()}) == 1
    assert all(len(each) == len(set(each)) for each in rounds.values())
    assert all(len(each) == 1 for each in seeds.values())
    assert len(set.union(*seeds.values())) == 3


def test_an_exhaustive_search_gives_nothing_up(run: Run, usual: Ran) -> None:
    """Who asks for everything wants to see what each parameter does: no trial ends early."""
    asked = studies.study(name="everything", budget=BUDGET, sampler="exhaustive")
    whole = run(record=asked, trials=28).record

    assert len(whole.searched) == 28
    assert TrialState.PRUNED in {trial.state for trial in usual.record.searched}
    assert TrialState.PRUNED not in {trial.state for trial in whole.searched}


def test_no_round_begins_that_would_end_too_late(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here every final takes an hour, and there is one for all."""
    passed_s = 0.0

    def an_hour_later(bench: Bench, plan: TrialPlan) -> tuple[TrialRecord, Golden | None]:
        nonlocal passed_s
        passed_s += 3600.0 if plan.purpose is Purpose.FINAL else 0.0
        return run_trial(bench, plan)

    monkeypatch.setattr("tuner.study.loop.run_trial", an_hour_later)
    monkeypatch.setattr("time.monotonic", lambda: passed_s)
    record = run(trials=14).record
    assert {trial.round for trial in record.finals} == {0}
    assert record.proofs == ()


def test_the_proof_is_of_the_load_that_is_claimed(usual: Ran) -> None:
    """95 % of the winner's capacity, with a verdict."""
    proof = usual.record.proofs[0]
    winner = known(standings.standings(usual.record).winner)
    assert proof.configuration == winner.configuration
    assert proof.throughput == pytest.approx(0.95 * winner.throughput)
    assert proof.proof in ("within", "undecided")
    assert "proof" in {point.phase for point in proof.points}


@pytest.mark.parametrize(
    ("trials", "timeout_s", "why"),
    [
        (3, 3600.0, "all 3 trials were run"),
        (28, 3600.0, "all 28 trials were run"),
        (14, 1e-6, "the time was used up"),
    ],
)
def test_why_a_search_stopped_is_kept(run: Run, trials: int, timeout_s: float, why: str) -> None:
    """In words, in the database."""
    assert run(trials=trials, timeout_s=timeout_s).record.stopped == why


def test_a_search_that_promises_nothing_more_stops(run: Run) -> None:
    """Where all configurations are alike, twenty trials are not needed to see it."""
    wide = spaces.space(
        spaces.integer("n", low=1, high=50, default=1, reload=True),
        spaces.integer("m", low=1, high=50, default=1, reload=True),
    )
    ran = run(
        server=lambda _: Batching(4e-3, 0.5e-3, 16),
        space=wide,
        trials=60,
    )
    assert ran.record.stopped == "no configuration left promised a gain of 1%"
    assert len(ran.record.searched) < 60


def test_what_earlier_studies_found_best_is_tried_first(run: Run) -> None:
    """Right after the baseline, before the rules of thumb."""
    best = Configuration.of({"max_batch_size": BEST, "delay_us": 0})
    began = [configuration for _, configuration in run(first=(best,), trials=3).watcher.began]
    assert began[:2] == [SPACE.defaults, best]


@pytest.mark.parametrize(("sampler", "second"), [("tpe", 16), ("random", 8)])
def test_what_the_servers_own_times_suggest_is_tried_next(
    run: Run, monkeypatch: pytest.MonkeyPatch, sampler: str, second: int
) -> None:
    """Before the rules of thumb, if the search learns; batches of 16 take half of the limit."""
    readings = itertools.count()

    def statistics(*_: object) -> ServerStatistics:
        count = 10 * next(readings)
        sizes = range(1, 65)
        times_s = {n: count * (1e-3 + 1.4e-3 * n) for n in sizes}
        return ServerStatistics(batches=dict.fromkeys(sizes, count), batch_times_s=times_s)

    monkeypatch.setattr(simulated_bench._Target, "statistics", statistics)
    size, delay = SPACE.parameters
    size = replace(size, sets=ConfigPath("max_batch_size"))
    space = replace(SPACE, parameters=(size, delay))
    record = studies.study(name="told", budget=BUDGET, sampler=sampler)
    told = run(record=record, space=space, trials=2, confirmations=0)
    assert told.watcher.began[1][1]["max_batch_size"] == second


def test_failures_do_not_end_a_study(run: Run) -> None:
    """A region that does not fit is left, and the rest is searched."""

    def cramped(configuration: Configuration) -> Simulation | None:
        return None if int(configuration["max_batch_size"]) > 8 else batching(configuration)

    record = run(server=cramped, trials=10).record
    winner = known(standings.standings(record).winner)
    assert any(t.state is TrialState.FAILED for t in record.searched)
    assert winner.configuration["max_batch_size"] == 8


def test_a_trial_that_the_machine_spoiled_is_run_again(run: Run) -> None:
    """Here the baseline: its first load point is late, and late again, twice over."""
    ran = run(lags_s=(1.0,) * 4, trials=2)
    began = [purpose for purpose, _ in ran.watcher.began]
    assert began[:4] == [Purpose.BASELINE] * 3 + [Purpose.SEARCH]
    assert known(ran.record.baseline).state is TrialState.FEASIBLE


def test_a_machine_that_spoils_everything_ends_the_study(run: Run) -> None:
    """Not before the baseline had three chances."""
    with pytest.raises(TunerError, match=r"requests left 1000\.0 ms late") as raised:
        run(lags_s=(1.0,) * 100)
    assert raised.value.hint == "this machine is too busy to measure: end what else runs on it"


def test_no_winner_no_finals(run: Run) -> None:
    """Where nothing is within the budget there is nothing to confirm or to prove."""
    record = run(server=lambda _: Batching(0.1, 0.0, 4)).record
    assert record.finals == ()
    assert record.proofs == ()
    assert standings.standings(record).winner is None


def test_several_objectives_give_nothing_up(run: Run) -> None:
    """Less throughput may come with less latency: every trial is measured at the same load."""
    objectives = (Objective.THROUGHPUT, Objective.LATENCY)
    record = run(record=studies.study(budget=BUDGET, objectives=objectives)).record
    states = {t.state for t in record.searched}
    assert TrialState.PRUNED not in states
    baseline = known(record.baseline)
    loads = {
        round(point.load)
        for trial in record.searched
        for point in trial.points
        if point.phase == "reference"
    }
    assert loads == {round(0.8 * baseline.throughput)}
    assert all(t.reference_s < BUDGET.limit_s for t in record.searched if t.reference_s > 0)


def test_the_reference_load_of_a_slow_server(run: Run) -> None:
    """Less than one inference per second is a load like any other, and no share of one."""
    budget = LatencyBudget(95, 6.0)
    objectives = (Objective.THROUGHPUT, Objective.LATENCY)
    record = run(
        record=studies.study(budget=budget, objectives=objectives),
        server=lambda each: Instances(1, constant(1.2 if each == SPACE.defaults else 0.8)),
        budget=budget,
        trials=2,
        confirmations=0,
    ).record
    baseline, other = record.trials
    assert 0.3 < baseline.throughput < 0.9 < other.throughput
    [point] = [p for p in other.points if p.phase == "reference"]
    assert point.load == pytest.approx(0.8 * baseline.throughput)


def test_the_baseline_is_measured_again_and_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the machine is as fast as it was; here after every third trial."""
    monkeypatch.setattr(drift, "_EVERY_TRIALS", 3)
    monkeypatch.setattr(drift, "_EVERY_S", 0.0)
    monkeypatch.setattr(drift, "_LARGEST_TIME_SHARE", 1.0)
    ran = run(trials=8)
    repeats = [t for t in ran.record.trials if t.purpose is Purpose.DRIFT]
    assert len(repeats) >= 2
    assert all(t.configuration == SPACE.defaults for t in repeats)
    assert not drift.drift(ran.record.trials).significant


def test_a_study_that_is_continued_goes_on_where_it_was(run: Run) -> None:
    """The second run adds trials and rounds, and repeats no configuration."""
    first = run(trials=4).record
    again = run(trials=8).record
    searched = [t.configuration for t in again.searched]
    assert len(first.searched) == 4
    assert len(searched) == len(set(searched)) == 8
    assert sorted({t.round for t in again.finals}) == [0, 1, 2, 3, 4, 5]


def test_answers_that_differ_each_time(run: Run) -> None:
    """A server that samples is tuned; the study keeps what was not compared."""
    numbers = itertools.count()
    assert run(trials=2, confirmations=0).said == []
    record = studies.study(name="sampled", budget=BUDGET)
    sampling = partial(run, record=record, confirmations=0, answer=lambda _: float(next(numbers)))
    sampled = sampling(trials=2)
    assert sampled.record.comparison == Comparison(("y",), nothing_left=True)
    [said] = sampled.said
    assert said.startswith("Outputs cannot be compared: all of them differ from one answer of")
    assert {trial.state for trial in sampled.record.trials} <= {
        TrialState.FEASIBLE,
        TrialState.PRUNED,
    }
    assert sampling(trials=3).said == []


def test_what_is_to_be_known_of_the_requests(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said after the baseline, once, and stays with the study."""
    remarks = ("the server does not know `ignore_eos`",)
    monkeypatch.setattr(simulated_bench._Target, "remarks", remarks)
    told = run(trials=3, confirmations=0)
    assert tuple(told.said) == remarks
    assert {trial.remarks for trial in told.record.trials} == {remarks}
    assert run(trials=4, confirmations=0).said == []


def test_answers_that_differ_from_start_to_start(run: Run) -> None:
    """The first wrong output is held against another start of the baseline, and run again."""
    starts: list[Configuration] = []

    def server(configuration: Configuration) -> Simulation | None:
        starts.append(configuration)
        return batching(configuration)

    named = run(trials=2, confirmations=0, server=server, answer=lambda _: float(len(starts)))
    assert named.record.comparison == Comparison(("y",), nothing_left=True)
    assert [trial.reason for trial in named.record.trials] == [None, None]
    assert starts[2] == SPACE.defaults
    assert len(starts) == 4


def test_a_wrong_answer_stays_one(run: Run) -> None:
    """Where the baseline answers another start as before, the configuration is to blame."""
    record = run(
        trials=3, confirmations=0, answer=lambda each: float(each == SPACE.defaults)
    ).record
    reasons = {trial.reason for trial in record.trials if trial.purpose is Purpose.SEARCH}
    assert reasons == {Reason.WRONG_OUTPUT}
    assert record.comparison == Comparison()


def test_no_time_for_a_second_trial(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the baseline shows that the time is too short, that is said, with what would do."""
    passed_s = 0.0

    def ten_minutes_later(bench: Bench, plan: TrialPlan) -> tuple[TrialRecord, Golden | None]:
        nonlocal passed_s
        record, golden = run_trial(bench, plan)
        passed_s += 600.0
        spent = {**record.timings_s, "total": 600.0}
        return replace(record, timings_s=spent, unloaded_s=20.0), golden

    monkeypatch.setattr("tuner.study.loop.run_trial", ten_minutes_later)
    monkeypatch.setattr("time.monotonic", lambda: passed_s)
    short = run(timeout_s=900.0)
    [said] = short.said
    assert said == (
        "the server's defaults took 600 s (one request at a time: 20 s), and 300 s are left: too "
        "short for another configuration; `--timeout 100m` is for 10 of them"
    )
    assert len(short.record.trials) == 1
