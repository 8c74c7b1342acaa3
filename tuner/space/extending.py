"""What `extends` does: a file's changes laid over the space that it extends, and what that leaves.

A file may narrow what it extends. What it inherits and what does not fit any more is left out, and
told; what it says itself must fit.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tuner.errors import SpaceError
from tuner.space.expressions import Expression

Content = dict[str, Any]
"""A mapping of the file, before pydantic has checked it."""

# What has a meaning for numbers only, or for a list of values only.
_OF_TYPES = ("low", "high", "step", "log", "choices")


@dataclass(frozen=True)
class LeftOut:
    """What is in a space file, or in what it extends, and not in the space.

    Attributes:
        kind: `parameter`, `rule` or `hint`.
        what: The name, the expression, or the values that are left out.
        because: A reason.
        base: The space that it was inherited from; empty if the file itself says it.
    """

    kind: str
    what: str | Mapping[str, Any]
    because: str
    base: str = ""

    def __str__(self) -> str:
        what = self.what
        shown = f"`{what}`" if isinstance(what, str) else hint_text(what)
        base = f" of `{self.base}`" if self.base else ""
        return f"the {self.kind} {shown}{base}: {self.because}"


@dataclass(frozen=True)
class Inherited:
    """What of a file's content is from the space `base` that it extends.

    Attributes:
        base: Its name; empty if none is extended.
        rules: How many of the rules, the last ones.
        hints: How many of the hints, the last ones.
        conditions: The parameters whose `when` is inherited.
        defaults: The changed parameters whose `default` is inherited.
        left_out: What is not in the content any more.
    """

    base: str = ""
    rules: int = 0
    hints: int = 0
    conditions: frozenset[str] = frozenset()
    defaults: frozenset[str] = frozenset()
    left_out: tuple[LeftOut, ...] = ()


def hint_text(hint: Mapping[str, Any]) -> str:
    """A hint as a space file has it."""
    values = (str(v).lower() if isinstance(v, bool) else v for v in hint.values())
    return "{" + ", ".join(f"{n}: {v}" for n, v in zip(hint, values, strict=True)) + "}"


def overlaid(base: Content, changes: Content, name: str) -> tuple[Content, Inherited]:
    """`changes` laid over `base`: parameters by key, rules and hints in front; null takes out."""
    parameters = changes.get("parameters")
    changed: Content = parameters if isinstance(parameters, dict) else {}
    left_out = []
    if isinstance(parameters, dict):
        gone = {n: "it was taken out" for n, change in changed.items() if change is None}
        _check_known(gone, base, name)
        gone |= _dependents(gone, base, changed)
        left_out = list(_left_out(base, gone, changed, name))
        base = _without(base, set(gone))
        theirs = {
            n: _merged(_of_type(_inherited(base["parameters"], n), change), change)
            if isinstance(change, dict)
            else change  # pydantic complains
            for n, change in changed.items()
            if change is not None
        }
        changes = {**changes, "parameters": base["parameters"] | theirs}
    kept = {key: _inherited_list(base, changes, key) for key in ("rules", "hints")}
    added = {
        key: [*changes[key], *base[key]]
        for key, inherited in kept.items()
        if inherited and isinstance(changes.get(key), list)
    }
    says = {n: change for n, change in changed.items() if isinstance(change, dict)}
    inherited = Inherited(
        base=name,
        rules=len(kept["rules"]),
        hints=len(kept["hints"]),
        conditions=frozenset(n for n in base["parameters"] if "when" not in says.get(n, {})),
        defaults=frozenset(
            n for n in says if n in base["parameters"] and "default" not in says[n]
        ),
        left_out=tuple(left_out),
    )
    serve = changes.get("serve")
    if isinstance(base.get("serve"), dict) and isinstance(serve, dict):
        changes = {**changes, "serve": _deeply_merged(base["serve"], serve)}
    return _merged(base, changes | added), inherited


def _inherited(parameters: Content, name: str) -> Content:
    """What a parameter begins with; that of one part (`encoder.threads`), what is for all."""
    own = name if name in parameters else name.rpartition(".")[2]
    found: Content = parameters.get(own, {})
    return found


def _inherited_list(base: Content, changes: Content, key: str) -> list[Any]:
    """Those of `base`, unless the file takes them all out, or is wrong there."""
    if key in changes and not isinstance(changes[key], list):
        return []
    found: list[Any] = base.get(key, [])
    return found


def _check_known(gone: Mapping[str, str], base: Content, name: str) -> None:
    inherited = base["parameters"]
    if unknown := gone.keys() - inherited.keys():
        raise SpaceError(
            f"parameters.{min(unknown)}: null takes a parameter out, but `{name}` has none "
            "of this name",
            hint="it has " + ", ".join(f"`{each}`" for each in inherited),
        )


def _dependents(gone: Mapping[str, str], base: Content, changed: Content) -> dict[str, str]:
    """Why further inherited parameters go: their inherited conditions need what is gone.

    Those that the file itself speaks of stay, and are complained about.
    """
    found: dict[str, str] = {}
    unsettled = True
    while unsettled:
        unsettled = False
        for name, parameter in base["parameters"].items():
            if name in gone or name in found or name in changed:
                continue
            needed = _names(parameter.get("when")) & (gone.keys() | found.keys())
            if needed:
                found[name] = f"its condition `{parameter['when']}` needs `{min(needed)}`"
                unsettled = True
    return found


def _left_out(
    base: Content, gone: Mapping[str, str], changed: Content, name: str
) -> Iterator[LeftOut]:
    """What goes with parameters, apart from those that the file itself takes out."""
    for parameter, why in gone.items():
        if parameter not in changed:
            yield LeftOut("parameter", parameter, why, name)
    for rule in base.get("rules", []):
        if named := _names(rule["rule"]) & gone.keys():
            yield LeftOut("rule", rule["rule"], f"`{min(named)}` is not there", name)
    for hint in base.get("hints", []):
        if values := [n for n in hint if n in gone]:
            rest = "" if len(values) == len(hint) else "; it stays without that"
            missing = " and ".join(f"`{each}`" for each in values)
            verb = "are" if len(values) > 1 else "is"
            yield LeftOut("hint", hint, f"{missing} {verb} not there{rest}", name)


def _without(base: Content, gone: set[str]) -> Content:
    """`base` without these parameters, their proofs, rules about them, and values in hints."""
    hints = [{n: v for n, v in h.items() if n not in gone} for h in base.get("hints", [])]
    serve = base.get("serve", {})
    at = {p: _less(texts, gone) for p, texts in serve.get("proofs_at", {}).items()}
    proofs = {"proofs": _less(serve.get("proofs", {}), gone), "proofs_at": at}
    return {
        **base,
        "parameters": _less(base["parameters"], gone),
        "rules": [r for r in base.get("rules", []) if gone.isdisjoint(_names(r["rule"]))],
        "hints": [hint for hint in hints if hint],
        **({"serve": serve | proofs} if serve else {}),
    }


def _less(found: Content, gone: set[str]) -> Content:
    return {name: value for name, value in found.items() if name not in gone}


def _names(expression: object) -> frozenset[str]:
    """What an expression of a space that holds together refers to."""
    return Expression.parse(expression).names if isinstance(expression, str) else frozenset()


def _of_type(inherited: Content, change: Content) -> Content:
    """Without what has no meaning for the type that the change gives."""
    if change.get("type", inherited.get("type")) == inherited.get("type"):
        return inherited
    return {key: value for key, value in inherited.items() if key not in _OF_TYPES}


def _merged(inherited: Content, change: Content) -> Content:
    """The keys of both; those of `change` win, and those that are null there are gone."""
    return {key: value for key, value in {**inherited, **change}.items() if value is not None}


def _deeply_merged(inherited: Content, change: Content) -> Content:
    """As `_merged`, and so with the mappings in them."""
    both = {
        key: _deeply_merged(inherited[key], value)
        for key, value in change.items()
        if isinstance(value, dict) and isinstance(inherited.get(key), dict)
    }
    return _merged(inherited, change | both)
