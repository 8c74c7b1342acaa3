"""How errors about a file are put into words: where, what came, what was perhaps meant."""

import difflib
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from tuner.errors import SpaceError


@contextmanager
def at(place: object) -> Iterator[None]:
    """Errors within say where they are."""
    try:
        yield
    except SpaceError as error:
        message = f"{place}: {error}" if place else str(error)
        raise SpaceError(message, hint=error.hint) from None


def did_you_mean(word: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    names = ", ".join(f"`{name}`" for name in known)
    return f"did you mean `{close[0]}`?" if close else f"known: {names}"


def shown(value: object) -> str:
    """`value` as a person wrote it, and not too long."""
    match value:
        case None | "":
            return "nothing"
        case bool():
            return str(value).lower()
        case str():
            return f"the text `{value[:40]}`"
        case dict() | list():
            kind = "mapping" if isinstance(value, dict) else "list"
            return f"a {kind}" if value else f"an empty {kind}"
        case _:
            return str(value)
