"""The Pareto front of a study on a fleet, read from the database."""

from dataclasses import replace
from pathlib import Path

from tests.report.fleets import Night
from tests.report.studies import loads
from tests.store.test_storage import stored
from tuner.records import StudyRecord
from tuner.report.fronts import front_of, trials_of_front
from tuner.store.storage import Storage


def large() -> tuple[StudyRecord, int, int]:
    """A slow host measured what is best, and a fast one what looks better; with their numbers."""
    night = Night({"ada": 1.0, "bob": 0.8, "cleo": 1.0})
    for _ in range(4):
        night.canaries()
    for _ in range(20):
        night.run("ada", 100.0)
    best = night.run("bob", 200.0, points=loads((160.0, 10.0)))  # 200 as on the first host
    flattered = night.run("cleo", 180.0, points=loads((180.0, 10.0)))
    study = replace(night.study(), name="large", options={"fleet": "auto"})
    return study, best.number, flattered.number


def test_the_front_of_a_large_study_is_that_without_the_factors_of_hosts(tmp_path: Path) -> None:
    """What is on it is found without the table of points, whose rates are those of the hosts."""
    study, best, flattered = large()
    path = stored(tmp_path / "studies.db", study)
    with Storage(str(path)) as storage:
        front = front_of(storage, "large")
        numbers = trials_of_front(storage, storage.study("large", brief=True))
        as_measured = storage.front_trials(study)

    assert [point["trial"] for point in front.points] == [best]
    assert numbers == {best}
    assert flattered in as_measured
