"""Where configurations crash, in words."""

import math
import random
from typing import Any

import pytest

from tests.report import studies
from tests.spaces import choice, integer, real, space, switch
from tuner.errors import Reason
from tuner.records import TrialRecord, TrialState
from tuner.search.crash_regions import Condition, CrashRegion, predicted_crash, regions
from tuner.space.expressions import Value
from tuner.space.space import Configuration

SERVER = space(
    integer("instance_count", high=4),
    switch("dynamic_batching"),
    integer("max_batch_size", when="dynamic_batching", low=2, high=64, log=True, default=16),
    choice("system", "jemalloc", "tcmalloc", name="allocator"),
    real("share"),
)


FINE, FAILED = None, Reason.LOAD_FAILED


def ended(reason: Reason | None, configuration: Configuration) -> TrialRecord:
    """A trial that failed for `reason`; within the latency budget if that is None."""
    facts: dict[str, Any] = {"configuration": configuration, "points": ()}
    if reason is not None:
        facts |= {"state": TrialState.FAILED, "reason": reason, "unloaded_s": math.nan}
    return studies.trial(0, **facts)


def trial(reason: Reason | None, **values: Value) -> TrialRecord:
    return ended(reason, SERVER.activate(values))


def batched(reason: Reason | None, size: int, instances: int = 1, **more: Value) -> TrialRecord:
    values: dict[str, Value] = {"max_batch_size": size, "instance_count": instances}
    return trial(reason, dynamic_batching=True, **values, **more)


def words(*trials: TrialRecord) -> list[str]:
    return [str(region) for region in regions(SERVER, trials)]


CASES: dict[str, tuple[list[TrialRecord], list[str]]] = {
    "it begins at the smallest failure": (
        [
            trial(FINE),
            *(batched(FINE, size) for size in (8, 16)),
            *(batched(FAILED, size) for size in (32, 64)),
        ],
        ["max_batch_size >= 32: 2 of 2 failed (load_failed)"],
    ),
    "both conditions are named": (
        [
            *(batched(FINE, size, n) for size, n in ((64, 1), (32, 1), (16, 4), (16, 2))),
            *(
                batched(FAILED, size, n)
                for size, n in ((64, 2), (32, 2), (32, 4), (64, 4), (64, 3))
            ),
        ],
        ["instance_count >= 2 and max_batch_size >= 32: 5 of 5 failed (load_failed)"],
    ),
    "what is small may be what fails": (
        [*(batched(FAILED, size) for size in (2, 4)), *(batched(FINE, size) for size in (8, 32))],
        ["max_batch_size <= 4: 2 of 2 failed (load_failed)"],
    ),
    "one of several names": (
        [
            trial(FAILED, allocator="jemalloc", share=0.1),
            trial(FAILED, allocator="jemalloc", share=0.9),
            trial(FINE, allocator="tcmalloc", share=0.0),
            trial(FINE, allocator="system", share=1.0),
        ],
        ["allocator = jemalloc: 2 of 2 failed (load_failed)"],
    ),
    "a switch is a name as well": (
        [batched(FAILED, 2), batched(FAILED, 64), trial(FINE), trial(FINE, share=1.0)],
        ["dynamic_batching = true: 2 of 2 failed (load_failed)"],
    ),
    "real numbers have thresholds where something failed": (
        [
            *(trial(FINE, share=share) for share in (0.1, 0.3, 0.5)),
            *(trial(FAILED, share=share) for share in (0.625, 0.75, 1.0)),
        ],
        ["share >= 0.625: 3 of 3 failed (load_failed)"],
    ),
    "two causes, the one with more evidence first": (
        [
            *(batched(FAILED, 64, instances) for instances in (1, 2, 3, 4)),
            *(batched(FINE, size) for size in (2, 4, 8, 16, 32)),
            trial(Reason.START_FAILED, allocator="tcmalloc"),
            trial(Reason.START_FAILED, allocator="tcmalloc", instance_count=3),
            *(trial(FINE, instance_count=count) for count in (1, 2, 3, 4)),
        ],
        [
            "max_batch_size >= 64: 4 of 4 failed (load_failed)",
            "allocator = tcmalloc: 2 of 2 failed (start_failed)",
        ],
    ),
    "the most frequent reason comes first": (
        [
            batched(Reason.CRASHED, 64, 1),
            batched(Reason.OUT_OF_MEMORY, 64, 2),
            batched(Reason.OUT_OF_MEMORY, 64, 4),
            batched(FINE, 32),
        ],
        ["max_batch_size >= 64: 3 of 3 failed (out_of_memory, crashed)"],
    ),
    "one success of eleven does not deny the region": (
        [*(batched(FAILED, 64) for _ in range(10)), batched(FINE, 64), batched(FINE, 8)],
        ["max_batch_size >= 64: 10 of 11 failed (load_failed)"],
    ),
    "one success of nine does": (
        [*(batched(FAILED, 64) for _ in range(8)), batched(FINE, 64), batched(FINE, 8)],
        [],
    ),
    "as many succeeded side by side": (
        [batched(reason, 64) for reason in (FAILED, FAILED, FAILED, FINE, FINE, FINE)],
        [],
    ),
    "a single failure": ([*(batched(FINE, n) for n in (2, 8, 16)), batched(FAILED, 64)], []),
    "no failure": ([batched(FINE, size) for size in (2, 8, 16)], []),
    "no trial": ([], []),
    "two conditions need more than two failures": (
        [
            *(batched(FAILED, size, n) for size, n in ((64, 4), (32, 3))),
            *(batched(FINE, size, n) for size, n in ((64, 1), (16, 4), (16, 3))),
        ],
        [],
    ),
    "of rules for the same trials, the one that excludes least of the space": (
        [
            *(batched(FAILED, size, 2) for size in (64, 32)),
            *(batched(FINE, size, 1) for size in (16, 2)),
            trial(FINE, instance_count=1),
        ],
        ["max_batch_size >= 32: 2 of 2 failed (load_failed)"],
    ),
}


