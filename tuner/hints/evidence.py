"""What a study measured of the very thing that a hint advises (pure)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tuner.analysis.effect_columns import ABOVE_ZERO, DOUBLED
from tuner.analysis.effects import Effect, Effects, Judgement
from tuner.hints.catalogue import Hint
from tuner.hints.settings import ROLES, Role, parameters_of
from tuner.space.expressions import Value
from tuner.space.space import SearchSpace


class Finding(StrEnum):
    """What the study says of the advice."""

    PROVED = "proved"
    DISPROVED = "disproved"
    UNDECIDED = "not decided"


@dataclass(frozen=True)
class Evidence:
    """What was found, and the effects that show it, the decided ones first."""

    finding: Finding
    effects: tuple[Effect, ...]


def evidence(hint: Hint, space: SearchSpace | None, found: Effects) -> Evidence | None:
    """None where the study did not vary it, or cannot tell what it did."""
    if space is None or not hint.setting:
        return None
    names = {parameter.name for parameter in parameters_of(hint.setting, space)}
    about = [e for e in found.effects if e.parameter in names and e.ratio and _side(hint, e)]
    if not about:
        return None
    about.sort(key=lambda effect: effect.judgement is Judgement.UNDECIDED)
    return Evidence(_finding(hint, about), tuple(about))


def _finding(hint: Hint, effects: Sequence[Effect]) -> Finding:
    """Proved if one value that is advised helped (or one that is not hurt)."""
    decided = {Judgement.HELPED: 1, Judgement.HURT: -1}
    signs = {decided.get(each.judgement, 0) * _side(hint, each) for each in effects}
    if 1 in signs:
        return Finding.PROVED
    return Finding.DISPROVED if -1 in signs else Finding.UNDECIDED


def _side(hint: Hint, effect: Effect) -> int:
    """1 where the effect is that of following the advice, -1 of the contrary, else 0."""
    role = ROLES[hint.setting]
    if hint.value is None or effect.value == DOUBLED:
        more = hint.more if hint.value is None else _is_more(role, hint.value, effect.reference)
        upwards = effect.value == DOUBLED or _is_more(role, effect.value, effect.reference)
        return 1 if more == upwards else -1
    if effect.value == hint.value:
        return 1
    return -1 if effect.reference == hint.value else 0


def _is_more(role: Role, value: Value, reference: Value) -> bool:
    """Whether a number is larger; another text than the default's is more as well."""
    if value == ABOVE_ZERO:
        return not role.zero_is_most
    if isinstance(value, str) or isinstance(reference, str):
        return True
    return _size(role, value) > _size(role, reference)


def _size(role: Role, number: float) -> float:
    return math.inf if role.zero_is_most and number == 0 else number
