"""Texts with the values of parameters in them, as a person writes them for a server.

Jinja2 in its sandbox: a template can neither reach this program nor what it runs on.
"""

from collections.abc import Mapping
from typing import Any

import jinja2
from jinja2 import meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tuner.errors import SpaceError
from tuner.space.expressions import Value, value_text
from tuner.space.settings import split

# Between the arguments that one item of a command becomes; no space file can hold it.
_BETWEEN = "\x1f"


def _shown(value: Any) -> Any:
    """A value as servers write it; an `if` without an `else` is nothing."""
    # Jinja2 gives a name to all else that is not defined.
    if isinstance(value, jinja2.Undefined) and value._undefined_name is None:  # noqa: SLF001
        return ""
    return value_text(value) if isinstance(value, bool | None) else value


def _words(value: Any) -> str:
    return _BETWEEN.join(split("" if value is None else _shown(value)))


_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=jinja2.StrictUndefined,
    autoescape=False,
    keep_trailing_newline=True,
    finalize=_shown,
)
_ENVIRONMENT.filters["words"] = _words


def names(text: str) -> frozenset[str]:
    """What a template names; nothing of a text that is none."""
    try:
        return frozenset(meta.find_undeclared_variables(_ENVIRONMENT.parse(text)))
    except jinja2.TemplateError:
        return frozenset()


def fill_argument(where: str, text: str, values: Mapping[str, Value | None]) -> list[str]:
    """The arguments that an item of a command becomes; none of a template that is nothing.

    Raises:
        SpaceError: It is no template, or names what is no parameter.
    """
    filled = _filled(where, text, values)
    if filled == text:
        return [text]
    return filled.split(_BETWEEN) if filled.strip() else []


def fill(where: str, text: str, values: Mapping[str, Value | None]) -> str:
    """`text` with the values in it; True is `true`, and what is not there is `none`.

    Raises:
        SpaceError: It is no template, or names what is no parameter.
    """
    return _filled(where, text, values).replace(_BETWEEN, " ")


def _filled(where: str, text: str, values: Mapping[str, Value | None]) -> str:
    try:
        return _ENVIRONMENT.from_string(text).render(values)
    except Exception as error:  # noqa: BLE001 - templates are code: they may fail in any way
        raise SpaceError(
            f"{where}: cannot be filled in: {error}",
            hint="templates may name " + ", ".join(f"`{name}`" for name in sorted(values)),
        ) from None
