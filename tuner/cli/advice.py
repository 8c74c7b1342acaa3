"""Hints as people read them at the terminal."""

from rich.console import Group
from rich.padding import Padding
from rich.text import Text

from tuner.cli.console import print_blocks, print_text
from tuner.hints.checking import Advice, Checked
from tuner.report import hints_text

_INDENT = 2


def print_checked(about: str, checked: Checked) -> None:
    """The list, or a line that says that it is empty."""
    if not checked.advice:
        print_text(hints_text.nothing(about, checked))
        return
    print_blocks([Text(hints_text.title(about, checked)), *map(_block, checked.advice)])


def _block(advice: Advice) -> Group:
    said = (_line(word, text) for word, text in hints_text.lines(advice))
    return Group(Text(f"\n{hints_text.heading(advice)}", style="bold"), *said)


def _line(word: str, text: str) -> Text | Padding:
    """A source is copied: its address stays in one piece, however long."""
    if word == "source":
        return Text(f"{'':{_INDENT}}{word}: {text}", no_wrap=True, overflow="ignore")
    return Padding(Text(f"{word}: {text}"), (0, 0, 0, _INDENT), expand=False)
