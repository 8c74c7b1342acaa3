"""The hints, as the YAML files of this room's folder `catalogue` have them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from tuner.hints.facts import NAMES, Facts
from tuner.space.expressions import Expression, Value

FOLDER = Path(__file__).parent / "catalogue"
DOCUMENTED = "documented"
"""How a hint was checked of which nobody measured anything here."""

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Importance(StrEnum):
    """How much a hint is worth, as a rule; in the order of reports."""

    HIGH = "high"  # often a factor
    MEDIUM = "medium"  # often ten per cent or more, or a wrong conclusion
    LOW = "low"


@dataclass(frozen=True, kw_only=True)
class Hint:
    """One piece of advice.

    `condition` is an expression of the language of search spaces over facts (`facts.NAMES`).
    `servers` are those that it is about, none for all. `checked` is `documented`, or says what was
    measured here and where that stands. `setting` (`settings.ROLES`) is what advice is about that
    is to raise the capacity: it is compared with what a study measured of it, of `value`, or of
    `more` (true) or less (false). What warns of a result has none: the result cannot disprove it.
    """

    name: str
    theme: str
    condition: str
    advice: str
    effect: str
    source: str
    importance: Importance
    checked: str = DOCUMENTED
    servers: tuple[str, ...] = ()
    setting: str = ""
    value: Value | None = None
    more: bool = True

    @cached_property
    def expression(self) -> Expression:
        return Expression.parse(self.condition)

    @property
    def needs(self) -> frozenset[str]:
        """The facts without which nothing can be said."""
        return self.expression.names | ({"server.kind"} if self.servers else frozenset())

    def unknown(self, facts: Facts) -> tuple[str, ...]:
        """The facts that it needs and that are not known."""
        return tuple(sorted(self.needs - facts.keys()))

    def fires(self, facts: Facts) -> bool:
        """Whether it holds; never where one fact that it names is unknown, whatever the others."""
        if self.unknown(facts) or (self.servers and facts["server.kind"] not in self.servers):
            return False
        return bool(self.expression.evaluate(facts))

    def why(self, facts: Facts) -> dict[str, Value]:
        """The facts that it fired for, in the order of `facts.NAMES`."""
        return {name: facts[name] for name in NAMES if name in self.expression.names}


def catalogue(folder: Path = FOLDER) -> tuple[Hint, ...]:
    """All hints, the most important first, in the order of their files."""
    hints = [
        _hint(path.stem, each) for path in sorted(folder.glob("*.yaml")) for each in _read(path)
    ]
    order = list(Importance)
    return tuple(sorted(hints, key=lambda hint: order.index(hint.importance)))


def _read(path: Path) -> Sequence[dict[str, Any]]:
    content: Sequence[dict[str, Any]] = yaml.load(path.read_text(), _Loader)  # noqa: S506 - safe
    return content


def _hint(theme: str, fields: dict[str, Any]) -> Hint:
    """Texts in one line each."""
    plain: dict[str, Any] = {
        n: " ".join(v.split()) if isinstance(v, str) else v for n, v in fields.items()
    }
    importance = Importance(plain.pop("importance"))
    servers = tuple(plain.pop("servers", ()))
    return Hint(**plain, importance=importance, servers=servers, theme=theme)
