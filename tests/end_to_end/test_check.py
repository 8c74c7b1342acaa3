"""`tuner check` on a server that runs: the study's winner started anew, measured, and judged."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.end_to_end.command import tuner
from tests.end_to_end.quick_server import AT_ONCE
from tests.end_to_end.test_jobs import SPACE
from tests.report import studies
from tuner.goals import LatencyBudget
from tuner.records import Purpose, TrialRecord
from tuner.store.storage import Storage
from tuner.study.job import Job, prepare

BUDGET = LatencyBudget(99, 0.050)


def believed(folder: Path) -> Path:
    """A study that says of a small server that it carries a hundred times what such a one can."""
    (folder / "server.py").write_text(AT_ONCE)
    space = folder / "mine.yaml"
    space.write_text(SPACE.replace("server.py", str(folder / "server.py")))
    prepared = prepare(Job(budget=BUDGET, space_file=space, study="night"))

    def trial(number: int, purpose: Purpose, capacity: float) -> TrialRecord:
        found = studies.trial(number, capacity, configuration=prepared.space.defaults)
        return replace(found, purpose=purpose, export="", points=())

    trials = [trial(0, Purpose.BASELINE, 1000.0)]
    trials += [trial(n, Purpose.FINAL, 1e5 + n) for n in (1, 2, 3)]
    options = {"budget_ms": 50.0, "space": str(space)}
    place = {"runner": "process"}
    with Storage(str(folder / "studies.db"), create=True) as storage:
        storage.create_study(replace(prepared.study, options=options, place=place))
        for each in trials:
            storage.save_trial("night", each)
    return folder / "studies.db"


def test_a_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A winner that carries less than it is said to is worse; the study stays as it is."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # no other check is beside this one
    database = believed(tmp_path)
    before = database.read_bytes()

    asked = ("check", "night", "--rounds", "1", "--json", "--junit", "check.xml")
    done = tuner(*asked, folder=tmp_path)

    assert done.status == 4, done.err
    assert done.json["outcome"] == "worse"
    assert done.json["winner"]["ratio"]["high"] < 0.95
    assert ET.parse(tmp_path / "check.xml").getroot().get("failures") == "1"  # noqa: S314 - ours
    assert database.read_bytes() == before
