"""Several forms of one model (another precision, another runtime), one of which is served."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

from tuner.errors import SpaceError
from tuner.expressions import Value
from tuner.settings import ModelVariant
from tuner.space import CategoricalParameter, Configuration, SearchSpace
from tuner.targets.base import Grade, Verdict

PARAMETER = "variant"


CONFIRMED = "confirmed: the server says which one it has"


def added(
    space: SearchSpace, model: str, others: Sequence[str], *, proof: str = CONFIRMED
) -> SearchSpace:
    """`space` with a parameter that chooses among `model` and `others`; each is tried early.

    `proof` is how the server shows which one it has.

    Raises:
        SpaceError: The space has a parameter of that name.
    """
    if not others:
        return space
    if any(parameter.name == PARAMETER for parameter in space.parameters):
        raise SpaceError(
            f"parameters.{PARAMETER}: is what `--variant` chooses by",
            hint="give the parameter another name",
        )
    parameter = CategoricalParameter(
        name=PARAMETER,
        default=model,
        sets=ModelVariant(),
        choices=(model, *others),
        reload=True,
        description="Which form of the model is served",
        source="--variant",
        proof=proof,
    )
    hints = tuple({PARAMETER: name} for name in others)
    return replace(space, parameters=(parameter, *space.parameters), hints=(*hints, *space.hints))


def chosen(space: SearchSpace, configuration: Configuration, otherwise: str) -> str:
    """The form that `configuration` serves; `otherwise` where there is only one."""
    for name, value in configuration.items():
        if isinstance(space[name].sets, ModelVariant):
            return str(value)
    return otherwise


def verdict(asked: Value, served: str) -> Verdict:
    """Whether the server has the form that was asked for."""
    if served == asked:
        return Verdict(Grade.CONFIRMED)
    return Verdict(Grade.REFUTED, f"the server has the form `{served}`")


def fingerprint(forms: Iterable[str]) -> str:
    """Ten hexadecimal digits that change when one of those of the forms does."""
    first, *others = forms
    if not others:
        return first
    return hashlib.sha256(repr((first, *others)).encode()).hexdigest()[:10]
