"""Earlier studies: which are like the present one, and what of their best can be tried first."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.report import studies
from tests.report.studies import BEGAN, baseline, configuration, final, trial
from tests.spaces import choice, integer, real, space, switch
from tuner.errors import Reason
from tuner.goals import AnswerLimits, LatencyBudget
from tuner.records import Purpose, StudyRecord, TrialState
from tuner.search.warm_start import WarmStart, configurations, offer, ranked, similar
from tuner.space.space import Configuration, SearchSpace

PRESENT = studies.study(name="present", created_at=BEGAN + timedelta(days=9))
HARDWARE = dict(PRESENT.hardware)
ELSEWHERE = {**HARDWARE, "hostname": "rack-7", "fingerprint": "0000000000"}
# What a study of another model may differ in.
STRANGE: dict[str, Any] = {
    "model": "resnet",
    "model_fingerprint": "1111111111",
    "hardware": ELSEWHERE,
    "budget": LatencyBudget(95, 0.050),
    "request": {"batch": 4},
}


def earlier(name: str = "earlier", **facts: Any) -> StudyRecord:
    """A study like the present one, with one feasible trial."""
    given: dict[str, Any] = {"trials": [trial(1, 300.0)], "name": name}
    return studies.study(**(given | facts))


def of(*tried: dict[str, Any]) -> list[Configuration]:
    return [Configuration.of(values) for values in tried]


def taken(
    best_first: list[Configuration], present: SearchSpace, count: int = 3
) -> list[dict[str, Any]]:
    return [dict(each) for each in configurations(best_first, present, count).configurations]


def test_the_most_alike_comes_first() -> None:
    """The model counts most, then the machine, the latency budget, the request and the space."""
    others = [
        earlier("other model", model="resnet", model_fingerprint="1111111111"),
        earlier("other files", model_fingerprint="1111111111"),
        earlier("other machine", hardware=ELSEWHERE),
        earlier("other limits", budget=LatencyBudget.of_answers(99, AnswerLimits(ttft_s=0.05))),
        earlier("other percentile", budget=LatencyBudget(95, 0.050)),
        earlier("far limit", budget=LatencyBudget(99, 0.200)),
        earlier("near limit", budget=LatencyBudget(99, 0.040)),
        earlier("other request", request={"batch": 4}),
        earlier("other space", space_fingerprint="1111111111"),
        earlier("same"),
    ]

    found = similar(PRESENT, others)

    assert [each.study.name for each in found] == [study.name for study in reversed(others)]


def test_the_newest_of_equals_comes_first() -> None:
    """Of studies that are as much alike, the newest knows best."""
    old, new = earlier("old"), earlier("new", created_at=BEGAN + timedelta(days=1))

    assert [each.study.name for each in similar(PRESENT, [old, new])] == ["new", "old"]


def test_studies_that_teach_nothing() -> None:
    """The study itself, one of another server, and one without a feasible trial are left out."""
    barren = [baseline(), trial(1, 300.0, state=TrialState.PRUNED)]
    others = [
        earlier("present"),
        earlier("torchserve", server="torchserve"),
        earlier("barren", trials=[studies.infeasible(barren[0], unloaded_s=0.06), barren[1]]),
    ]

    assert similar(PRESENT, others) == ()


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, "same model, machine, latency budget, request and search space"),
        (
            {"budget": LatencyBudget(99, 0.020), "space_fingerprint": "1111111111"},
            (
                "same model, machine and request, other latency budget: p99 <= 20 ms, "
                "other search space"
            ),
        ),
        (
            {"model_fingerprint": "1111111111", "hardware": ELSEWHERE},
            (
                "same latency budget, request and search space, other files of the model, "
                "other machine: rack-7"
            ),
        ),
        (
            {**STRANGE, "hardware": {}},
            (
                "same search space, other model: resnet, other machine, "
                "other latency budget: p95 <= 50 ms, other request"
            ),
        ),
        (
            {**STRANGE, "space_fingerprint": "1111111111"},
            (
                "other model: resnet, other machine: rack-7, other latency budget: p95 <= 50 ms, "
                "other request, other search space"
            ),
        ),
    ],
)
def test_words_for_what_is_the_same_and_what_is_not(facts: dict[str, Any], words: str) -> None:
    """What both studies share is told first, then what differs, with what it was."""
    assert similar(PRESENT, [earlier(**facts)])[0].words == words


def test_unknown_machines_are_not_the_same() -> None:
    """Two studies that do not know their machine are not taken for one machine."""
    unknown = replace(PRESENT, hardware={})

    assert "machine" not in similar(unknown, [earlier(hardware={})])[0].same


def test_an_offer() -> None:
    """A study of the same model on the same machine is offered, with what to type."""
    study = earlier("encoder-20261120", budget=LatencyBudget(99, 0.020))

    assert offer(PRESENT, [study]) == (
        "study encoder-20261120 tuned the same model on this machine (p99 <= 20 ms): add "
        "`--warm-start encoder-20261120` to begin with its best"
    )


def test_an_offer_of_another_version_of_the_model() -> None:
    """A model whose files have changed since is called what it is; odd names are quoted."""
    study = earlier("last night", model_fingerprint="1111111111")

    assert offer(PRESENT, [study]) == (
        "study last night tuned a model of the same name on this machine (p99 <= 50 ms): add "
        "`--warm-start 'last night'` to begin with its best"
    )


def test_a_renamed_model_is_the_same() -> None:
    """Files decide, not names; and this machine comes before a likelier study of another one."""
    renamed = earlier("renamed", model="encoder-v2")
    others = [earlier("elsewhere", hardware=ELSEWHERE), renamed]

    assert [each.study.name for each in similar(PRESENT, others)] == ["elsewhere", "renamed"]
    assert offer(PRESENT, others).startswith("study renamed tuned the same model on this machine")


@pytest.mark.parametrize(
    "facts",
    [
        {"model": "resnet", "model_fingerprint": "1111111111"},
        {"hardware": ELSEWHERE},
        {"server": "torchserve"},
        {"trials": []},
    ],
)
def test_nothing_to_offer(facts: dict[str, Any]) -> None:
    """Another model, machine or server is not offered by itself, nor what found nothing."""
    assert offer(PRESENT, [earlier(**facts)]) == ""


def test_finals_rank_before_the_search() -> None:
    """What finals confirmed comes first, by the mean of all starts; then the rest by trial."""
    study = studies.study(
        [
            baseline(150.0),
            *(trial(n, 300.0 + n) for n in range(1, 6)),
            final(6, configuration(1), 200.0),
            final(7, configuration(2), 260.0),
            final(8, configuration(3), 100.0),
            final(9, configuration(1), 320.0),
            final(10, configuration(2), 260.0),
            final(11, configuration(3), 900.0),
        ]
    )

    # The geometric means are 300, 260 and 253.
    assert ranked(study) == (
        *(configuration(n) for n in (3, 2, 1)),
        *(configuration(n) for n in (5, 4)),
        studies.DEFAULTS,
    )


def test_what_the_finals_refuted_is_left_out() -> None:
    """A configuration that failed a start is no good beginning, however good it looked."""
    crashed = replace(studies.failed(5, Reason.CRASHED, "gone"), purpose=Purpose.FINAL)
    spoiled = replace(studies.failed(6, Reason.INTERRUPTED, "stopped"), purpose=Purpose.FINAL)
    study = studies.study(
        [
            *(trial(n, 300.0 + n) for n in range(1, 4)),
            final(4, configuration(3), 310.0),
            replace(crashed, configuration=configuration(3)),
            replace(spoiled, configuration=configuration(2)),
        ]
    )

    assert ranked(study) == (configuration(2), configuration(1))


def test_only_feasible_trials_rank() -> None:
    """Pruned, infeasible and failed trials, and repeats of the baseline, are no good beginning."""
    study = studies.study(
        [
            trial(1, 900.0, state=TrialState.PRUNED),
            studies.infeasible(trial(2), unloaded_s=0.06),
            studies.failed(3, Reason.CRASHED, "gone"),
            trial(4, 200.0),
            trial(5, 950.0, purpose=Purpose.PROOF),
        ]
    )

    assert ranked(study) == (configuration(4),)


def test_the_best_are_taken_as_they_are() -> None:
    """The first of the ranking that are in the present space, as many as wished for."""
    best_first = of({"n": 8}, {"n": 4}, {"n": 2}, {"n": 6}, {"n": 7})

    found = configurations(best_first, space(integer()))

    assert found == WarmStart(tuple(of({"n": 8}, {"n": 4}, {"n": 2})))
    assert taken(best_first, space(integer()), 1) == [{"n": 8}]


@pytest.mark.parametrize(
    ("parameter", "before", "after"),
    [
        (integer("p", high=8), 20, 8),
        (integer("p", low=2, high=8, log=True, default=2), 7, 8),
        (integer("p", high=8), 3.4, 3),
        (integer("p", high=8), "auto", None),
        (integer("p", high=8), True, None),
        (real("p"), 7, 1.0),
        (real("p", step=0.25), 0.7, 0.75),
        (choice(0, 16, 64, name="p"), 50, 64),
        (choice("off", 16, 64, name="p"), 17, 16),
        (choice("off", "on", name="p"), "auto", None),
        (choice("off", "on", name="p"), 3, None),
        (switch("p"), 1, None),
    ],
)
def test_values_outside_of_the_space(parameter: Any, before: Any, after: Any) -> None:
    """A number moves to the nearest one of the domain; what has no near one takes the default."""
    present = space(integer(high=9), parameter)
    expected = parameter.default if after is None else after

    assert taken(of({"n": 9, "p": before}), present) == [{"n": 9, "p": expected}]
    assert type(taken(of({"n": 9, "p": before}), present)[0]["p"]) is type(expected)


def test_parameters_come_and_go() -> None:
    """What the space does not have is dropped; what the earlier study lacked has its default."""
    present = space(integer(), switch(), integer("size", "batching", default=4))

    assert taken(of({"n": 3, "gone": 7}), present) == [{"n": 3, "batching": False}]
    assert taken(of({"n": 3, "batching": True}), present) == [
        {"n": 3, "batching": True, "size": 4}
    ]
    assert taken(of({"n": 3, "batching": False, "size": 8}), present) == [
        {"n": 3, "batching": False}
    ]


def test_each_is_taken_once() -> None:
    """Two that become one by being translated count once, and so the next best has its place."""
    best_first = of({"n": 8}, {"n": 30}, {"n": 20}, {"n": 5})

    found = configurations(best_first, space(integer()), 2)

    assert found == WarmStart(tuple(of({"n": 8}, {"n": 5})))


def test_the_defaults_are_left_to_the_baseline() -> None:
    """The server's own defaults are tried anyway, so they take no place."""
    assert taken(of({"n": 1}, {"n": 2}), space(integer())) == [{"n": 2}]


