"""Where output goes: data to stdout, everything else to stderr."""

import sys
from collections.abc import Iterable

from rich.console import Console, RenderableType

from tuner.errors import masked
from tuner.report.json_text import json_text

# Texts of people and servers are printed as they are: `:end:` is no picture.
err = Console(stderr=True, emoji=False)


def print_blocks(blocks: Iterable[RenderableType]) -> None:
    """Tables and sentences on stdout, each on lines of its own; as wide as the terminal is now."""
    out = Console(emoji=False)
    for block in blocks:
        out.print(block, crop=False)


def print_json(content: object) -> None:
    """JSON on stdout; infinities and NaN, which JSON does not have, become null."""
    sys.stdout.write(json_text(content))


def print_text(text: str) -> None:
    """Text on stdout exactly as it is, however wide: what programs and people copy."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def note(text: str) -> None:
    """A remark for the person at the terminal, on stderr; never read as markup."""
    err.print(masked(text), markup=False, highlight=False, soft_wrap=True)


def print_error(message: str, hint: str = "") -> None:
    """What went wrong and what to do, on stderr."""
    note(f"error: {message}")
    if hint:
        note(f"hint: {hint}")
