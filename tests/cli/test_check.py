"""`tuner check`: what it refuses, and with which status it ends."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.command_line import Result, Tuner, error
from tests.report import studies
from tests.report.test_check_text import OTHER, failing, found, undecided
from tests.store.test_storage import stored
from tuner import demo
from tuner.goals import SearchBudget
from tuner.records import StudyRecord
from tuner.store.ownership import held
from tuner.store.storage import Storage
from tuner.study import check as checking
from tuner.study.check import Checked, CheckPlan
from tuner.study.check_turn import check_turn
from tuner.study.job import PreparedJob

ASKED = {"budget_ms": 50.0, "model": "encoder"}
NIGHT = replace(studies.night(), name="night", options=ASKED)


@pytest.fixture(autouse=True)
def database(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`studies.db` with studies that can be checked, and some that cannot; no check beside."""
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return stored(
        folder / "studies.db",
        NIGHT,
        replace(NIGHT, name="old", options={}),
        replace(NIGHT, name="secret", options={**ASKED, "header": ["Key: ..."]}),
        replace(NIGHT, name="none", trials=()),
    )


class Checks:
    """In place of measuring: what it was asked for, and the result that it has."""

    def __init__(self) -> None:
        self.result: Checked = found(401.0)
        self.prepared: list[PreparedJob] = []
        self.plans: list[CheckPlan] = []

    def __call__(
        self, prepared: PreparedJob, study: StudyRecord, plan: CheckPlan, *_: Any
    ) -> Checked:
        self.prepared.append(prepared)
        self.plans.append(plan)
        return replace(self.result, study=study)


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Checks:
    made = Checks()
    monkeypatch.setattr(checking, "check", made)
    return made


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (
            ("--tolerance", "0"),
            error(
                "`--tolerance` must be a percentage above 0 and below 100, but got `0`",
                "for example: 5%",
            ),
        ),
        (
            ("--tolerance", "0.05"),
            error(
                "`--tolerance` must be a percentage above 0 and below 100, but got `0.05`",
                "for example: 5%",
            ),
        ),
        (
            ("--tolerance", "much"),
            error(
                "`--tolerance` must be a percentage above 0 and below 100, but got `much`",
                "for example: 5%",
            ),
        ),
        (
            ("--timeout", "soon"),
            error(
                "`--timeout` must be a duration above 0 and up to 1000h, but got `soon`",
                "for example: 90s, 3m, 2h",
            ),
        ),
        (
            ("--image", "server:2"),
            error(
                "`--image` means nothing to `--runner process`",
                "add `--runner docker`, or leave it out",
            ),
        ),
        (
            ("--model-repository", "missing"),
            error(
                "missing: a model repository was expected, but there is no such folder",
                "a model repository is a folder with one folder for each model",
            ),
        ),
        (
            ("old",),
            error(
                "study `old` was begun by a version that did not store its options",
                "repeat its command, with `--study old`",
            ),
        ),
        (
            ("secret",),
            error(
                "study `secret` sends headers whose values are not stored: Key",
                "--header 'Key: VALUE'",
            ),
        ),
        (
            ("night", "--header", "Key: secret"),
            error("study `night` sends no header `Key`", "leave it out"),
        ),
        (
            ("none",),
            error(
                "study `none` has no winner that could be checked",
                "`tuner studies list` shows which studies have one",
            ),
        ),
    ],
)
def test_refusals(tuner: Tuner, arguments: tuple[str, ...], refusal: Result) -> None:
    """What cannot be checked is said before anything is started, with status 2."""
    study = ("night",) if arguments[0].startswith("-") else ()

    assert tuner("check", *study, *arguments) == refusal


@pytest.mark.parametrize("runs", ["night", "old"])
def test_beside_a_study(tuner: Tuner, runs: str) -> None:
    """A machine on which a study runs has no time for a check, whichever study it is."""
    with Storage("studies.db") as storage, held(storage, runs, limits=SearchBudget().as_record()):
        result = tuner("check", "night")

    assert result.status == 1
    assert result.err.startswith(f"error: study `{runs}` is run by process ")
    assert result.err.endswith(
        "both would measure less than there is\n"
        f"hint: check when it has ended, or end it: `tuner stop {runs}`\n"
    )


@pytest.mark.parametrize(
    ("result", "status"),
    [(found(401.0), 0), (undecided(), 0), (found(340.0), 4), (failing(), 4), (OTHER, 5)],
)
def test_the_exit_status(tuner: Tuner, checks: Checks, result: Checked, status: int) -> None:
    """0 as good or not proved worse, 4 worse, 5 not comparable; JSON and JUnit agree."""
    checks.result = result

    printed = tuner("check", "night", "--json", "--junit", "folder/check.xml")

    assert printed.status == status
    assert printed.json["exit_status"] == status
    assert printed.json["study"] == "night"
    suites = ET.parse("folder/check.xml").getroot()  # noqa: S314 - our own
    assert (suites.get("failures"), suites.get("errors")) == (
        str(int(status == 4)),
        str(int(status == 5)),
    )
    assert tuner("check", "night").status == status


def test_what_is_checked(tuner: Tuner, checks: Checks, database: Path) -> None:
    """The study's own options, but for what is said anew; the database stays as it is."""
    before = database.read_bytes()

    asked = ("--model-repository", str(demo.REPOSITORY), "--rounds", "4")
    ended = tuner("check", "night", *asked, "--tolerance", "8 %", "--timeout", "3m")

    assert ended.status == 0, ended.err
    assert checks.plans == [CheckPlan(rounds=4, timeout_s=180.0, tolerance=0.08)]
    [prepared] = checks.prepared
    assert prepared.job.budget == NIGHT.budget
    assert prepared.job.repository == demo.REPOSITORY
    assert prepared.study.model == "encoder"
    assert database.read_bytes() == before


def test_beside_another_check(tuner: Tuner, checks: Checks) -> None:
    """Two of them would disturb each other, even of different databases."""
    with check_turn():
        result = tuner("check", "night")

    assert result == error(
        "another check runs on this machine: both would measure less than there is",
        "check when it has ended",
        status=1,
    )
    assert checks.plans == []
    assert tuner("check", "night").status == 0


def test_a_file_that_cannot_be_written(tuner: Tuner, checks: Checks, folder: Path) -> None:
    """That is said before it is measured for minutes."""
    (folder / "taken").touch()

    result = tuner("check", "night", "--junit", "taken/check.xml")

    assert result.status == 1
    assert checks.plans == []
    assert result.err.endswith(
        "error: taken/check.xml: cannot be written: File exists\n"
        "hint: name another with `--junit`\n"
    )
