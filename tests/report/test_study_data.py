"""`tuner.load_study`: a study for programs."""

import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

import tuner
from tests.refusals import refused
from tests.report import studies
from tests.store.test_storage import stored


def test_reads_a_study(tmp_path: Path) -> None:
    """It has the tables of the study that was named, and cannot be changed."""
    night = studies.night()
    database = stored(tmp_path / "studies.db", night, studies.study(name="another"))

    found = tuner.load_study(str(database), night.name)

    assert isinstance(found, tuner.StudyData)
    assert found.study["study"] == night.name
    assert found.study["limit_s"] == 0.050
    assert found.study["winner"]["configuration"] == dict(studies.BEST)
    assert len(found.trials) == len(night.trials)
    assert len(found.load_points) == sum(len(each.points) for each in night.trials)
    assert len(found.verifications) == sum(len(each.verdicts) for each in night.trials)
    with pytest.raises(FrozenInstanceError):
        found.trials = found.load_points  # type: ignore[misc]


def test_of_a_study_that_is_not_there(tmp_path: Path) -> None:
    """The names that are there are the hint, as on the command line."""
    database = stored(tmp_path / "studies.db", studies.study(name="night"))

    with refused("no study is called `nigth`", hint="studies here: night"):
        tuner.load_study(str(database), "nigth")


def test_what_the_package_does_not_have() -> None:
    """It is an AttributeError, as of any module."""
    with pytest.raises(AttributeError, match="module 'tuner' has no attribute 'load_studies'"):
        tuner.load_studies  # noqa: B018


def test_the_package_alone_is_light() -> None:
    """Importing it brings none of the libraries that only data needs."""
    code = "import sys, tuner; print(*{'pandas', 'numpy', 'sqlalchemy'} & set(sys.modules))"

    ended = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )

    assert ended.stdout.strip() == ""
