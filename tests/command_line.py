"""Runs the command line within this process, and reads what it printed."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import pytest
import typer.main  # noqa: TID251 - asks typer which commands there are

from tuner.cli.main import app, main


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The whole of stdout as JSON, without the numbers that JSON does not have."""
        return json.loads(self.out, parse_constant=_no_constant)


def error(message: str, hint: str = "", *, status: int = 2) -> Result:
    """What a command leaves behind that says this and nothing else."""
    return Result(status, "", f"error: {message}\n" + (f"hint: {hint}\n" if hint else ""))


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


@contextmanager
def signals_kept() -> Iterator[None]:
    """`main` answers signals its own way; these tests do not."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Tuner:
    """The command `tuner`, callable: `tuner("best", "--json")`."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self._captured = captured

    def __call__(self, *arguments: str) -> Result:
        self._captured.readouterr()
        with signals_kept(), pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = self._captured.readouterr()
        return Result(int(ended.value.code or 0), out, err)

    def both(self, *arguments: str) -> tuple[str, Any]:
        """What a command that succeeds tells people, and its JSON; with nothing on stderr."""
        text, document = self(*arguments), self(*arguments, "--json")
        assert (text.status, text.err, document.status, document.err) == (0, "", 0, "")
        return text.out, document.json


def commands() -> dict[tuple[str, ...], Any]:
    """All commands and groups, by the words that call them."""
    found: dict[tuple[str, ...], Any] = {(): typer.main.get_command(app)}
    groups = list(found.items())
    for words, group in groups:
        for name, each in getattr(group, "commands", {}).items():
            found[*words, name] = each
            groups.append(((*words, name), each))
    return found
