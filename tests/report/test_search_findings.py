"""How a study searched, in sentences: texts/search.txt and texts/drift.txt."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.report import studies, texts
from tests.spaces import choice, integer, space
from tuner.analysis.drift import Block, Drift
from tuner.errors import Reason
from tuner.records import Purpose, StudyRecord, TrialRecord, TrialState
from tuner.report.drift_text import about_drift
from tuner.report.search_findings import about_crashes, about_search, saved_s
from tuner.space.space import Configuration


def study(*trials: TrialRecord, **facts: Any) -> StudyRecord:
    return replace(studies.study(), trials=trials, **facts)


def lasting(trial: TrialRecord, total_s: float) -> TrialRecord:
    return replace(trial, timings_s={"total": total_s})


def sized(number: int, size: int, **facts: Any) -> TrialRecord:
    configuration = Configuration.of({"max_batch_size": size, "threads": number})
    return replace(studies.trial(number, 100.0), configuration=configuration, **facts)


def proof(*verdicts: str, applied: str = "restart") -> StudyRecord:
    """Two looks of 5 s at each of the claimed loads."""
    found = studies.trial(3, 316.0)
    facts: dict[str, Any] = {"purpose": Purpose.PROOF, "applied": applied}
    proofs = []
    for number, verdict in enumerate(verdicts, 4):
        load = 300.0 - 30 * (number - 4)
        point = replace(studies.point(load, 0.04, phase="proof"), duration_s=5.0)
        claimed = replace(found, number=number, throughput=load, points=(point, point))
        proofs.append(replace(claimed, proof=verdict, **facts))
    return study(found, *proofs)


def of_variant(number: int, name: str, difference: float, **facts: Any) -> TrialRecord:
    configuration = Configuration.of({**studies.configuration(number), "variant": name})
    trial = studies.trial(number, 90.0)
    return replace(trial, configuration=configuration, difference=difference, **facts)


WRONG = {"state": TrialState.FAILED, "reason": Reason.WRONG_OUTPUT}
CRASHED = {"state": TrialState.FAILED, "reason": Reason.OUT_OF_MEMORY}
WHOLE = lasting(studies.baseline(), 15.0)
PRUNED = replace(studies.trial(2, 90.0), state=TrialState.PRUNED)
FP32 = of_variant(0, "fp32", 0.0, purpose=Purpose.BASELINE)
SEVERAL = (
    FP32,
    of_variant(1, "int8", 0.021),
    of_variant(2, "int8", 0.034),
    of_variant(3, "half", math.nan),
)
STUDIES = {
    "nothing special": study(studies.baseline()),
    "why it ended": study(studies.baseline(), stopped="all 60 trials were run"),
    "what it began with": study(warm_start=("monday", "tuesday")),
    "time that racing saved": study(WHOLE, lasting(PRUNED, 5.0)),
    "no time saved": study(WHOLE, lasting(PRUNED, 15.0)),
    "proved": proof("within"),
    "proved on a remote server": proof("within", applied="reload"),
    "found over": proof("over"),
    "found over, and a smaller load proved": proof("over", "within"),
    "undecided": proof("undecided"),
    "proved of what is not the best any more": study(
        *proof("within").trials, studies.trial(5, 400.0)
    ),
    "where everything fails": study(
        *(sized(n, size, timings_s={"total": 10.0}) for n, size in ((1, 2), (2, 4), (3, 8))),
        *(sized(n, size, **CRASHED) for n, size in ((4, 32), (5, 32), (6, 64))),
        space=space(choice(2, 4, 8, 32, 64, name="max_batch_size"), integer("threads")),
    ),
    "batches that wait": study(replace(studies.trial(7, 300.0), unloaded_s=0.080)),
    "variants, the most that was seen of each": study(*SEVERAL),
    "variants within a tolerance": study(*SEVERAL, request={"tolerance": 0.05}),
    "a variant that is too far": study(FP32, of_variant(1, "int8", 0.37, **WRONG)),
    "a variant that cannot be compared": study(FP32, of_variant(1, "int8", math.inf, **WRONG)),
    "a variant that was wrong once": study(
        FP32, of_variant(1, "half", 0.02), of_variant(2, "half", 0.5, **WRONG)
    ),
}


def test_every_sentence() -> None:
    """What must be known of each search; nothing where there is nothing special."""
    found = {title: (*about_search(each), *about_crashes(each)) for title, each in STUDIES.items()}

    texts.check("search.txt", found)


def test_how_much_time_racing_saved() -> None:
    """What pruned trials would have taken, had they been like the others."""
    assert saved_s(STUDIES["time that racing saved"]) == pytest.approx(10.0)


def drift(speeds: Sequence[float], *repeat: int) -> Drift:
    """Blocks of these speeds, ten trials apart."""
    marks = [studies.trial(10 * number) for number in range(len(speeds))]
    blocks = [Block(m, m, math.log(s)) for m, s in zip(marks, speeds, strict=True)]
    return Drift(tuple(blocks), repeat)


def test_how_the_machine_changed() -> None:
    """Each change with its size and the last trial before it, and what follows from them."""
    found = {
        "steady": drift([1.0]),
        "slower": drift([1.0, 0.9]),
        "faster": drift([1.0, 1.2], 12),
        "too much, to be measured again": drift([1.0, 0.7], 2, 3, 6),
        "too much, and measured again": drift([1.0, 0.7]),
        "too often": drift([1.0, 0.8, 1.0], 1),
    }

    texts.check("drift.txt", {title: about_drift(each) for title, each in found.items()})
