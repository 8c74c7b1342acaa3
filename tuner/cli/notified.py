"""`--notify` and `--notify-url`: who is told how a study ended."""

import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from runners.errors import RunnerError
from tuner.cli.console import note
from tuner.clients import webhook
from tuner.errors import InputError, NothingFeasibleError, TunerError, masked
from tuner.report.json_text import json_text

# A command that is told may take this long, in seconds.
_LONGEST_S = 60.0
_STDERR = 2


@dataclass
class Ending:
    """How a study ended: its exit status and outcome, and what it found (`result`)."""

    study: str
    status: int = 0
    outcome: str = "finished"
    message: str = ""
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def document(self) -> dict[str, Any]:
        said = {"study": self.study, "status": self.status, "outcome": self.outcome}
        return said | {"message": self.message} | self.result


def check(command: str, url: str) -> None:
    """Before the study begins: at its end, nobody could mend it.

    Raises:
        InputError: There is no such program, or it is no address.
    """
    words = _words(command)
    if words and shutil.which(words[0]) is None:
        raise InputError(
            f"`--notify` runs `{words[0]}`, but there is no such program",
            hint="name one by its path, or one that is found by `which`",
        )
    if url and not webhook.is_address(url):
        raise InputError(
            f"`--notify-url` must be an address, but got `{url}`",
            hint="for example: https://example.org/hooks/tuner",
        )


@contextmanager
def notified(command: str, url: str, study: str) -> Iterator[Ending]:
    """Whatever ends the block is told to both; the block says what it found."""
    ending = Ending(study)
    try:
        yield ending
    except NothingFeasibleError as error:
        ending.outcome, ending.message = "nothing feasible", error.message
        ending.status = error.exit_status
        raise
    except TunerError as error:
        ending.outcome, ending.message = "failed", error.message
        ending.status = error.exit_status
        raise
    except KeyboardInterrupt:
        ending.outcome, ending.status = "interrupted", 130
        raise
    except BaseException as error:
        message = str(error) if isinstance(error, RunnerError) else type(error).__name__
        ending.outcome, ending.message, ending.status = "failed", message, 1
        raise
    finally:
        _tell(command, url, ending)


def _tell(command: str, url: str, ending: Ending) -> None:
    """Who cannot be told changes nothing about the study."""
    content = json_text(ending.document)
    if command:
        _run(_words(command), content)
    if url:
        try:
            webhook.post(url, content)
        except TunerError as error:
            note(f"warning: `--notify-url`: {error.message}")


def _run(words: list[str], content: str) -> None:
    try:
        done = subprocess.run(
            words,
            input=content,
            text=True,
            timeout=_LONGEST_S,
            check=False,
            stdout=_STDERR,  # stdout is for data
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        note(f"warning: `--notify`: {masked(str(error))}")
        return
    if done.returncode:
        note(f"warning: `--notify`: `{words[0]}` ended with status {done.returncode}")


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise InputError(f"`--notify` cannot be taken apart into words: {error}") from None
