"""Where output goes: data to stdout, everything else to stderr."""

import logging
import sys
from collections.abc import Iterable

from rich.console import Console, RenderableType

from tuner.errors import masked
from tuner.report.blocks import print_on
from tuner.report.json_text import json_text

# Texts of people and servers are printed as they are: `:end:` is no picture.
err = Console(stderr=True, emoji=False)
# Whose log is shown where more is asked for.
_LOGGERS = ("tuner", "runners")


def speak(*, quiet: bool, verbose: bool) -> None:
    """How much is said on stderr: errors alone if `quiet`, also what is done if `verbose`."""
    err.quiet = quiet
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers = [_Notes()] if verbose else []
        logger.setLevel(logging.INFO if verbose else logging.NOTSET)


class _Notes(logging.Handler):
    """A remark for each entry of a log."""

    def emit(self, record: logging.LogRecord) -> None:
        note(f"{record.name}: {record.getMessage()}")


def print_blocks(blocks: Iterable[RenderableType]) -> None:
    """Tables and sentences on stdout, each on lines of its own; as wide as the terminal is now."""
    print_on(Console(emoji=False), blocks)


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
    """What went wrong and what to do, on stderr, however quiet it is asked to be."""
    was_quiet, err.quiet = err.quiet, False
    note(f"error: {message}")
    if hint:
        note(f"hint: {hint}")
    err.quiet = was_quiet