def test_rules_are_kept() -> None:
    """What would break a rule of the present space is left out, and counted."""
    present = space(integer(), integer("m"), rules=("n * m <= 16",))
    best_first = of({"n": 8, "m": 8}, {"n": 8, "m": 2}, {"n": 6, "m": 3}, {"n": 4, "m": 9})

    found = configurations(best_first, present)

    assert found == WarmStart(tuple(of({"n": 8, "m": 2})), adapted=0, left_out=3)


@pytest.mark.parametrize(
    ("best_first", "words"),
    [
        (of({"n": 8}, {"n": 4}), "begins with the best of study earlier: 2 configurations"),
        (
            of({"n": 7}, {"n": 4}, {"n": 90}),
            (
                "begins with the best of study earlier: 2 configurations "
                "(1 adapted to this search space); "
                "left out: 1 configuration that would break its rules"
            ),
        ),
        (
            of({"n": 7}, {"n": 7, "m": 1}),
            (
                "study earlier has no configuration to begin with; "
                "left out: 2 configurations that would break its rules"
            ),
        ),
        (of(), "study earlier has no configuration to begin with"),
    ],
)
def test_words_for_what_was_taken(best_first: list[Configuration], words: str) -> None:
    """The command line says how many are tried first, and what became of the others."""
    present = space(integer(high=9), rules=("n != 7",))

    assert configurations(best_first, present).sentence("earlier") == words
