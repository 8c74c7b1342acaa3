"""Which hints hold, and what is to be said of each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tuner.analysis.effects import Effects
from tuner.hints.catalogue import Hint
from tuner.hints.evidence import Evidence, Finding, evidence
from tuner.hints.facts import Facts
from tuner.space.expressions import Value
from tuner.space.space import SearchSpace


@dataclass(frozen=True)
class Advice:
    """A hint that holds: for which facts, what the study found of it, whether it is followed."""

    hint: Hint
    why: Mapping[str, Value]
    evidence: Evidence | None = None
    followed: bool = False

    @property
    def is_disproved(self) -> bool:
        return self.evidence is not None and self.evidence.finding is Finding.DISPROVED


@dataclass(frozen=True)
class Checked:
    """`advice` in the order of its importance: what is left to do, what is done, what is wrong.

    `unknown` are the hints that nothing can be said of, with the facts that are missing.
    """

    advice: tuple[Advice, ...]
    unknown: Mapping[str, tuple[str, ...]]
    hints: int


def check(
    hints: Sequence[Hint],
    facts: Facts,
    space: SearchSpace | None = None,
    found: Effects | None = None,
) -> Checked:
    """The hints that hold for `facts`, with what the effects of a study say of them."""
    effects = found or Effects()
    fired = [
        _advice(hint, facts, evidence(hint, space, effects)) for hint in _firing(hints, facts)
    ]
    return Checked(
        advice=tuple(sorted(fired, key=lambda each: (each.is_disproved, each.followed))),
        unknown={hint.name: missing for hint in hints if (missing := _missing(hint, facts))},
        hints=len(hints),
    )


def _firing(hints: Iterable[Hint], facts: Facts) -> list[Hint]:
    return [hint for hint in hints if hint.fires(facts)]


def _missing(hint: Hint, facts: Facts) -> tuple[str, ...]:
    """Nothing of a hint about another server."""
    kind = facts.get("server.kind")
    is_other = bool(hint.servers) and kind is not None and kind not in hint.servers
    return () if is_other else hint.unknown(facts)


def _advice(hint: Hint, facts: Facts, found: Evidence | None) -> Advice:
    now = facts.get(f"config.{hint.setting}")
    return Advice(
        hint,
        hint.why(facts),
        found,
        followed=hint.value is not None and now == hint.value,
    )
