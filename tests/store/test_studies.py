"""Pages of studies, trials and load points: what a list shows, and how many there are in all."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from tests.report import studies
from tests.report.studies import loads
from tests.store.test_storage import write
from tuner.errors import Reason
from tuner.records import StudyRecord, TrialState
from tuner.store.jobs import JobState, id_of, unended_jobs
from tuner.store.schema import tuner_jobs
from tuner.store.storage import Storage
from tuner.store.studies import (
    PointsPage,
    jobs_of,
    points_page,
    studies_in_brief,
    study_names,
    trials_page,
)


def several() -> list[StudyRecord]:
    """Three, an hour after each other, of one, two and three trials."""
    trials = [
        studies.baseline(points=loads((10, 5), (20, 9))),
        studies.failed(1, Reason.CRASHED, "gone"),
        studies.trial(2, 200.0, points=loads((30, 5), (40, 9), (50, 20))),
    ]
    return [
        studies.study(trials[: n + 1], name=f"s{n}", created_at=studies.BEGAN + timedelta(hours=n))
        for n in range(3)
    ]


@pytest.fixture
def storage(place: str) -> Iterator[Storage]:
    write(place, several())
    with Storage(place) as found:
        yield found


def test_names(storage: Storage) -> None:
    """The newest first, a page at a time."""
    first, second = (study_names(storage, limit=2, offset=offset) for offset in (0, 2))

    assert (first.found, second.found) == (("s2", "s1"), ("s0",))
    assert first.total == second.total == 3


def test_what_their_jobs_do(storage: Storage) -> None:
    """Those that never had a job can be told from those whose job ended."""
    for each in (("s0", JobState.ENDED), ("s1", JobState.RUNNING)):
        storage.write(partial(_job, *each))

    def named(*states: JobState | None) -> tuple[str, ...]:
        page = study_names(storage, jobs=states, limit=9)
        assert page.total == len(page.found)
        return page.found

    assert [named(JobState.ENDED), named(JobState.RUNNING), named(None)] == [
        ("s0",), ("s1",), ("s2",),
    ]  # fmt: skip
    assert named(JobState.ENDED, None) == ("s2", "s0")
    assert (set(jobs_of(storage, ["s0", "s2"])), set(unended_jobs(storage))) == ({"s0"}, {"s1"})


def _job(name: str, state: JobState, connection: Any) -> None:
    row = {
        "study_id": id_of(connection, name), "fence": 1, "owner": "elsewhere/1/1",
        "state": state.value, "wanted": "", "began_at": studies.BEGAN, "seen_at": studies.BEGAN,
        "why": "", "limits": {}, "log": "", "retry": [],
    }  # fmt: skip
    connection.execute(tuner_jobs.insert().values(row))


def test_studies_in_brief(storage: Storage) -> None:
    """In the order that is asked for, with their trials; names of none are left out."""
    found = studies_in_brief(storage, ["s0", "nobody", "s2"])

    assert [(each.name, len(each.trials)) for each in found] == [("s0", 1), ("s2", 3)]
    assert [each.number for each in found[1].trials] == [0, 1, 2]
    assert not any(trial.points for each in found for trial in each.trials)


def test_trials(storage: Storage) -> None:
    """All of a study, or those that ended so."""
    page = trials_page(storage, "s2", state=None, limit=2, offset=1)
    failed = trials_page(storage, "s2", state=TrialState.FAILED, limit=9, offset=0)

    assert ([each.number for each in page.trials], page.total) == ([1, 2], 3)
    assert ([each.number for each in failed.trials], failed.total) == ([1], 1)
    assert trials_page(storage, "nobody", state=None, limit=9, offset=0).total == 0


@pytest.mark.parametrize(
    ("limit", "offset", "found"),
    [
        (5, 0, PointsPage((0, 2), 0, 5)),
        (2, 0, PointsPage((0,), 0, 5)),
        (2, 1, PointsPage((0, 2), 1, 5)),
        (1, 3, PointsPage((2,), 1, 5)),
        (9, 5, PointsPage((), 0, 5)),
    ],
)
def test_load_points(storage: Storage, limit: int, offset: int, found: PointsPage) -> None:
    """A page may begin and end within a trial; trials without any have none."""
    assert points_page(storage, "s2", limit=limit, offset=offset) == found
