"""How a study searched, in sentences."""

import math
from dataclasses import replace
from typing import Any

import pytest

from tests.report import studies
from tests.spaces import choice, integer, space
from tuner.analysis.drift import Block, Drift
from tuner.errors import Reason
from tuner.records import Purpose, StudyRecord, TrialRecord, TrialState
from tuner.report.search_findings import about_drift, about_search, saved_s
from tuner.space.space import Configuration


def study(*trials: TrialRecord, **facts: Any) -> StudyRecord:
    return replace(studies.study(), trials=trials, **facts)


def lasting(trial: TrialRecord, total_s: float) -> TrialRecord:
    return replace(trial, timings_s={"total": total_s})


PRUNED = replace(studies.trial(2, 90.0), state=TrialState.PRUNED)


def test_a_study_without_anything_special_says_nothing() -> None:
    """No sentence is better than one that says nothing."""
    assert about_search(study(studies.baseline())) == ()


def test_why_the_search_ended() -> None:
    """In the words that the study kept."""
    sentences = about_search(study(studies.baseline(), stopped="all 60 trials were run"))
    assert sentences == ("The search ended because all 60 trials were run.",)


def test_which_studies_it_began_with() -> None:
    """Those that were named for the warm start."""
    sentences = about_search(study(warm_start=("monday", "tuesday")))
    assert sentences == ("It began with the best configurations of monday and tuesday.",)


def test_the_time_that_racing_saved() -> None:
    """What pruned trials would have taken, had they been like the others."""
    trials = (lasting(studies.baseline(), 15.0), lasting(PRUNED, 5.0))
    assert saved_s(study(*trials)) == pytest.approx(10.0)
    [sentence] = about_search(study(*trials))
    assert sentence == (
        "1 trial of 2 stopped at the first proof that the best cannot be beaten, which saved 10 s "
        "or so."
    )


def test_no_time_saved_is_not_told() -> None:
    """A pruned trial that took as long as others saved nothing."""
    trials = (lasting(studies.baseline(), 15.0), lasting(PRUNED, 15.0))
    assert about_search(study(*trials)) == ()


@pytest.mark.parametrize(
    ("proof", "words"),
    [
        ("within", "proved to be within"),
        ("over", "found over"),
        ("undecided", "not proved to be within (nor over)"),
    ],
)
@pytest.mark.parametrize(("applied", "start"), [("restart", "fresh start"), ("reload", "reload")])
def test_what_was_proved_of_the_claimed_load(
    proof: str, words: str, applied: str, start: str
) -> None:
    """The verdict, the load, and how long it was looked at; a remote server only reloads."""
    point = replace(studies.point(300.0, 0.04, phase="proof"), duration_s=5.0)
    trial = replace(
        studies.trial(3, 300.0),
        purpose=Purpose.PROOF,
        proof=proof,
        points=(point, point),
        applied=applied,
    )
    [sentence] = about_search(study(trial))
    assert sentence == (
        f"On one more {start}, 300 inferences/s of the best configuration were {words} "
        "p99 <= 50 ms, after 10 s of that load."
    )


def crashed(number: int, size: int) -> TrialRecord:
    trial = studies.trial(number, 0.0)
    return replace(
        trial,
        configuration=Configuration.of({"max_batch_size": size, "threads": number}),
        state=TrialState.FAILED,
        reason=Reason.OUT_OF_MEMORY,
    )


def test_where_everything_fails() -> None:
    """The region in words, with how often and for what."""
    good = [
        replace(
            lasting(studies.trial(n, 100.0), 10.0),
            configuration=Configuration.of({"max_batch_size": size, "threads": n}),
        )
        for n, size in ((1, 2), (2, 4), (3, 8))
    ]
    bad = [crashed(4, 32), crashed(5, 32), crashed(6, 64)]
    searched = space(choice(2, 4, 8, 32, 64, name="max_batch_size"), integer("threads"))
    found = replace(study(*good, *bad), space=searched)
    assert about_search(found) == (
        "Nearly everything fails where max_batch_size >= 32: 3 of 3 failed (out_of_memory).",
    )


def test_batches_that_wait_are_told() -> None:
    """A configuration can carry much within the budget, and little only over it."""
    slow = replace(studies.trial(7, 300.0), unloaded_s=0.080)
    [sentence] = about_search(study(slow))
    assert sentence == (
        "At a few requests per second trial 7 would be over p99 <= 50 ms: batches that do not "
        "fill wait for their delay."
    )


