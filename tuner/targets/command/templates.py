"""Texts with the values of parameters in them, as a person writes them for a server.

Jinja2 in its sandbox: a template can neither reach this program nor what it runs on.
"""

from collections.abc import Mapping

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tuner.errors import SpaceError
from tuner.space.expressions import Value

_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=jinja2.StrictUndefined,
    autoescape=False,
    keep_trailing_newline=True,
    finalize=lambda value: str(value).lower() if isinstance(value, bool | None) else value,
)


def fill(where: str, text: str, values: Mapping[str, Value | None]) -> str:
    """`text` with the values in it; True is `true`, and what is not there is `none`.

    Raises:
        SpaceError: It is no template, or names what is no parameter.
    """
    try:
        return _ENVIRONMENT.from_string(text).render(values)
    except Exception as error:  # noqa: BLE001 - templates are code: they may fail in any way
        raise SpaceError(
            f"{where}: cannot be filled in: {error}",
            hint="templates may name " + ", ".join(f"`{name}`" for name in sorted(values)),
        ) from None
