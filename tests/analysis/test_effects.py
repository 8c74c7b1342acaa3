"""Which parameters mattered: what counts, and what is called what."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from tests.report import studies
from tests.spaces import choice, space
from tuner.analysis.comparison import holm
from tuner.analysis.effect_columns import DOUBLED
from tuner.analysis.effects import Effect, Effects, Judgement, effects
from tuner.errors import Reason
from tuner.numbers.distributions import t_cdf, t_quantile
from tuner.records import Purpose, StudyRecord, TrialRecord, TrialState
from tuner.space.expressions import Value
from tuner.space.space import Configuration, Parameter

SWITCHES = ("a", "b", "c", "d")
# What each switch really does, as a logarithm: two do nothing.
TRUTH = {"a": 0.5, "b": -0.4, "c": 0.0, "d": 0.0}


def trial(number: int, capacity: float, values: Mapping[str, Value], **wishes: Any) -> TrialRecord:
    """A trial without load points; the first one is the baseline."""
    facts: dict[str, Any] = {
        "configuration": Configuration.of(values),
        "throughput": capacity,
        "log_error": 0.01,
        "purpose": Purpose.SEARCH if number else Purpose.BASELINE,
    }
    return studies.trial(number, **(facts | wishes))


def study(trials: Sequence[TrialRecord], *parameters: Parameter) -> StudyRecord:
    names = {parameter.name: parameter.domain for parameter in parameters}
    return studies.study(trials, parameters=names, space=space(*parameters))


def grid() -> list[dict[str, Value]]:
    """All configurations of the four switches, the defaults first."""
    return [
        dict(zip(SWITCHES, values, strict=True))
        for values in itertools.product((False, True), repeat=4)
    ]


def log_capacity(values: Mapping[str, Value]) -> float:
    return 5 + sum(TRUTH[name] for name in SWITCHES if values[name])


def factorial(seed: int = 2, scatter: float = 0.05) -> StudyRecord:
    """Every configuration of the switches once, as an exhaustive search leaves it."""
    random = np.random.default_rng(seed)
    return study(
        [
            trial(n, math.exp(log_capacity(values) + scatter * random.standard_normal()), values)
            for n, values in enumerate(grid())
        ]
    )


def of(found: Effects, parameter: str, value: Value | None = None) -> Effect:
    """That of `value`; the first one of the parameter without it."""
    own = [e for e in found.effects if e.parameter == parameter]
    return own[0] if value is None else next(e for e in own if e.value == value)


def shown(effect: Effect) -> tuple[float, float, float]:
    assert effect.ratio is not None
    return effect.ratio.low, effect.ratio.estimate, effect.ratio.high


class TestFactorial:
    @pytest.mark.parametrize("name", SWITCHES)
    def test_classical_main_effects(self, name: str) -> None:
        """Of an exhaustive study: the difference of two means, and its interval on paper."""
        record = factorial()
        logs = np.array([math.log(each.throughput) for each in record.trials])
        signs = np.array([[2 * int(row[n]) - 1 for n in SWITCHES] for row in grid()])
        residuals = logs - logs.mean() - signs @ (signs.T @ logs) / 16
        error = math.sqrt(float((residuals**2).sum()) / (16 - 5) * (1 / 8 + 1 / 8))
        on = signs[:, SWITCHES.index(name)] == 1
        value, margin = logs[on].mean() - logs[~on].mean(), t_quantile(0.975, 11) * error

        low, estimate, high = shown(of(effects(record), name))

        assert (low, estimate, high) == pytest.approx(
            tuple(math.exp(value + side * margin) for side in (-1, 0, 1)), rel=1e-5
        )

    def test_verdicts(self) -> None:
        """What helped, what hurt, and what is not proved to do either, in pairs as well."""
        found = effects(factorial())

        assert [each.judgement for each in found.effects] == [
            Judgement.HELPED,
            Judgement.HURT,
            Judgement.UNDECIDED,
            Judgement.UNDECIDED,
        ]
        assert {(each.measured, each.pairs) for each in found.effects} == {(8, 8)}
        assert of(found, "a").direct == pytest.approx(shown(of(found, "a"))[1])
        assert found.measured == 16

    def test_holm_corrects_the_verdicts(self) -> None:
        """The p-values are those of the whole family; the interval is of one effect alone."""
        found = effects(factorial(seed=1, scatter=0.3))
        alone = []
        for each in found.effects:
            _, estimate, high = shown(each)
            error = math.log(high / estimate) / t_quantile(0.975, 11)
            alone.append(2 * t_cdf(-abs(math.log(estimate)) / error, 11))

        assert [e.ratio.p_value for e in found.effects if e.ratio] == pytest.approx(holm(alone))
        assert holm(alone) != tuple(alone)


class TestWhatCounts:
    def test_repeats_are_one_configuration(self) -> None:
        """Finals and repeats of the baseline make a configuration surer, and not more of it."""
        record = factorial()
        again = [
            trial(16 + n, record.trials[0].throughput, grid()[0], purpose=purpose, round=n)
            for n, purpose in enumerate((Purpose.DRIFT, Purpose.FINAL, Purpose.FINAL))
        ]
        once, more = effects(record), effects(replace(record, trials=(*record.trials, *again)))

        assert more.measured == once.measured == 16
        assert shown(of(more, "a")) == pytest.approx(shown(of(once, "a")), rel=0.001)

    def test_the_mean_of_all_measurements(self) -> None:
        """A configuration that measured 10 % more and 10 % less counts with what is between."""
        record = factorial()
        last = record.trials[-1]
        twice = (
            replace(last, throughput=last.throughput * 1.1),
            trial(16, last.throughput / 1.1, grid()[-1], purpose=Purpose.FINAL),
        )
        found = effects(replace(record, trials=(*record.trials[:-1], *twice)))

        assert shown(of(found, "c")) == pytest.approx(shown(of(effects(record), "c")))

    def test_a_proof_is_no_measurement_of_a_capacity(self) -> None:
        """The claimed load that was put to the proof says nothing of what would have fit."""
        record = factorial()
        proof = trial(16, 1.0, grid()[-1], purpose=Purpose.PROOF, proof="within")

        found = effects(replace(record, trials=(*record.trials, proof)))

        assert found == effects(record)

    def test_what_the_tuner_spoiled_does_not_count(self) -> None:
        """A trial that the load engine could not measure says nothing of its configuration."""
        record = factorial()
        values = grid()[0] | {"e": True}
        spoiled = trial(16, 0.0, values, state=TrialState.FAILED, reason=Reason.CLIENT_OVERLOADED)

        assert effects(replace(record, trials=(*record.trials, spoiled))) == effects(record)

    def test_configurations_without_a_capacity_are_counted(self) -> None:
        """Failed and infeasible ones have no part in the fit, and are told beside the effect."""
        record = factorial()
        failed = replace(record.trials[15], state=TrialState.FAILED, reason=Reason.CRASHED)
        slow = replace(record.trials[14], state=TrialState.INFEASIBLE, throughput=0.0)
        found = effects(replace(record, trials=(*record.trials[:14], slow, failed)))

        assert (found.measured, found.bounded, found.without) == (14, 0, 2)
        assert (of(found, "d").measured, of(found, "d").without) == (7, 1)
        assert of(found, "a").judgement is Judgement.HELPED

    def test_a_pruned_trial_is_a_bound(self) -> None:
        """What was stopped because beaten pulls an effect down, as the bound allows."""
        record = factorial()
        low = replace(
            record.trials[15], state=TrialState.PRUNED, throughput=100.0, log_error=math.inf
        )
        found = effects(replace(record, trials=(*record.trials[:15], low)))
        without = effects(replace(record, trials=record.trials[:15]))

        assert (found.measured, found.bounded) == (15, 1)
        assert (of(found, "a").measured, of(found, "a").bounded) == (7, 1)
        assert shown(of(found, "c"))[1] < shown(of(without, "c"))[1]

    def test_a_slower_machine_is_taken_off(self) -> None:
        """Where the machine became slower half-way, that is not credited to a parameter."""
        fast = [(n, math.exp(log_capacity(values)), values) for n, values in enumerate(grid())]
        slow = [(n, (0.85 if n >= 8 else 1.0) * capacity, v) for n, capacity, v in fast]
        trials = [trial(n, capacity, values, unloaded_s=0.01) for n, capacity, values in slow]
        speeds = {1: 1.0, 2: 1.0, 3: 1.0, 7: 1.0, 8: 0.85, 11: 0.85, 13: 0.85, 15: 0.85}
        repeats = [
            trial(
                100 + at,
                fast[0][1] * speed,
                grid()[0],
                purpose=Purpose.DRIFT,
                unloaded_s=0.01 / speed,
                saturation=fast[0][1] * speed,
                started_at=trials[at].started_at + timedelta(seconds=1),
                finished_at=trials[at].started_at + timedelta(seconds=2),
            )
            for at, speed in speeds.items()
        ]
        first = replace(trials[0], saturation=trials[0].throughput)
        ordered = sorted([first, *trials[1:], *repeats], key=lambda each: each.started_at)

        found = effects(study(ordered))

        assert shown(of(found, "a"))[1] == pytest.approx(math.exp(0.5), rel=0.02)


class TestValues:
    def test_more_than_two_values(self) -> None:
        """Each of a few values is compared with the default, wherever it is among them."""
        gains = {1: 1.0, 2: 1.5, 4: 0.8}
        trials = [
            trial(n, 100 * gains[count] * (1 + 0.02 * (n % 2)), {"count": count, "other": other})
            for n, (other, count) in enumerate(itertools.product((0, 1, 2, 3), (2, 1, 4)))
        ]
        found = effects(study(trials))

        assert [(e.parameter, e.value, e.reference) for e in found.effects[:2]] == [
            ("count", 1, 2),
            ("count", 4, 2),
        ]
        assert shown(of(found, "count", 1))[1] == pytest.approx(1 / 1.5, rel=0.03)
        assert shown(of(found, "count", 4))[1] == pytest.approx(0.8 / 1.5, rel=0.03)

    def test_many_numbers_are_told_for_each_doubling(self) -> None:
        """A batch size of many values is a line: so much for each doubling."""
        noise = np.random.default_rng(3).normal(0, 0.02, 12)
        trials = [
            trial(n, 100 * 1.2**power * math.exp(noise[n]), {"batch": 2**power, "on": on})
            for n, (on, power) in enumerate(itertools.product((False, True), range(6)))
        ]
        found = effects(study(trials))

        assert found.effects[0].value == DOUBLED
        assert shown(found.effects[0])[1] == pytest.approx(1.2, rel=0.02)
        assert found.effects[0].judgement is Judgement.HELPED

    def test_a_parameter_that_depends_on_another(self) -> None:
        """Being there is the doing of its condition; its values are compared with its default."""
        noise = iter(np.random.default_rng(4).normal(0, 0.02, 12).tolist())
        values: list[dict[str, Value]] = [{"on": False, "n": n} for n in (1, 2)]
        values += [{"on": True, "n": n, "size": size} for n in (1, 2) for size in (4, 8, 16)]
        gains = {4: 1.3, 8: 1.0, 16: 0.7}
        trials = [
            trial(
                number,
                100 * (2.0 if v["on"] else 1.0) * gains[int(v.get("size", 8))]
                * math.exp(next(noise)),
                v,
            )
            for number, v in enumerate(values)
        ]  # fmt: skip
        found = effects(study(trials, choice(8, 4, 16, name="size")))

        assert shown(of(found, "on"))[1] == pytest.approx(2.0, rel=0.06)
        assert of(found, "on").pairs == 2
        assert {e.reference for e in found.effects if e.parameter == "size"} == {8}
        line = [e for e in found.effects if e.parameter == "size"]
        assert [e.value for e in line] == [DOUBLED]

    def test_a_default_that_was_not_measured(self) -> None:
        """Values of a parameter that the baseline has not got are compared with the usual one."""
        values: list[dict[str, Value]] = [{"on": False, "n": n} for n in (1, 2, 3)]
        values += [{"on": True, "n": n, "mode": m} for n in (1, 2, 3) for m in ("x", "y")]
        values += [{"on": True, "n": 1, "mode": "x", "extra": True}]
        trials = [trial(n, 100.0 + n, v) for n, v in enumerate(values)]

        found = effects(study(trials, choice("w", "x", "y")))

        assert of(found, "mode", "y").reference == "x"

    def test_parameters_that_changed_together_are_named(self) -> None:
        """What two parameters did only together is credited to neither."""
        values = [{"a": on, "b": on, "c": c} for on in (False, True) for c in (1, 2, 3)]
        found = effects(study([trial(n, 100.0 + n, v) for n, v in enumerate(values)]))

        assert of(found, "a").judgement is Judgement.UNKNOWN
        assert of(found, "a").why == "not separable from b"
        assert of(found, "b").why == "not separable from a"

    def test_values_that_were_never_measured(self) -> None:
        """A value that crashed each time has no effect that is known, and the reason is said."""
        record = factorial()
        broken = [
            trial(16 + n, 0.0, row | {"e": True}, state=TrialState.FAILED, reason=Reason.CRASHED)
            for n, row in enumerate(grid()[:2])
        ]
        trials = [
            replace(t, configuration=Configuration.of({**t.configuration, "e": False}))
            for t in record.trials
        ]
        found = effects(study([*trials, *broken]))

        assert of(found, "e").why == "no configuration with it has a measured capacity"
        assert (of(found, "e").measured, of(found, "e").without) == (0, 2)
        assert of(found, "a").judgement is Judgement.HELPED

    def test_a_default_that_crashed(self) -> None:
        """Without a measured default there is nothing to compare the others with."""
        values: list[dict[str, Value]] = [
            {"mode": m, "c": c} for m in ("w", "x", "y") for c in (1, 2, 3)
        ]
        trials = [trial(n, 100.0 + n, v) for n, v in enumerate(values)]
        trials[:3] = [
            replace(t, state=TrialState.FAILED, reason=Reason.CRASHED) for t in trials[:3]
        ]

        found = effects(study(trials))

        assert of(found, "mode", "x").why == "none with w has a measured capacity"

    def test_too_few_configurations(self) -> None:
        """Where nothing is left to see how sure it is, nothing is said; so many are needed."""
        record = factorial()
        found = effects(replace(record, trials=tuple(record.trials[n] for n in (0, 1, 2, 4, 8))))

        assert {each.why for each in found.effects} == {"too few configurations were measured"}
        assert (found.measured, found.needed) == (5, 6)

    @pytest.mark.parametrize(
        "trials",
        [
            [],
            [studies.baseline()],
            [studies.failed(0, Reason.CRASHED, "gone")],
            [studies.trial(1, 100.0, state=TrialState.PRUNED)],
        ],
    )
    def test_studies_without_anything_to_compare(self, trials: list[TrialRecord]) -> None:
        """A study that measured one configuration, or none, has no effects."""
        assert effects(studies.study(trials)).effects == ()


class TestTogether:
    def test_the_effects_of_a_configuration_multiply(self) -> None:
        """What the single effects of a configuration multiply to, with an interval."""
        record = factorial()
        found = effects(record, record.trials[15].configuration)
        product = math.prod(shown(each)[1] for each in found.effects)

        assert found.multiplied is not None
        assert found.multiplied.estimate == pytest.approx(product)
        assert found.multiplied.low < product < found.multiplied.high

    def test_effects_that_are_not_known_do_not_multiply(self) -> None:
        """Where one of them is not known there is no product."""
        values = [{"a": on, "b": on, "c": c} for on in (False, True) for c in (1, 2, 3)]
        trials = [trial(n, 100.0 + n, v) for n, v in enumerate(values)]
        other = Configuration.of({"a": True, "b": False, "c": 1})

        assert effects(study(trials), other).multiplied is None
        assert effects(study(trials), trials[-1].configuration).multiplied is not None
