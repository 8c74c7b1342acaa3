"""A shell completes commands, options and the names of studies."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.command_line import Tuner
from tests.report import studies
from tests.store.test_storage import stored

TUNER = Path(sys.executable).with_name("tuner")


@pytest.fixture(autouse=True)
def database(folder: Path) -> None:
    night = studies.small_study()
    stored(folder / "studies.db", replace(night, name="night"), replace(night, name="noon"))
    stored(folder / "others.db", replace(night, name="nothing"))


@pytest.fixture
def asked(tuner: Tuner, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What the command prints when a shell asks it with these variables."""

    def asked(**variables: str) -> str:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        result = tuner()
        assert result.err == ""
        return result.out

    return asked


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["opt"], ["optimize"]),
        (["studies", "ex"], ["export"]),
        (["check", "--jun"], ["--junit"]),
        (["best", "--format", "ya"], ["yaml"]),
        *(
            ([*command, "n"], ["noon", "night"])
            for command in (["check"], ["report"], ["studies", "show"], ["stop"], ["status"])
        ),
        (["best", "--db", "others.db", ""], ["nothing"]),
        (["best", "--db", "missing.db", ""], []),
    ],
)
def test_words(asked: Callable[..., str], words: list[str], completed: list[str]) -> None:
    """What begins as the last word; where there is no database, nothing, and no error."""
    line = {"COMP_WORDS": " ".join(["tuner", *words]), "COMP_CWORD": str(len(words))}

    assert sorted(asked(_TUNER_COMPLETE="complete_bash", **line).split()) == sorted(completed)


def test_in_bash(asked: Callable[..., str]) -> None:
    """The script, sourced in a real bash, completes a line."""
    script = asked(_TUNER_COMPLETE="source_bash")
    line = "COMP_WORDS=(tuner best ni); COMP_CWORD=2; _tuner_completion tuner"
    path = f"{TUNER.parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        ["bash", "--norc", "-c", f'{script}\n{line}\necho "${{COMPREPLY[@]}}"'],
        capture_output=True, text=True, check=True, env={**os.environ, "PATH": path},
    )  # fmt: skip

    assert (ended.stdout, ended.stderr) == ("night\n", "")


@pytest.mark.parametrize(
    ("shell", "said"), [("zsh", "#compdef tuner"), ("fish", "complete --command tuner")]
)
def test_other_shells(asked: Callable[..., str], shell: str, said: str) -> None:
    """There is a script for each; where the shell is here, it takes it."""
    script = asked(_TUNER_COMPLETE=f"source_{shell}")

    assert said in script
    if program := shutil.which(shell):
        subprocess.run([program, "--no-execute"], input=script, text=True, check=True)
