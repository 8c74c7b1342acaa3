"""Where values go, as a space file says it: one place for each, in a form that can hold them."""

import re
from collections.abc import Callable

from tuner.errors import SpaceError, shown
from tuner.space.settings import SETTINGS, FlagForm, ServerFlag, Setting, split
from tuner.space.space import CategoricalParameter, Parameter
from tuner.space.spec import SetsSpec

_PLACES = ("config", "environment", "flag", "property", "launcher", "template")
# The form of a name, and an example of one.
_ARGUMENT = (r"-[^\s=]+", "--threads")
_FLAG = (r"/?-[^\s=]+", "--threads")
_VARIABLE = (r"[A-Za-z_]\w*", "THREADS")


def setting(where: str, sets: SetsSpec) -> Setting:
    """Where the values of a parameter go.

    Raises:
        SpaceError: There is no such place.
    """
    given = [name for name in _PLACES if getattr(sets, name)]
    if len(given) != 1:
        raise SpaceError(
            f"{where}: exactly one of {', '.join(f'`{name}`' for name in _PLACES)} is needed, "
            f"but got {' and '.join(f'`{name}`' for name in given) or 'none'}"
        )
    if sets.omit is not None and sets.template:
        raise SpaceError(f"{where}.omit: does not go with `{given[0]}`")
    if sets.form and not sets.flag:
        raise SpaceError(f"{where}.form: does not go with `{given[0]}`", hint="`flag` has forms")
    return _placed(f"{where}.{given[0]}", given[0], sets)


def check_flag(parameter: Parameter, kind: str) -> None:
    """The values of a parameter of this type can be said in the form that its flag has.

    Raises:
        SpaceError: They cannot.
    """
    flag = parameter.sets
    if not isinstance(flag, ServerFlag):
        return
    if flag.is_switch and kind != "boolean":
        raise SpaceError(
            f"a flag that is there or not goes with `type: boolean`, but got `type: {kind}`",
            hint="leave out `form: switch` for `--flag=value`; `form: words` is `--flag value`",
        )
    if flag.pair and flag.form not in (None, FlagForm.SWITCH):
        raise SpaceError(
            f"`{flag.name}` is a flag for true and one for false, which have no value, but got "
            f"`form: {flag.form}`",
            hint="leave out `form`",
        )
    if flag.form in (FlagForm.WORDS, FlagForm.REPEAT):
        words = parameter.choices if isinstance(parameter, CategoricalParameter) else ()
        for value in words:
            try:
                split(value)
            except ValueError:
                raise SpaceError(
                    f"words as a shell has them were expected, but got {shown(value)}",
                    hint="a quotation needs an end; `\\'` is the sign itself",
                ) from None


def _placed(where: str, place: str, sets: SetsSpec) -> Setting:
    kind: Callable[..., Setting] = SETTINGS[place]
    given = getattr(sets, place)
    form = {"flag": _FLAG, "launcher": _ARGUMENT}.get(place, _VARIABLE)
    if place == "flag":
        named = _matching(where, given, *form)
        return ServerFlag(named, sets.omit, FlagForm(sets.form) if sets.form else None)
    if place == "environment":
        given = tuple(_matching(where, name, *form) for name in given)
    elif place != "config":
        given = _matching(where, given, *form)
    return kind(given, sets.omit)


def _matching(where: str, text: str | None, pattern: str, example: str) -> str:
    if text is None or not re.fullmatch(pattern, text, re.ASCII):
        raise SpaceError(
            f"{where}: a name such as `{example}` was expected, but got {shown(text)}"
        )
    return text
