"""Where configurations crash: regions in which nearly every trial failed, in words (pure).

Found by sequential covering, as in CN2 (Clark and Boswell 1991) and RIPPER (Cohen 1995): the best
rule is kept, the failures that it covers are set aside, and the next one is looked for. A rule has
at most two conditions; the best one has the highest Laplace estimate of its failure rate.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuner.numbers.arrays import BoolArray, FloatArray
from tuner.records import NOT_ITS_FAULT, TrialRecord, TrialState
from tuner.search.promise import evenly
from tuner.space.expressions import Value
from tuner.space.space import Configuration, FloatParameter, Parameter, SearchSpace

# A rule of one condition covers at least this many failures, one of two conditions one more.
_FEWEST_FAILURES = 2
# At most this share of the trials in a region did not fail.
_EXCEPTIONS = 0.1
# At most this many thresholds of one parameter are tried, spread over the values that failed.
_THRESHOLDS = 12


class Condition(NamedTuple):
    """What a parameter's value is compared with; it does not hold where the parameter is not."""

    parameter: str
    operator: Literal[">=", "<=", "="]
    value: Value

    def holds(self, configuration: Configuration) -> bool:
        if self.parameter not in configuration:
            return False
        value = configuration[self.parameter]
        if self.operator == "=":
            return value == self.value
        above = float(value) - float(self.value)
        return above >= 0 if self.operator == ">=" else above <= 0

    def __str__(self) -> str:
        value = f"{self.value:g}" if isinstance(self.value, float) else str(self.value).lower()
        return f"{self.parameter} {self.operator} {value}"


@dataclass(frozen=True)
class CrashRegion:
    """`failed` of the `tried` configurations that meet all `conditions` failed.

    `reasons` are the names of what they failed for, the most frequent first.
    """

    conditions: tuple[Condition, ...]
    failed: int
    tried: int
    reasons: tuple[str, ...]

    @property
    def probability(self) -> float:
        """The Laplace estimate that another configuration in here fails."""
        return (self.failed + 1) / (self.tried + 2)

    def __contains__(self, configuration: Configuration) -> bool:
        return all(condition.holds(configuration) for condition in self.conditions)

    def __str__(self) -> str:
        where = " and ".join(map(str, self.conditions))
        return f"{where}: {self.failed} of {self.tried} failed ({', '.join(self.reasons)})"


def regions(space: SearchSpace, trials: Sequence[TrialRecord]) -> tuple[CrashRegion, ...]:
    """The regions that explain the failures among `trials`, the most certain rule first.

    Failures that are nobody's fault but the tuner's say nothing. A failure that no rule explains
    is in no region.
    """
    telling = [t for t in trials if t.reason not in NOT_ITS_FAULT]
    failed = np.array([t.state is TrialState.FAILED for t in telling], dtype=np.bool_)
    found: list[CrashRegion] = []
    if failed.sum() < _FEWEST_FAILURES:
        return ()
    rules = _Rules(space, [t.configuration for t in telling], failed)
    unexplained = failed.copy()
    while (rule := rules.best(unexplained)) is not None:
        conditions, inside = rule
        reasons = Counter(
            str(t.reason) for t, bad in zip(telling, failed & inside, strict=True) if bad
        )
        found.append(
            CrashRegion(
                conditions,
                failed=int((failed & inside).sum()),
                tried=int(inside.sum()),
                reasons=tuple(name for name, _ in reasons.most_common()),
            )
        )
        unexplained &= ~inside
    return tuple(found)


def predicted_crash(known: Sequence[CrashRegion], configuration: Configuration) -> float:
    """The chance that `configuration` fails, by the worst region that it is in; 0 outside."""
    return max((r.probability for r in known if configuration in r), default=0.0)


class _Rules:
    """All conditions that a failure meets, and which trials meet each of them."""

    def __init__(
        self, space: SearchSpace, configurations: Sequence[Configuration], failed: BoolArray
    ) -> None:
        rows = [
            (condition, width, mask)
            for parameter in space.parameters
            for condition, width, mask in _conditions(parameter, configurations, failed)
        ]
        self._conditions = [condition for condition, _, _ in rows]
        self._widths = [width for _, width, _ in rows]
        masks = [mask for _, _, mask in rows]
        self._masks = np.array(masks, dtype=np.bool_).reshape(len(rows), len(failed))
        self._succeeded = self._pairs(~failed)

    def _pairs(self, counted: BoolArray) -> NDArray[np.float32]:
        """How many of the `counted` trials meet both of two conditions; one, on the diagonal."""
        inside = self._masks[:, counted].astype(np.float32)
        return inside @ inside.T

    def best(self, unexplained: BoolArray) -> tuple[tuple[Condition, ...], BoolArray] | None:
        """The most certain rule that covers enough of the `unexplained` failures.

        Of several the shortest, and of these the one that says least of the rest of the space.
        """
        covered, succeeded = self._pairs(unexplained), self._succeeded
        fewest = np.where(
            np.eye(len(covered), dtype=np.bool_), _FEWEST_FAILURES, _FEWEST_FAILURES + 1
        )
        allowed = (covered >= fewest) & (succeeded <= _EXCEPTIONS * (covered + succeeded))
        if not allowed.any():
            return None
        certainty = np.where(allowed, (covered + 1) / (covered + succeeded + 2), 0.0)
        first, second = min(
            zip(*np.nonzero(certainty == certainty.max()), strict=True),
            key=lambda pair: (pair[0] != pair[1], self._width(*pair), *pair),
        )
        pair = dict.fromkeys((self._conditions[first], self._conditions[second]))
        return tuple(pair), self._masks[first] & self._masks[second]

    def _width(self, first: int, second: int) -> float:
        """Roughly, the share of the space that meets both conditions."""
        width = self._widths[first]
        return width if first == second else width * self._widths[second]


def _conditions(
    parameter: Parameter, configurations: Sequence[Configuration], failed: BoolArray
) -> Iterator[tuple[Condition, float, BoolArray]]:
    """What failing values have in common, the share of the domain that has it too, and who has.

    Conditions that every value meets are left out.
    """
    choices, name = parameter.choices, parameter.name
    given = [configuration.get(name) for configuration in configurations]
    bad = {value for value, each in zip(given, failed, strict=True) if each and value is not None}
    if choices is not None and any(isinstance(choice, bool | str) for choice in choices):
        for choice in choices:
            if choice in bad and len(choices) > 1:
                equal = np.array([value == choice for value in given], dtype=np.bool_)
                yield Condition(name, "=", choice), 1 / len(choices), equal
        return
    # Comparisons with NaN, which stands for a parameter that is not there, do not hold.
    column = np.array([np.nan if value is None else float(value) for value in given])
    domain = _domain(parameter)
    for threshold in evenly(sorted(bad, key=float), _THRESHOLDS):
        at = float(threshold)
        if at > domain.min():
            width = float((domain >= at).mean())
            yield Condition(name, ">=", threshold), width, column >= at
        if at < domain.max():
            width = float((domain <= at).mean())
            yield Condition(name, "<=", threshold), width, column <= at


def _domain(parameter: Parameter) -> FloatArray:
    """All values of a parameter of numbers; of an interval, a hundred of them."""
    if isinstance(parameter, FloatParameter) and parameter.step is None:
        spaced = np.geomspace if parameter.log else np.linspace
        return np.asarray(spaced(parameter.low, parameter.high, 100))
    return np.array([float(choice) for choice in parameter.choices or ()])