@pytest.mark.parametrize(
    ("speeds", "repeat", "changed", "measure"),
    [
        (
            [1.0, 0.9],
            (),
            "10 % slower after trial 0 (22:00 UTC)",
            ": results before and after were compared with that taken off.",
        ),
        (
            [1.0, 1.2],
            (12,),
            "20 % faster after trial 0 (22:00 UTC)",
            ": results before and after were compared with that taken off. Trial 12 should be",
        ),
        (
            [1.0, 0.7],
            (2, 3, 6),
            "30 % slower after trial 0 (22:00 UTC)",
            ", too much to be taken off. Trials 2, 3 and 6 should be",
        ),
        (
            [1.0, 0.7],
            (),
            "30 % slower after trial 0 (22:00 UTC)",
            (
                ", too much to be taken off: the best are compared by what they carry at the "
                "speed that it has now."
            ),
        ),
        (
            [1.0, 0.8, 1.0],
            (1,),
            "20 % slower after trial 0 (22:00 UTC) and 25 % faster after trial 10 (22:02 UTC)",
            ", too often to be taken off. Trial 1 should be",
        ),
    ],
)
def test_how_the_machine_changed(
    speeds: list[float], repeat: tuple[int, ...], changed: str, measure: str
) -> None:
    """Each change with its size and the last trial before it, and what follows from them."""
    marks = [studies.trial(10 * number) for number in range(len(speeds))]
    blocks = [Block(m, m, math.log(s)) for m, s in zip(marks, speeds, strict=True)]
    again = " measured again at the speed that it has now." if repeat else ""

    said = " ".join(about_drift(Drift(tuple(blocks), repeat)))

    assert said == f"The machine became {changed}{measure}{again}"


def test_a_machine_that_kept_its_speed() -> None:
    """One block is no change."""
    assert about_drift(Drift((Block(studies.baseline(), studies.baseline()),))) == ()


def of_variant(number: int, name: str, difference: float, **facts: Any) -> TrialRecord:
    configuration = Configuration.of({**studies.configuration(number), "variant": name})
    trial = studies.trial(number, 90.0)
    return replace(trial, configuration=configuration, difference=difference, **facts)


def test_how_far_variants_are_from_the_defaults() -> None:
    """The most that was seen of each, with the tolerance that was stated."""
    trials = (
        of_variant(0, "fp32", 0.0, purpose=Purpose.BASELINE),
        of_variant(1, "int8", 0.021),
        of_variant(2, "int8", 0.034),
        of_variant(3, "half", math.nan),
    )
    said = (
        "Variant int8: its outputs differ from the default's by 3.4 % of their largest value at "
    )
    [sentence] = about_search(study(*trials))
    assert sentence == f"{said}most."
    [sentence] = about_search(study(*trials, request={"tolerance": 0.05}))
    assert sentence == f"{said}most, within the tolerance of 5.0 %."


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        (0.37, "its outputs differ from the default's by 37 % of their largest value"),
        (math.inf, "its outputs cannot be compared with the default's"),
    ],
)
def test_a_variant_that_was_refused(difference: float, words: str) -> None:
    """Outputs beyond the tolerance refute a variant, however fast it is."""
    refused = {"state": TrialState.FAILED, "reason": Reason.WRONG_OUTPUT}
    trials = (
        of_variant(0, "fp32", 0.0, purpose=Purpose.BASELINE),
        of_variant(1, "int8", difference, **refused),
    )
    assert f"Variant int8: refused, {words}." in about_search(study(*trials))


def test_a_variant_that_was_wrong_once() -> None:
    """One configuration of it may be wrong and others right: then it was not refused."""
    wrong = {"state": TrialState.FAILED, "reason": Reason.WRONG_OUTPUT}
    trials = (
        of_variant(0, "fp32", 0.0, purpose=Purpose.BASELINE),
        of_variant(1, "half", 0.02),
        of_variant(2, "half", 0.5, **wrong),
    )
    assert (
        "Variant half: its outputs differ from the default's by 2.0 % of their largest value at "
        "most; in 1 of 2 trials they were wrong."
    ) in about_search(study(*trials))