@pytest.mark.parametrize(("trials", "expected"), CASES.values(), ids=CASES)
def test_regions(trials: list[TrialRecord], expected: list[str]) -> None:
    """Conditions, how many of how many failed, and why."""
    assert words(*trials) == expected


@pytest.mark.parametrize("reason", [Reason.CLIENT_OVERLOADED, Reason.INTERRUPTED])
def test_what_is_not_its_fault_teaches_nothing(reason: Reason) -> None:
    """Failures of the tuner itself are neither failures nor successes."""
    spoiled = [batched(reason, size) for size in (32, 64)]

    assert words(*spoiled, batched(FINE, 8)) == []
    assert words(*spoiled, batched(FAILED, 16), batched(FAILED, 64, 2), batched(FINE, 8)) == [
        "max_batch_size >= 16: 2 of 2 failed (load_failed)"
    ]


def test_infeasible_is_not_failed() -> None:
    """What answers too slowly did not crash: it speaks against a region."""
    slow = studies.trial(
        0,
        configuration=batched(FINE, 64).configuration,
        state=TrialState.INFEASIBLE,
        points=(),
    )
    crashed = [batched(FAILED, 64), batched(FAILED, 64)]

    assert len(words(*crashed, batched(FINE, 8))) == 1
    assert words(*crashed, batched(FINE, 8), slow) == []


def test_what_every_configuration_meets_is_no_condition() -> None:
    """Where everything failed, there is no region that is the whole space."""
    pair = space(integer("n", high=2), choice("only"))
    trials = [ended(FAILED, Configuration.of({"n": n, "mode": "only"})) for n in (1, 2)]

    assert regions(pair, trials) == ()


def test_a_hidden_region_is_found() -> None:
    """Of random trials on a space with a crashing corner, exactly that corner is found."""
    chance = random.Random(0)
    trials = []
    for _ in range(60):
        size, instances = 2 ** chance.randint(1, 6), chance.randint(1, 4)
        trials.append(
            batched(
                FAILED if size >= 16 and instances >= 3 else FINE,
                size,
                instances,
                share=chance.random(),
                allocator=chance.choice(["system", "jemalloc", "tcmalloc"]),
            )
        )

    (found,) = regions(SERVER, trials)

    assert [str(condition) for condition in found.conditions] == [
        "instance_count >= 3",
        "max_batch_size >= 16",
    ]
    assert found.failed == found.tried == sum(t.state is TrialState.FAILED for t in trials)


def test_many_thresholds() -> None:
    """Of many failing values a few are tried as thresholds, the lowest among them."""
    big = space(real("x", low=0.0, high=1000.0))
    trials = [
        ended(Reason.CRASHED if x >= 300 else FINE, Configuration.of({"x": float(x)}))
        for x in range(0, 1000, 10)
    ]

    assert [str(region) for region in regions(big, trials)] == [
        "x >= 300: 70 of 70 failed (crashed)"
    ]


REGION = CrashRegion(
    (Condition("max_batch_size", ">=", 32), Condition("instance_count", ">=", 2)),
    failed=4,
    tried=4,
    reasons=("load_failed",),
)


@pytest.mark.parametrize(
    ("values", "inside"),
    [
        pytest.param({"max_batch_size": 32, "instance_count": 2}, True, id="the corner"),
        pytest.param({"max_batch_size": 64, "instance_count": 4}, True, id="beyond it"),
        pytest.param({"max_batch_size": 16, "instance_count": 4}, False, id="one condition"),
        pytest.param({"instance_count": 4}, False, id="not there"),
    ],
)
def test_inside_and_outside(values: dict[str, Value], *, inside: bool) -> None:
    """A configuration is in a region if it meets all conditions; then it will likely fail."""
    configuration = Configuration.of(values)

    assert (configuration in REGION) is inside
    assert predicted_crash([REGION], configuration) == pytest.approx(5 / 6 if inside else 0)


def test_the_worst_region_counts() -> None:
    """In several regions at once, a configuration fails with the chance of the worst."""
    milder = CrashRegion((Condition("instance_count", "<=", 9),), 10, 11, ("crashed",))

    assert predicted_crash(
        [milder, REGION], Configuration.of({"max_batch_size": 64, "instance_count": 4})
    ) == pytest.approx(11 / 13)
    assert predicted_crash([], SERVER.defaults) == 0.0


def test_choices_in_any_order() -> None:
    """Thresholds work with any order in which the choices of numbers are written."""
    odd = space(choice(64, 4, 16, name="size"))
    trials = [
        ended(reason, Configuration.of({"size": size}))
        for size, reason in ((64, Reason.CRASHED), (16, Reason.CRASHED), (4, FINE))
    ]

    assert [str(region) for region in regions(odd, trials)] == [
        "size >= 16: 2 of 2 failed (crashed)"
    ]
