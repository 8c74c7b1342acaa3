"""How a study is opened or continued, how long it may take, and how long it will."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.refusals import refused
from tests.report import studies
from tests.store.test_storage import stored
from tuner.capacity.find import expected_s
from tuner.errors import StudyChangedError
from tuner.goals import LatencyBudget, SearchBudget
from tuner.records import StudyRecord
from tuner.store.storage import Storage
from tuner.study.continued_study import open_study
from tuner.study.time_plan import (
    FinalsPlan,
    default_timeout_s,
    finals_plan,
    no_time_for_a_round,
    planned_s,
    too_short,
    until_proof_s,
)

SPACE_DIFFERS = "search space changed from 77aa01bc2d to 1111111111"
BUDGET = LatencyBudget(99, 0.05)
HINT = "choose another `--study NAME`, or go back to what it began with"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "studies.db"


def test_a_new_study_is_created(path: Path) -> None:
    """A name that is not there yet begins a study, stored before its first trial."""
    study = studies.study()
    with Storage(str(path), create=True) as storage:
        assert open_study(storage, study) == study
        assert storage.study(None).name == study.name


def test_an_equal_study_is_continued(path: Path) -> None:
    """A name that is there goes on with the trials it has, and keeps when it began."""
    small = studies.small_study()
    later = studies.study(created_at=studies.BEGAN.replace(year=2027))

    with Storage(str(stored(path, small)), create=True) as storage:
        continued = open_study(storage, later)

    assert len(continued.trials) == 7
    assert continued.created_at == small.created_at


def machine(fingerprint: str) -> dict[str, Any]:
    return {**studies.study().hardware, "fingerprint": fingerprint}


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"server": "torchserve"}, "server changed from triton to torchserve"),
        ({"model": "resnet50"}, "model changed from encoder to resnet50"),
        (
            {"parameters": {"variant": "a, b (default a)"}, "model_fingerprint": "0000000000"},
            "choice of variants changed from None to a, b (default a)",
        ),
        (
            {"budget": LatencyBudget(95, 0.050)},
            "latency budget changed from p99 <= 50 ms to p95 <= 50 ms",
        ),
        (
            {"request": {"batch": 4, "zero": False}},
            "request changed from {'batch': 1, 'zero': False} to {'batch': 4, 'zero': False}",
        ),
        (
            {"request": {"batch": 1, "zero": False, "tolerance": 0.05}},
            (
                "request changed from {'batch': 1, 'zero': False} to "
                "{'batch': 1, 'zero': False, 'tolerance': 0.05}"
            ),
        ),
        (
            {"request": {"batch": 1, "zero": False, "compare": ["$.label"]}},
            (
                "request changed from {'batch': 1, 'zero': False} to "
                "{'batch': 1, 'zero': False, 'compare': ['$.label']}"
            ),
        ),
        (
            {"model_fingerprint": "0000000000"},
            "model's files changed from 3f9a0c11de to 0000000000",
        ),
        (
            {"space_fingerprint": "1111111111"},
            f"{SPACE_DIFFERS} (its rules changed)",
        ),
        (
            {
                "space_fingerprint": "1111111111",
                "parameters": {
                    "instance_count": "1 to 8, doubling",
                    "dynamic_batching": "false, true",
                    "delay": "0, 100",
                },
            },
            f"{SPACE_DIFFERS} (changed: delay, instance_count, threads)",
        ),
        ({"hardware": machine("ffffffffff")}, "machine changed from ab12cd34ef to ffffffffff"),
    ],
)
def test_a_changed_study_is_refused(path: Path, change: dict[str, Any], difference: str) -> None:
    """A study goes on only with what it began with; the difference is named."""
    begun = studies.small_study()
    stored(path, begun)
    before = path.read_bytes()
    changed: StudyRecord = replace(studies.study(), **change)

    with Storage(str(path)) as storage, pytest.raises(StudyChangedError) as caught:
        open_study(storage, changed)

    assert caught.value.message == (f"study `{begun.name}` cannot be continued: its {difference}")
    assert caught.value.hint == HINT
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"trials": 0}, "`trials >= 1` must hold, but got 0"),
        ({"finalists": 0}, "`finalists >= 1` must hold, but got 0"),
        ({"confirmations": -1}, "`confirmations >= 0` must hold, but got -1"),
        ({"timeout_s": 0.0}, "`timeout > 0` must hold, but got 0 s"),
        ({"timeout_s": math.nan}, "`timeout > 0` must hold, but got nan s"),
    ],
)
def test_a_search_budget_that_cannot_be_used(keys: dict[str, Any], message: str) -> None:
    """A search without trials, finalists or time is refused."""
    with refused(message):
        SearchBudget(**keys)


def test_the_planned_time() -> None:
    """A plan counts the trials, the finals, and ends with the time there is."""
    budget = LatencyBudget(99, 0.050)
    each_s = expected_s(budget) + 3.0
    search_budget = SearchBudget(trials=10, timeout_s=1e6, finalists=2, confirmations=3)

    assert planned_s(budget, search_budget, None) == pytest.approx((10 + 3 * 3) * each_s)
    assert planned_s(budget, search_budget, 4) == pytest.approx((4 + 3 * 3) * each_s)
    assert planned_s(budget, replace(search_budget, confirmations=0), 1) == pytest.approx(each_s)
    assert planned_s(budget, replace(search_budget, timeout_s=60.0), None) == 60.0


# A final takes 3 s around its load points, and 8 s for these at their usual length; the baseline's
# in the search were shorter.
TIMINGS_S = {"total": 13.0, "apply": 2.0, "saturation": 2.0, "search": 8.0}
BASELINE_TIMINGS_S = TIMINGS_S | {"total": 9.8, "search": 4.8}
TRIALS = [
    replace(studies.baseline(), timings_s=BASELINE_TIMINGS_S, throughput=200.0, points=()),
    replace(studies.trial(1, 300.0), timings_s=TIMINGS_S, points=()),
]


@pytest.mark.parametrize(
    ("timeout_s", "plan"),
    [
        (720.0, FinalsPlan(3, 3, stretch=2.0, baseline_stretch=2.0, duration_s=228.0)),
        (500.0, FinalsPlan(3, 3, stretch=1.0, baseline_stretch=1.0, duration_s=132.0)),
        (300.0, FinalsPlan(3, 3, stretch=0.6, baseline_stretch=0.6, duration_s=93.6)),
        (210.0, FinalsPlan(2, 3, stretch=0.6, baseline_stretch=0.6, duration_s=70.2)),
        (150.0, FinalsPlan(1, 3, stretch=0.6, baseline_stretch=0.6, duration_s=46.8)),
        (130.0, FinalsPlan(3, 1, stretch=1.0, baseline_stretch=1.0, duration_s=44.0)),
        (50.0, FinalsPlan(1, 1, stretch=0.6, baseline_stretch=0.6, duration_s=15.6)),
        (40.0, FinalsPlan()),
    ],
)
def test_finals_take_a_third_of_the_time_or_so_at_most(timeout_s: float, plan: FinalsPlan) -> None:
    """Load points get shorter, then there are fewer finalists, fewer rounds, then no finals."""
    found = finals_plan(TRIALS, BUDGET, SearchBudget(timeout_s=timeout_s))
    assert replace(found, duration_s=0.0) == replace(plan, duration_s=0.0)
    assert found.duration_s == pytest.approx(plan.duration_s)


@pytest.mark.parametrize(("hosts", "starts"), [(1, 4), (2, 4), (3, 4), (4, 3), (12, 1)])
def test_hosts_of_a_fleet_measure_rounds_at_once(hosts: int, starts: int) -> None:
    """A round takes as long as on one machine, unless there are hosts to share it."""
    plan = finals_plan(TRIALS, BUDGET, SearchBudget(timeout_s=720.0), hosts=hosts)
    assert (plan.finalists, plan.rounds) == (3, 3)
    assert plan.round_s == pytest.approx(starts * 19.0)


def test_whether_another_round_fits() -> None:
    """By half of its plan; then by what each took last, and the others on average."""
    first, second, third = (studies.configuration(number) for number in (1, 2, 3))
    finals = [
        replace(TRIALS[1], configuration=each, round=number, timings_s={"total": total_s})
        for number, each, total_s in ((0, first, 10.0), (0, second, 30.0), (1, first, 20.0))
    ]
    chosen = (first, second, third)
    assert not no_time_for_a_round([], chosen, 100.0, 51.0)
    assert no_time_for_a_round([], chosen, 100.0, 49.0)
    assert not no_time_for_a_round(finals, chosen, 100.0, 76.0)
    assert no_time_for_a_round(finals, chosen, 100.0, 74.0)


def test_a_baseline_far_behind_gets_short_finals() -> None:
    """Its distance is plain; the time is for those that are close to each other."""
    far = [replace(TRIALS[0], throughput=100.0), TRIALS[1]]
    plan = finals_plan(far, BUDGET, SearchBudget(timeout_s=400.0))
    assert (plan.stretch_of(baseline=True), plan.stretch_of(baseline=False)) == (0.4, 1.0)
    assert plan.duration_s == pytest.approx(3 * (3 * 11.0 + 3.0 + 0.4 * 8.0))


def test_a_search_that_took_many_points_makes_no_final_longer() -> None:
    """A final knows where to look: it has as many load points as are planned."""
    points = tuple(studies.point(200.0, 0.04) for _ in range(6))
    trials = [replace(each, points=points) for each in TRIALS]
    plan = finals_plan(trials, BUDGET, SearchBudget(timeout_s=720.0))
    assert plan.duration_s == pytest.approx(3 * (3 * (3.0 + 2 * 4.0) + 3.0 + 2 * 4.0))


def test_no_more_finalists_than_there_are_within_reach() -> None:
    """What the others would have taken makes the load points longer."""
    plan = finals_plan(TRIALS, BUDGET, SearchBudget(timeout_s=350.0), within_reach=1)
    assert (plan.finalists, plan.stretch) == (1, 2.0)


def test_the_usual_time_grows_with_the_latency() -> None:
    """Two minutes, or as long as ten trials."""
    assert default_timeout_s(LatencyBudget(99, 0.01)) == 120.0
    slow = LatencyBudget(99, 1.0)
    assert default_timeout_s(slow) == pytest.approx(10 * (expected_s(slow) + 3.0))


def test_no_finals_where_none_are_wanted() -> None:
    """`--confirmations 0` trusts the search."""
    search_budget = SearchBudget(timeout_s=3600.0, confirmations=0)
    plan = finals_plan(TRIALS, BUDGET, search_budget)
    assert (plan.rounds, plan.duration_s) == (0, 0.0)


def test_a_proof_begins_with_a_start_and_a_warm_up() -> None:
    """That of the slowest trial, or what is usual."""
    assert until_proof_s(TRIALS, BUDGET) == pytest.approx(2.0 + 2.0)


def test_a_proof_has_the_warm_up_that_was_seen() -> None:
    """Where that took longer than is usual."""
    slow = {**TIMINGS_S, "warm-up": 6.0, "unloaded": 80.0}
    trials = [replace(TRIALS[0], timings_s=slow)]
    assert until_proof_s(trials, BUDGET) == pytest.approx(2.0 + 86.0)


def test_a_time_that_is_too_short_is_said_before_the_start() -> None:
    """Nothing is said where a second configuration can be measured, or there is none."""
    slow = LatencyBudget(99, 50.0)
    hour = SearchBudget(timeout_s=1800.0)
    assert too_short(slow, hour, 100) == (
        "the time, 1800 s, is too short: at p99 <= 50000 ms a trial takes about 903 s; "
        "`--timeout 151m` is for 10 of them"
    )
    assert too_short(slow, hour, 1) == ""
    assert too_short(slow, replace(hour, trials=1), 100) == ""
    assert too_short(slow, replace(hour, timeout_s=default_timeout_s(slow)), 100) == ""
    assert too_short(BUDGET, SearchBudget(timeout_s=30.0), None) == ""
