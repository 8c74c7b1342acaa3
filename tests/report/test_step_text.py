"""Steps and bottlenecks in sentences."""

import math
from typing import Any

from tests.report import studies, texts
from tuner.analysis.bottleneck import Bottleneck, Diagnosis, LatencySplit
from tuner.analysis.standings import Ratio
from tuner.analysis.steps import Step
from tuner.report import bottleneck_text, step_text

SURE = Ratio(1.10, 1.21, 1.33, p_value=0.001)
CHANCE = Ratio(0.90, 1.02, 1.15, p_value=1.0)
SPLIT = LatencySplit(mean_s=0.01, queue_s=0.002, input_s=0.0, infer_s=0.006, output_s=0.001)
STEPS = (
    Step(
        parameter="max_batch_size",
        before=8,
        after=16,
        ratio=SURE,
        comparisons=1,
        trials=(3, 2),
        of_best=True,
        slower_s=0.0008,
        load=1500.0,
    ),
    Step(
        parameter="batching",
        before=False,
        after=True,
        ratio=Ratio(0.4, 0.5, 0.6, p_value=0.001),
        comparisons=3,
        trials=(1, 4),
        slower_s=-0.002,
    ),
    Step(parameter="threads", before=1, after=2, ratio=SURE, comparisons=1, trials=(0, 5)),
    Step(parameter="threads", before=2, after=4, ratio=CHANCE, comparisons=1, trials=(5, 6)),
)


def test_steps() -> None:
    """What each step did to throughput and latency, and what is within the uncertainty."""
    study = studies.study()
    many = STEPS[:1] * 10 + STEPS[3:] * 10
    found = {"steps": STEPS, "more than are read": many, "none": ()}

    texts.check(
        "steps.txt",
        {
            title: (*step_text.sentences(study, steps), *step_text.remarks(steps))
            for title, steps in found.items()
        },
    )


def test_bottlenecks() -> None:
    """Each kind, how it is known, and what may help."""
    seen: dict[str, Any] = {"engine_busy": 0.31, "late_s": 0.00008}
    found = [
        Diagnosis(bottleneck=Bottleneck.QUEUE, split=SPLIT, processors_busy=0.4, **seen),
        Diagnosis(bottleneck=Bottleneck.COMPUTE, split=SPLIT, processors_busy=0.95, **seen),
        Diagnosis(bottleneck=Bottleneck.FRONT_END, split=SPLIT, **seen),
        Diagnosis(bottleneck=Bottleneck.CLIENT, engine_busy=0.85, late_s=0.006),
        Diagnosis(bottleneck=Bottleneck.UNKNOWN, engine_busy=math.nan),
    ]

    texts.check(
        "bottlenecks.txt",
        {
            each.bottleneck: (bottleneck_text.title(each), *bottleneck_text.sentences(each))
            for each in found
        },
    )


def test_what_is_not_the_machine() -> None:
    """A server with processors of its own is judged by these; of a GPU nothing is known."""
    queue = Diagnosis(bottleneck=Bottleneck.QUEUE, split=SPLIT, processors_busy=0.4, shared=False)

    _, of_processors, *_, of_gpus = bottleneck_text.sentences(queue, gpus=True)

    assert of_processors == (
        "At the highest load within the budget, the server took 40 % of the processor time that "
        "it may have."
    )
    assert of_gpus.startswith("The load of the GPU is not stored")


def test_requests_that_were_put_back() -> None:
    """It is said first: what is computed twice is no lack of processors."""
    found = Diagnosis(bottleneck=Bottleneck.COMPUTE, split=SPLIT)

    first, *_ = bottleneck_text.sentences(found, preemptions=1200)

    assert first == (
        "The server put requests back 1,200 times, as its cache of keys and values was full: what "
        "it had computed for them, it computed again. Fewer requests at once, or more memory for "
        "that cache, avoid it."
    )
