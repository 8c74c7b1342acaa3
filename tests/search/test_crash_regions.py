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


def test_one_condition() -> None:
    """Large batches failed, smaller ones did not: the region begins at the smallest failure."""
    found = words(
        trial(FINE),
        batched(FINE, 8),
        batched(FINE, 16),
        batched(FAILED, 32),
        batched(FAILED, 64),
    )

    assert found == ["max_batch_size >= 32: 2 of 2 failed (load_failed)"]


def test_two_conditions() -> None:
    """Large batches failed only with several instances: both are named."""
    found = words(
        batched(FINE, 64, 1),
        batched(FINE, 32, 1),
        batched(FINE, 16, 4),
        batched(FINE, 16, 2),
        batched(FAILED, 64, 2),
        batched(FAILED, 32, 2),
        batched(FAILED, 32, 4),
        batched(FAILED, 64, 4),
        batched(FAILED, 64, 3),
    )

    assert found == ["instance_count >= 2 and max_batch_size >= 32: 5 of 5 failed (load_failed)"]


def test_below_a_threshold() -> None:
    """What fails may be what is small."""
    found = words(batched(FAILED, 2), batched(FAILED, 4), batched(FINE, 8), batched(FINE, 32))

    assert found == ["max_batch_size <= 4: 2 of 2 failed (load_failed)"]


def test_names() -> None:
    """One of several names can be what fails; a switch is a name as well."""
    by_name = words(
        trial(FAILED, allocator="jemalloc", share=0.1),
        trial(FAILED, allocator="jemalloc", share=0.9),
        trial(FINE, allocator="tcmalloc", share=0.0),
        trial(FINE, allocator="system", share=1.0),
    )
    by_switch = words(batched(FAILED, 2), batched(FAILED, 64), trial(FINE), trial(FINE, share=1.0))

    assert by_name == ["allocator = jemalloc: 2 of 2 failed (load_failed)"]
    assert by_switch == ["dynamic_batching = true: 2 of 2 failed (load_failed)"]


def test_an_interval() -> None:
    """Real numbers without a step have thresholds where something failed."""
    found = words(
        *(
            trial(FAILED if share > 0.6 else FINE, share=share)
            for share in (0.1, 0.3, 0.5, 0.625, 0.75, 1.0)
        )
    )

    assert found == ["share >= 0.625: 3 of 3 failed (load_failed)"]


def test_several_regions() -> None:
    """Two causes are two regions, the one with more evidence first."""
    found = words(
        *(batched(FAILED, 64, instances) for instances in (1, 2, 3, 4)),
        *(batched(FINE, size) for size in (2, 4, 8, 16, 32)),
        trial(Reason.START_FAILED, allocator="tcmalloc"),
        trial(Reason.START_FAILED, allocator="tcmalloc", instance_count=3),
        *(trial(FINE, instance_count=count) for count in (1, 2, 3, 4)),
    )

    assert found == [
        "max_batch_size >= 64: 4 of 4 failed (load_failed)",
        "allocator = tcmalloc: 2 of 2 failed (start_failed)",
    ]


def test_the_most_frequent_reason_comes_first() -> None:
    """A region names every reason once, the most frequent first."""
    (found,) = regions(
        SERVER,
        [
            batched(Reason.CRASHED, 64, 1),
            batched(Reason.OUT_OF_MEMORY, 64, 2),
            batched(Reason.OUT_OF_MEMORY, 64, 4),
            batched(FINE, 32),
        ],
    )

    assert found.reasons == ("out_of_memory", "crashed")


def test_a_few_exceptions_are_allowed() -> None:
    """One success among ten or more in a region is told, and does not deny the region."""
    trials = [*(batched(FAILED, 64) for _ in range(10)), batched(FINE, 64), batched(FINE, 8)]

    assert words(*trials) == ["max_batch_size >= 64: 10 of 11 failed (load_failed)"]
    assert words(*trials[2:]) == []


def test_too_many_exceptions() -> None:
    """Where as many succeeded as failed, side by side, there is no region."""
    trials = [batched(reason, 64) for reason in (FAILED, FAILED, FAILED, FINE, FINE, FINE)]

    assert words(*trials) == []


def test_one_failure_is_no_region() -> None:
    """A single failure, and none at all, say nothing of their surroundings."""
    fine = [batched(FINE, size) for size in (2, 8, 16)]

    assert words(*fine, batched(FAILED, 64)) == []
    assert words(*fine) == []
    assert words() == []


def test_failures_without_a_pattern() -> None:
    """Two conditions need more than two failures: any two have something in common."""
    found = words(
        batched(FAILED, 64, 4),
        batched(FAILED, 32, 3),
        batched(FINE, 64, 1),
        batched(FINE, 16, 4),
        batched(FINE, 16, 3),
    )

    assert found == []


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


def test_a_region_in_words() -> None:
    """Conditions, how many of how many failed, and why."""
    region = CrashRegion(
        (Condition("dynamic_batching", "=", True), Condition("share", "<=", 0.3)),
        failed=5,
        tried=6,
        reasons=("load_failed", "crashed"),
    )

    assert str(region) == (
        "dynamic_batching = true and share <= 0.3: 5 of 6 failed (load_failed, crashed)"
    )


def test_the_narrowest_of_equals() -> None:
    """Of rules that cover the same trials, the one that excludes least of the space is kept."""
    found = words(
        batched(FAILED, 64, 2),
        batched(FAILED, 32, 2),
        batched(FINE, 16, 1),
        batched(FINE, 2, 1),
        trial(FINE, instance_count=1),
    )

    assert found == ["max_batch_size >= 32: 2 of 2 failed (load_failed)"]


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
