"""A search space as JSON: how it is stored and told apart. No name of a class is part of it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tuner.space.expressions import Expression
from tuner.space.settings import SETTINGS
from tuner.space.space import (
    CategoricalParameter,
    Configuration,
    FloatParameter,
    IntParameter,
    Parameter,
    Rule,
    SearchSpace,
)

_PARAMETERS: Mapping[str, type[Parameter]] = {
    "int": IntParameter,
    "float": FloatParameter,
    "categorical": CategoricalParameter,
}
_PARAMETER_KINDS = {kind: word for word, kind in _PARAMETERS.items()}
# What explains a parameter, or says how it is applied, and not what is searched.
_WORDS = ("reload", "description", "source", "proof")


def space_document(space: SearchSpace) -> dict[str, Any]:
    """`space` as JSON values; `stored_space` makes it a space again."""
    return {
        "server": space.server,
        "parameters": [_parameter_document(each) for each in space.parameters],
        "rules": [
            {"expression": rule.expression.text, "because": rule.because} for rule in space.rules
        ],
        "hints": [dict(hint) for hint in space.hints],
        "constants": dict(space.constants),
    }


def stored_space(document: Mapping[str, Any]) -> SearchSpace:
    """The space that `space_document` wrote.

    Raises:
        KeyError, TypeError, ValueError: It wrote something else.
        SpaceError: An expression is none.
    """
    return SearchSpace(
        server=document["server"],
        parameters=tuple(_parameter(each) for each in document["parameters"]),
        rules=tuple(
            Rule(Expression.parse(each["expression"]), each["because"])
            for each in document["rules"]
        ),
        hints=tuple(Configuration.of(each) for each in document["hints"]),
        constants=document["constants"],
    )


def fingerprint(space: SearchSpace) -> str:
    """Ten hexadecimal digits that change when what is searched does; words do not count.

    They are of canonical JSON (RFC 8785 in all but the form of numbers) in which what has no value
    is left out, so that a field that is new changes nothing before it has one.
    """
    document = space_document(space)
    facts = {
        "server": space.server,
        "parameters": [
            _valued({name: value for name, value in each.items() if name not in _WORDS})
            for each in document["parameters"]
        ],
        "rules": [rule["expression"] for rule in document["rules"]],
        "constants": {n: v for n, v in space.constants.items() if n in space.names},
    }
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _valued(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _valued(value) if isinstance(value, dict) else value
        for name, value in facts.items()
        if value is not None
    }


def _parameter_document(parameter: Parameter) -> dict[str, Any]:
    facts = {"type": _PARAMETER_KINDS[type(parameter)]} | vars(parameter)
    facts["sets"] = {"kind": parameter.sets.kind, **asdict(parameter.sets)}
    facts["when"] = parameter.when.text if parameter.when else None
    return facts


def _parameter(document: Mapping[str, Any]) -> Parameter:
    facts = dict(document)
    kind = _PARAMETERS[facts.pop("type")]
    setting = dict(facts.pop("sets"))
    where = SETTINGS[setting.pop("kind")]
    when = facts.pop("when")
    return kind(
        **{name: _tuple(value) for name, value in facts.items()},
        sets=where(**{name: _tuple(value) for name, value in setting.items()}),
        when=Expression.parse(when) if when else None,
    )


def _tuple(value: Any) -> Any:
    """JSON has lists only."""
    return tuple(value) if isinstance(value, list) else value
