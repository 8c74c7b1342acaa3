"""Who is told how a study ended, and what: a program, an address."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.clients.test_webhook import hook
from tests.command_line import Tuner, error
from tuner.cli.notified import notified
from tuner.clients import webhook
from tuner.errors import NothingFeasibleError, TunerError

KEEPS = "import sys; open('told.json', 'w').write(sys.stdin.read())"
COMMAND = f'{sys.executable} -c "{KEEPS}"'


def told(folder: Path) -> Any:
    return json.loads((folder / "told.json").read_text())


def test_how_it_ended(folder: Path) -> None:
    """Its name, its status, and what it found, on the standard input of the program."""
    with notified(COMMAND, "", "night") as ending:
        ending.result = {"throughput": 12.5, "gain": 2.0}
    assert told(folder) == {
        "study": "night",
        "status": 0,
        "outcome": "finished",
        "message": "",
        "throughput": 12.5,
        "gain": 2.0,
    }


@pytest.mark.parametrize(
    ("raised", "outcome", "status", "message"),
    [
        (NothingFeasibleError("none is"), "nothing feasible", 3, "none is"),
        (TunerError("it is not there"), "failed", 1, "it is not there"),
        (KeyboardInterrupt(), "interrupted", 130, ""),
        (ZeroDivisionError(), "failed", 1, "ZeroDivisionError"),
    ],
)
def test_whatever_ended_it(
    folder: Path, raised: BaseException, outcome: str, status: int, message: str
) -> None:
    """Whoever waits is told of failures as well, with the status that the command ends with."""
    with pytest.raises(type(raised)), notified(COMMAND, "", "night"):
        raise raised
    assert told(folder) == {
        "study": "night",
        "status": status,
        "outcome": outcome,
        "message": message,
    }


def test_an_address_is_told_the_same(folder: Path) -> None:
    with hook() as (url, kind), notified(COMMAND, url, "night"):
        pass
    [(_, _, content)] = kind.told
    assert content == told(folder)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (f'{sys.executable} -c "raise SystemExit(7)"', f"`{sys.executable}` ended with status 7"),
        ("/nowhere/program", "[Errno 2] No such file or directory: '/nowhere/program'"),
    ],
)
def test_one_that_fails(capsys: pytest.CaptureFixture[str], command: str, said: str) -> None:
    """It changes nothing about the study: it is said, and that is all."""
    with notified(command, "", "night"):
        pass
    assert capsys.readouterr().err == f"warning: `--notify`: {said}\n"


def test_an_address_that_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "sleep", lambda _: None)
    with notified("", "http://127.0.0.1:9/?key=s3cret", "night"):
        pass
    said = capsys.readouterr().err
    assert said.startswith("warning: `--notify-url`: 127.0.0.1 was told nothing: ConnectError")


@pytest.mark.parametrize(
    ("option", "value", "message", "hint"),
    [
        (
            "--notify",
            "nowhere --now",
            "`--notify` runs `nowhere`, but there is no such program",
            "name one by its path, or one that is found by `which`",
        ),
        (
            "--notify",
            "mail 'me",
            "`--notify` cannot be taken apart into words: No closing quotation",
            "",
        ),
        (
            "--notify-url",
            "example.org/hook",
            "`--notify-url` must be an address, but got `example.org/hook`",
            "for example: https://example.org/hooks/tuner",
        ),
    ],
)
def test_what_cannot_be_told_is_refused_before(
    tuner: Tuner, option: str, value: str, message: str, hint: str
) -> None:
    """In the morning nobody could mend it."""
    assert tuner("optimize", "--budget-ms", "50", option, value) == error(message, hint)
