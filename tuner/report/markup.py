"""Sentences and cells as HTML and as Markdown; what stands between `backticks` is code."""

import re
from collections.abc import Callable

import markupsafe
from markupsafe import Markup

_CODE = re.compile(r"`([^`]*)`")
# What Markdown would take for its own, or its tables would.
_SPECIAL = re.compile(r"([\\*_\[\]<>|~#])")
# A bar ends a cell; a backslash before it would escape the one that hides it.
_BAR = re.compile(r"\\*\|")


def code(text: str) -> str:
    """`text` as code, whatever is in it; what is a dash stays one."""
    return "`{}`".format(text.replace("`", "'")) if text.strip("-") else text


def as_html(text: object) -> Markup:
    """Escaped, with its code marked as such.

    A name in code is broken only where it is longer than a line, after an underscore.
    """

    def words(part: str) -> str:
        return str(markupsafe.escape(part))

    def marked(part: str) -> str:
        names = [words(each).replace("_", "_<wbr>") for each in part.split(" ")]
        if len(names) > 1:
            names = [f"<span>{each}</span>" for each in names]
        return f"<code>{' '.join(names)}</code>"

    return Markup(_each(str(text), words, marked))  # noqa: S704 - both are escaped


def as_markdown(text: str) -> str:
    """In one line; nothing in it but code means anything to Markdown."""
    return _each(" ".join(text.split()), _plain, lambda part: f"`{part}`")


def as_cell(text: str) -> str:
    """As Markdown in a table, where a bar ends the cell even in code."""

    def marked(part: str) -> str:
        bars = _BAR.sub(r"\\|", part)
        return f"`{bars}`"

    return _each(" ".join(text.split()), _plain, marked)


def _each(text: str, words: Callable[[str], str], code: Callable[[str], str]) -> str:
    """Words and code take turns."""
    return "".join(
        code(part) if number % 2 else words(part.replace("<=", "≤"))
        for number, part in enumerate(_CODE.split(text))
    )


def _plain(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)
