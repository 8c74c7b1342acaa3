"""What a study says of the very thing that a hint advises."""

from dataclasses import replace
from typing import Any

import pytest

from tests.hints.demo import SPACE
from tests.hints.test_settings import built_in
from tuner.analysis.effect_columns import ABOVE_ZERO, DOUBLED
from tuner.analysis.effects import Effect, Effects
from tuner.analysis.standings import Ratio
from tuner.hints.catalogue import Hint, Importance, catalogue
from tuner.hints.checking import check
from tuner.hints.evidence import Finding, evidence
from tuner.hints.facts import Facts
from tuner.space.expressions import Value

HINTS = {hint.name: hint for hint in catalogue()}


def hint(setting: str, value: Value | None = None, **wishes: Any) -> Hint:
    return Hint(
        name="some",
        theme="some",
        condition="true",
        advice="Do it.",
        effect="some",
        source="docs/effects.md",
        importance=Importance.HIGH,
        setting=setting,
        value=value,
        **wishes,
    )


def effect(parameter: str, value: Value, reference: Value, ratio: float, p: float) -> Effect:
    return Effect(
        parameter=parameter,
        value=value,
        reference=reference,
        ratio=Ratio(0.9 * ratio, ratio, 1.1 * ratio, p),
    )


HELPED, HURT, OPEN = (1.38, 0.001), (0.7, 0.001), (1.1, 0.4)
THREADS = ("triton_onnxruntime", "intra_op_thread_count")


@pytest.mark.parametrize(
    ("advised", "parameter", "value", "reference", "found", "expected"),
    [
        (hint("threads", 1), "threads", 1, 2, HELPED, Finding.PROVED),
        (hint("threads", 1), "threads", 1, 2, HURT, Finding.DISPROVED),
        (hint("threads", 1), "threads", 1, 2, OPEN, Finding.UNDECIDED),
        # A hint to keep the default: that another value hurts proves it.
        (hint("threads", 2), "threads", 1, 2, HURT, Finding.PROVED),
        (hint("threads", 2), "threads", 1, 2, HELPED, Finding.DISPROVED),
        (hint("batching", value=True), "dynamic_batching", True, False, HELPED, Finding.PROVED),
        # Of a line over many numbers only the direction counts.
        (hint("instances"), "instance_count", DOUBLED, 1, HELPED, Finding.PROVED),
        (hint("instances", more=False), "instance_count", DOUBLED, 1, HELPED, Finding.DISPROVED),
        (hint("threads", 1), "threads", DOUBLED, 8, HURT, Finding.PROVED),
        (hint("preferred", 0), "preferred_batch_size", ABOVE_ZERO, 0, HURT, Finding.PROVED),
        (hint("instances"), "instance_count", 2, 1, HELPED, Finding.PROVED),
        (hint("instances"), "instance_count", 1, 2, HELPED, Finding.DISPROVED),
    ],
)
def test_one_effect(
    advised: Hint,
    parameter: str,
    value: Value,
    reference: Value,
    found: tuple[float, float],
    expected: Finding,
) -> None:
    """Proved where following the advice helped, disproved where it hurt."""
    shown = effect(parameter, value, reference, *found)

    result = evidence(advised, SPACE, Effects(effects=(shown,)))

    assert result is not None
    assert (result.finding, result.effects) == (expected, (shown,))


@pytest.mark.parametrize(
    ("advised", "space", "parameter", "value", "found", "expected"),
    [
        (hint("queue"), "triton_all", "queue_size", 16, HURT, Finding.PROVED),
        (hint("queue"), "triton_all", "queue_size", ABOVE_ZERO, HELPED, Finding.DISPROVED),
        (hint("threads", more=False), *THREADS, 1, HELPED, Finding.PROVED),
        (hint("threads", more=False), *THREADS, ABOVE_ZERO, HURT, Finding.DISPROVED),
        (hint("threads", 1), *THREADS, DOUBLED, HURT, Finding.PROVED),
    ],
)
def test_zero_may_be_the_most(
    advised: Hint,
    space: str,
    parameter: str,
    value: Value,
    found: tuple[float, float],
    expected: Finding,
) -> None:
    """Where it stands for any number, or for all cores, every other number is less."""
    effects = Effects(effects=(effect(parameter, value, 0, *found),))

    result = evidence(advised, built_in(space), effects)

    assert result is not None
    assert result.finding is expected


def test_a_result_does_not_disprove_what_warns_of_it() -> None:
    """The cache helped: that is why the capacity is not one of the model."""
    facts: Facts = {"server.kind": "triton", "config.cache": True, "request.made_up": True}
    effects = Effects(effects=(effect("response_cache", True, False, 8.0, 0.001),))
    hints = [HINTS["cache-on-made-up-requests"]]

    [advice] = check(hints, facts, built_in("triton_cache"), effects).advice

    assert advice.evidence is None


def test_one_value_is_enough() -> None:
    """Two copies helped, four did nothing: more copies are proved, the decided effect first."""
    effects = (
        effect("instance_count", 4, 1, *OPEN),
        effect("instance_count", 2, 1, *HELPED),
    )

    found = evidence(hint("instances"), SPACE, Effects(effects=effects))

    assert found is not None
    assert found.finding is Finding.PROVED
    assert [each.value for each in found.effects] == [2, 4]


def test_another_value_says_nothing() -> None:
    """Four threads instead of two say nothing of one."""
    effects = Effects(effects=(effect("threads", 4, 2, *HELPED),))

    assert evidence(hint("threads", 1), SPACE, effects) is None


@pytest.mark.parametrize("space", [SPACE, None])
def test_what_was_not_measured(space: Any) -> None:
    """Not without effects, of no setting, or where the effect is not known."""
    unknown = replace(effect("threads", 1, 2, *HELPED), ratio=None)

    assert evidence(hint("threads", 1), space, Effects()) is None
    assert evidence(hint("threads", 1), space, Effects(effects=(unknown,))) is None
    assert evidence(hint(""), space, Effects(effects=(effect("threads", 1, 2, *HURT),))) is None


FACTS: Facts = {
    "server.kind": "triton",
    "host.gpus": 0,
    "host.cores": 8,
    "default.threads": 8,
    "default.batching": False,
    "model.max_batch_size": 16,
    "config.threads": 1,
    "config.batching": True,
    "host.numa_nodes": 2,
}


class TestTheOrder:
    def test_what_is_left_to_do_comes_first(self) -> None:
        """Then what the winner has, then what the study disproves, whatever their importance."""
        effects = Effects(effects=(effect("threads", 1, 8, *HURT),))

        advice = check(catalogue(), FACTS, SPACE, effects).advice

        assert [each.hint.name for each in advice] == [
            "several-numa-nodes",
            "dynamic-batching",
            "one-thread-per-worker",
        ]
        assert [each.followed for each in advice] == [False, True, True]
        assert [each.is_disproved for each in advice] == [False, False, True]

    def test_hints_about_other_servers_are_not_missing_anything(self) -> None:
        """Of those of TorchServe nothing has to be known here."""
        unknown = check(catalogue(), FACTS).unknown

        assert "autocast" not in unknown
        assert unknown["half-on-processor"] == ("model.float16",)
