"""What may vary: parameters with resolved bounds, the rules between them, one configuration."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

from tuner.errors import SpaceError
from tuner.space.expressions import Expression, Value, value_text
from tuner.space.settings import Setting, Settings

# Configurations beyond this number are not counted, but told as "more than".
COUNT_LIMIT = 100_000


@dataclass(frozen=True, kw_only=True)
class _Parameter:
    """What all parameters share.

    `default` is what the server does by itself; `sets` is where the value goes; `reload` says
    whether a running server can take a new value; `when` is the condition for being there at all;
    `proof` is how the running server shows its effect.
    """

    name: str
    default: Value
    sets: Setting
    reload: bool = False
    when: Expression | None = None
    description: str = ""
    source: str = ""
    proof: str = ""


@dataclass(frozen=True, kw_only=True)
class IntParameter(_Parameter):
    """Whole numbers from `low` to `high`, both included; with `log` by doubling, not by `step`."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    @property
    def choices(self) -> tuple[Value, ...]:
        """All values, ascending; with `log` also `high` and the default, if no doubling is."""
        return tuple(self._numbers)

    @property
    def _numbers(self) -> Sequence[int]:
        if not self.log:
            return range(self.low, self.high + 1, self.step)
        doublings = (self.high // self.low).bit_length()
        numbers = {*(self.low * 2**n for n in range(doublings)), self.high, self.default}
        return sorted(n for n in numbers if isinstance(n, int) and self.low <= n <= self.high)

    def accepts(self, value: Value) -> bool:
        return type(value) is int and value in self._numbers

    def nearest(self, value: float) -> int:
        """The value of the domain that is closest; the lower one of two."""
        return min(self._numbers, key=lambda number: abs(number - value))

    @property
    def domain(self) -> str:
        suffix = ", doubling" if self.log else f" step {self.step}" if self.step > 1 else ""
        return f"{self.low} to {self.high}{suffix}"


@dataclass(frozen=True, kw_only=True)
class FloatParameter(_Parameter):
    """Real numbers from `low` to `high`; on a grid if there is a `step`."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

    @property
    def choices(self) -> tuple[Value, ...] | None:
        """All values if there is a step, else None: they cannot be counted."""
        return None if self.step is None else tuple(self._grid(self.step))

    def _grid(self, step: float) -> list[float]:
        steps = int((self.high - self.low) / step + 1e-9)
        # Twelve digits: 0.3, not 0.30000000000000004.
        return [float(f"{self.low + n * step:.12g}") for n in range(steps + 1)]

    def accepts(self, value: Value) -> bool:
        if isinstance(value, bool | str) or not self.low - 1e-9 <= value <= self.high + 1e-9:
            return False
        steps = (value - self.low) / self.step if self.step else 0.0
        return math.isclose(steps, round(steps), abs_tol=1e-9)

    def nearest(self, value: float) -> float:
        """The value of the domain that is closest; the lower one of two."""
        if self.step is None:
            return min(max(self.low, value), self.high)
        return min(self._grid(self.step), key=lambda number: abs(number - value))

    @property
    def domain(self) -> str:
        suffix = f" step {self.step}" if self.step else ", logarithmic" if self.log else ""
        return f"{self.low} to {self.high}{suffix}"


@dataclass(frozen=True, kw_only=True)
class CategoricalParameter(_Parameter):
    """One of a list; a boolean is one of false and true."""

    choices: tuple[Value, ...]

    def accepts(self, value: Value) -> bool:
        return any(type(value) is type(choice) and value == choice for choice in self.choices)

    @property
    def domain(self) -> str:
        return ", ".join(map(value_text, self.choices))


Parameter = IntParameter | FloatParameter | CategoricalParameter


@dataclass(frozen=True)
class Configuration(Mapping[str, Value]):
    """One assignment of values to the parameters whose conditions hold; hashable."""

    assignments: tuple[tuple[str, Value], ...]

    @classmethod
    def of(cls, values: Mapping[str, Value]) -> "Configuration":
        return cls(tuple(sorted(values.items())))

    @cached_property
    def _values(self) -> dict[str, Value]:
        return dict(self.assignments)

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self.assignments)

    def __str__(self) -> str:
        return " ".join(f"{name}={value_text(value)}" for name, value in self.assignments)


@dataclass(frozen=True)
class Rule:
    """An expression that every configuration satisfies, and why."""

    expression: Expression
    because: str = ""


@dataclass(frozen=True)
class SearchSpace:
    """Parameters in an order in which every condition refers to earlier ones only.

    `constants` are the facts of the machine (`cores`, ...) that conditions and rules may name.
    `hints` are partial assignments that experience says are worth trying first.
    """

    server: str
    parameters: tuple[Parameter, ...]
    rules: tuple[Rule, ...] = ()
    hints: tuple[Mapping[str, Value], ...] = ()
    constants: Mapping[str, int] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Parameter:
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(name)

    def settings(self, configuration: Mapping[str, Value]) -> Settings:
        """What `configuration` tells the server, by kind."""
        return Settings.of((self[name].sets, value) for name, value in configuration.items())

    def names_of(self, kind: str) -> list[tuple[Parameter, str]]:
        """The parameters that set something of this `kind`, with what the server calls it."""
        return [(p, name) for p in self.parameters if p.sets.kind == kind for name in p.sets.names]

    @property
    def variables(self) -> frozenset[str]:
        """The environment variables that parameters set; without a value, nobody sets them."""
        return frozenset(name for _, name in self.names_of("environment"))

    def refuse_other_than(self, *kinds: str, server: str) -> None:
        """Refuse a parameter that sets what `server` does not have.

        Raises:
            SpaceError: There is one.
        """
        others = {p.sets.kind for p in self.parameters} - set(kinds)
        for parameter in self.parameters:
            if parameter.sets.kind in others:
                raise SpaceError(
                    f"parameters.{parameter.name}.sets: {server} has no `{parameter.sets.kind}`",
                    hint="it is set by " + ", ".join(f"`{kind}`" for kind in kinds),
                )

    @property
    def defaults(self) -> Configuration:
        """The server as it is when nobody sets anything: the baseline."""
        return self.activate({p.name: p.default for p in self.parameters})

    def activate(self, values: Mapping[str, Value]) -> Configuration:
        """Those `values` whose conditions hold; the default where one is missing."""
        active: dict[str, Value] = {}
        for parameter in self.parameters:
            if self.is_active(parameter, active):
                active[parameter.name] = values.get(parameter.name, parameter.default)
        return Configuration.of(active)

    def is_active(self, parameter: Parameter, values: Mapping[str, Value]) -> bool:
        """Whether the condition holds, given the values of the parameters before it."""
        if parameter.when is None:
            return True
        known = {**self.constants, **values}
        # A condition on a parameter that is itself not there does not hold.
        return parameter.when.names <= known.keys() and _holds(parameter.when, known)

    def without(self, names: Set[str]) -> "SearchSpace":
        """The space without the parameters called `names`, and without those that need them."""
        gone = set(names)
        for parameter in self.parameters:  # conditions refer to earlier parameters only
            if parameter.when and parameter.when.names & gone:
                gone.add(parameter.name)
        kept = tuple(p for p in self.parameters if p.name not in gone)
        hints = dict.fromkeys(
            Configuration.of({n: v for n, v in hint.items() if n not in gone})
            for hint in self.hints
        )
        return replace(self, parameters=kept, hints=tuple(hints))

    def with_default(self, name: str, value: Value) -> "SearchSpace":
        """The space with another default, which joins the domain if it is not in it."""
        changed = tuple(_with_default(p, value) if p.name == name else p for p in self.parameters)
        return replace(self, parameters=changed)

    def with_choices(self, name: str, choices: Sequence[Value]) -> "SearchSpace":
        """The space with only these `choices` of a categorical; without it if they are too few.

        Hints that need another value are gone.
        """
        if len(choices) < 2:
            return self.without({name})
        changed = tuple(
            replace(p, choices=tuple(choices))
            if p.name == name and isinstance(p, CategoricalParameter)
            else p
            for p in self.parameters
        )
        hints = tuple(h for h in self.hints if h.get(name, choices[0]) in choices)
        return replace(self, parameters=changed, hints=hints)

    def with_constant(self, name: str, value: int) -> "SearchSpace":
        """The space with `value` for a parameter that cannot vary.

        Conditions and rules go on knowing it; hints that need another value are gone.
        """
        kept = tuple(p for p in self.parameters if p.name != name)
        hints = dict.fromkeys(
            Configuration.of({n: v for n, v in hint.items() if n != name})
            for hint in self.hints
            if hint.get(name, value) == value
        )
        constants = {**self.constants, name: value}
        return replace(self, parameters=kept, hints=tuple(hints), constants=constants)

    def up_to(self, name: str, largest: int) -> "SearchSpace":
        """The space without the numbers above `largest`; a constant if no other is left.

        Hints that need a larger one are gone.
        """
        parameter = self[name]
        choices = [n for n in parameter.choices or () if isinstance(n, int) and n <= largest]
        if len(choices) < 2:
            return self.with_constant(name, largest)
        if not isinstance(parameter, IntParameter):
            return self.with_choices(name, choices)
        changed = tuple(
            replace(p, high=largest) if p is parameter and isinstance(p, IntParameter) else p
            for p in self.parameters
        )
        hints = tuple(h for h in self.hints if h.get(name, largest) in choices)
        return replace(self, parameters=changed, hints=hints)

    def violations(self, configuration: Configuration) -> tuple[Rule, ...]:
        """The rules that do not hold; a rule about a parameter that is not there says nothing."""
        known = {**self.constants, **configuration}
        return tuple(
            rule
            for rule in self.rules
            if rule.expression.names <= known.keys() and not _holds(rule.expression, known)
        )

    @property
    def settled(self) -> Iterator[tuple[str, Value, Rule]]:
        """The parameters of which one rule about them alone leaves a single value, with both."""
        for rule in self.rules:
            for parameter in self.parameters:
                if rule.expression.names - self.constants.keys() != {parameter.name}:
                    continue
                values = parameter.choices or ()
                known = ({**self.constants, parameter.name: value} for value in values)
                left = [each for each in known if _holds(rule.expression, each)]
                if len(left) == 1 < len(values):
                    yield parameter.name, left[0][parameter.name], rule

    def grid(self) -> Iterator[Configuration]:
        """Every valid configuration once; parameters without a step count with their default."""
        choices = [p.choices or (p.default,) for p in self.parameters]
        seen = set()
        for values in itertools.product(*choices):
            names = (p.name for p in self.parameters)
            configuration = self.activate(dict(zip(names, values, strict=True)))
            if configuration not in seen and not self.violations(configuration):
                seen.add(configuration)
                yield configuration

    @cached_property
    def size(self) -> int | None:
        """The number of valid configurations; None if it is not finite, or above COUNT_LIMIT."""
        if any(p.choices is None for p in self.parameters) or self.combinations > COUNT_LIMIT:
            return None
        return sum(1 for _ in self.grid())

    @property
    def combinations(self) -> int:
        """The number of assignments, conditions and rules not yet considered."""
        return math.prod(len(p.choices or ()) or 1 for p in self.parameters)

    @property
    def names(self) -> Set[str]:
        """What the conditions and rules refer to."""
        conditions = (p.when for p in self.parameters if p.when)
        return {n for e in (*conditions, *(r.expression for r in self.rules)) for n in e.names}


def _holds(expression: Expression, values: Mapping[str, Value]) -> bool:
    """Whether it is true; what cannot be worked out (a division by zero) does not hold."""
    try:
        return bool(expression.evaluate(values))
    except SpaceError:
        return False


def _with_default(parameter: Parameter, value: Value) -> Parameter:
    if parameter.accepts(value):
        return replace(parameter, default=value)
    if isinstance(parameter, FloatParameter) and parameter.step is None:
        number = float(value)
        low, high = min(parameter.low, number), max(parameter.high, number)
        log = parameter.log and low > 0
        return replace(parameter, default=number, low=low, high=high, log=log)
    choices = {*(parameter.choices or ()), value}
    shared = {each.name: getattr(parameter, each.name) for each in fields(_Parameter)}
    return CategoricalParameter(
        **shared | {"default": value},
        choices=tuple(sorted(choices, key=lambda each: (isinstance(each, str), each))),
    )


def in_order(parameters: Sequence[Parameter]) -> tuple[Parameter, ...]:
    """`parameters` with each one after those that its condition refers to.

    Raises:
        SpaceError: The conditions go round in a circle.
    """
    by_name = {p.name: p for p in parameters}
    graph = {  # sorted: a set has another order in every process
        p.name: sorted(p.when.names & by_name.keys()) if p.when else [] for p in parameters
    }
    try:
        order = tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = " -> ".join(f"`{name}`" for name in error.args[1])
        raise SpaceError(
            f"the `when` conditions go round in a circle: {circle}",
            hint="remove one of these conditions",
        ) from None
    return tuple(by_name[name] for name in order)
