"""One space for a model that is made of parts: what is set in a configuration, once for each."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from tuner.errors import SpaceError
from tuner.space.expressions import Expression, Value
from tuner.space.settings import ConfigPath
from tuner.space.space import Configuration, Parameter, Rule, SearchSpace, in_order


def part_name(part: str, parameter: str) -> str:
    """What a parameter of a part is called: `encoder.instance_count`."""
    return f"{part}.{parameter}"


def check_names(space: SearchSpace, parts: Collection[str]) -> None:
    """That each name with a dot is that of a parameter of one of the `parts`.

    Raises:
        SpaceError: One is not.
    """
    for parameter in space.parameters:
        part, dot, _ = parameter.name.rpartition(".")
        if dot and (part not in parts or parameter.sets.kind != ConfigPath.kind):
            raise SpaceError(
                f"parameters.{parameter.name}: sets nothing in the configuration of a part",
                hint="PART.PARAMETER sets a `config` of one model of an ensemble"
                + (f", which has {', '.join(f'`{each}`' for each in parts)}" if parts else ""),
            )


def of_part(space: SearchSpace, part: str) -> SearchSpace:
    """`space` as it is for one part: with what it says of that part, without the others'."""
    theirs = {p.name: p.name.removeprefix(f"{part}.") for p in space.parameters}
    found = {
        own: replace(p, name=own, when=p.when.renamed(theirs) if p.when else None)
        for p in sorted(space.parameters, key=lambda p: "." in p.name)
        if "." not in (own := theirs[p.name])
    }
    return replace(space, parameters=in_order(list(found.values())))


def joined(space: SearchSpace, parts: Mapping[str, SearchSpace]) -> SearchSpace:
    """`space` with each parameter of the model's configuration once for each of the `parts`.

    A part has those of its own space, with its defaults; what `space` says of one part alone is in
    there. A condition or rule that names one speaks
    of the same part throughout; a hint is given to all parts at once.

    Raises:
        SpaceError: An expression becomes too long.
    """
    names = {part: _names(part, own) for part, own in parts.items()}
    of_parts = [
        _named(own[name], part, names[part]) for part, own in parts.items() for name in names[part]
    ]
    alone = {p.name for p in space.parameters if "." in p.name}
    configured = {p.name for p, _ in space.names_of("config")} - alone
    shared = [
        _shared(p, configured, names)
        for p in space.parameters
        if p.name not in configured | alone and _may_be(p, configured, names)
    ]
    parameters = in_order([*shared, *of_parts])
    known = {p.name for p in parameters} | space.constants.keys()
    rules = {
        rule.expression.text: rule
        for each in space.rules
        for rule in _rules(each, configured, names)
        if rule.expression.names <= known
    }
    whole = replace(space, parameters=parameters, rules=tuple(rules.values()), hints=())
    hints = dict.fromkeys(_hint(hint, whole, names) for hint in space.hints)
    kept = (h for h in hints if h and not whole.violations(whole.activate(h)))
    return replace(whole, hints=tuple(kept))


def _names(part: str, space: SearchSpace) -> dict[str, str]:
    """What the parameters of a part are called in the whole."""
    return {p.name: part_name(part, p.name) for p, _ in space.names_of("config")}


def _named(parameter: Parameter, part: str, names: Mapping[str, str]) -> Parameter:
    sets, when = parameter.sets, parameter.when
    return replace(
        parameter,
        name=names[parameter.name],
        sets=replace(sets, part=part) if isinstance(sets, ConfigPath) else sets,
        when=when.renamed(names) if when else None,
    )


def _may_be(
    parameter: Parameter, configured: set[str], names: Mapping[str, Mapping[str, str]]
) -> bool:
    """Whether some part has what the condition speaks of."""
    needs = parameter.when.names & configured if parameter.when else set()
    return not needs or any(needs <= own.keys() for own in names.values())


def _shared(
    parameter: Parameter, configured: set[str], names: Mapping[str, Mapping[str, str]]
) -> Parameter:
    """What all parts share is there if the condition holds for one of them."""
    when = parameter.when
    if when is None or not when.names & configured:
        return parameter
    needs = when.names & configured
    texts = [f"({when.renamed(own).text})" for own in names.values() if needs <= own.keys()]
    return replace(parameter, when=Expression.parse(" or ".join(texts)))


def _rules(
    rule: Rule, configured: set[str], names: Mapping[str, Mapping[str, str]]
) -> Iterator[Rule]:
    if not rule.expression.names & configured:
        yield rule
        return
    for own in names.values():
        yield replace(rule, expression=rule.expression.renamed(own))


def _hint(
    hint: Mapping[str, Value], whole: SearchSpace, names: Mapping[str, Mapping[str, str]]
) -> Configuration:
    """`hint` for all parts that it fits."""
    by_name = {p.name: p for p in whole.parameters}
    called = (
        (by_name.get(own.get(name, name)), value)
        for name, value in hint.items()
        for own in names.values()
    )
    return Configuration.of({p.name: value for p, value in called if p and p.accepts(value)})
