"""Several forms of one model (another precision, another runtime), one of which is served."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Self, TypeVar

from tuner.errors import SpaceError
from tuner.records import SettingVerdict
from tuner.space.expressions import Value
from tuner.space.settings import ModelVariant, Settings
from tuner.space.space import CategoricalParameter, SearchSpace
from tuner.targets.process_proofs import CONFIRMED, refuted
from tuner.targets.request_form import RequestForm

PARAMETER = "variant"
SAYS_WHICH = "confirmed: the server says which one it has"

Named = TypeVar("Named", bound="VariantModel")


def added(
    space: SearchSpace, model: str, others: Sequence[str], *, proof: str = SAYS_WHICH
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


def variant_verdict(asked: Value, served: str) -> SettingVerdict:
    """Whether the server has the form that was asked for."""
    if served == asked:
        return CONFIRMED
    return refuted(f"the server has the form `{served}`")


class VariantModel(ABC):
    """A model that may be there in further forms, of which one is served.

    `name` is that of the model and of its own form, `others` are the further ones by their names.
    """

    name: str
    others: Mapping[str, Self] = MappingProxyType({})

    @property
    @abstractmethod
    def own_fingerprint(self) -> str:
        """Ten hexadecimal digits that change when this form of the model changes."""

    @abstractmethod
    def stage_own(self, folder: Path) -> None:
        """Put this form of the model into `folder`, where the server finds it.

        Raises:
            ModelError: A file of it cannot be read, or there is no room for it.
        """

    @property
    def whole(self) -> tuple[Self, ...]:
        """All forms, its own first."""
        return (self, *self.others.values())

    @property
    def forms(self) -> tuple[str, ...]:
        """The names of all forms, its own first."""
        return tuple(form.name for form in self.whole)

    @property
    def fingerprint(self) -> str:
        """Ten hexadecimal digits that change when the model changes, in any of its forms."""
        return fingerprint(form.own_fingerprint for form in self.whole)

    def fit_form(self, form: RequestForm) -> RequestForm:
        """`form` as the model takes it: most take it as their servers do."""
        return form

    def remarks(self, form: RequestForm) -> tuple[str, ...]:
        """What is to be known of how it is served, and asked with `form`: mostly nothing."""
        return ()

    def stage(self, folder: Path) -> None:
        """Put all forms of the model into `folder`.

        Raises:
            ModelError: A file cannot be read, or there is no room for it.
        """
        for form in self.whole:
            form.stage_own(folder)

    def form(self, settings: Settings) -> Self:
        """The form of the model that is served under `settings`."""
        return self.others.get(settings.variant, self)


def by_name(model: str, others: Iterable[Named]) -> dict[str, Named]:
    """The further forms of `model` by their names; the model itself is none of them."""
    return {other.name: other for other in others if other.name != model}


def fingerprint(forms: Iterable[str]) -> str:
    """Ten hexadecimal digits that change when one of those of the forms does."""
    first, *others = forms
    if not others:
        return first
    return hashlib.sha256(repr((first, *others)).encode()).hexdigest()[:10]
