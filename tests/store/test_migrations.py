"""Databases of older versions: opening one brings it up to date, and it says what it said."""

import json
import math
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa  # noqa: TID251 - the tests of its door
from alembic import command
from alembic.config import Config

from tests.spaces import integer, space
from tuner.analysis.standings import standings
from tuner.errors import Reason, StudyChangedError
from tuner.goals import LatencyBudget, Objective
from tuner.load.histogram import Histogram
from tuner.records import (
    Grade,
    PointRecord,
    Purpose,
    ServerStatistics,
    SettingVerdict,
    StudyRecord,
    TrialRecord,
    TrialState,
)
from tuner.space.document import fingerprint
from tuner.space.space import Configuration
from tuner.store import database
from tuner.store.storage import Storage
from tuner.study.loop import open_study

BEFORE = Path(__file__).with_name("before_rooms.db")
SPACE = space(integer())
STUDY = {
    "id": 1,
    "name": "encoder",
    "created_at": "2026-03-07 21:59:59.999999",
    "server": "triton",
    "model": "encoder",
    "model_fingerprint": "0123456789",
    "space_fingerprint": "abcdef0123",
    "percentile": 99.0,
    "limit_s": 0.05,
    "parameters": json.dumps({"n": "1 to 2 (default 1)"}),
    "request": json.dumps({"batch": 4}),
    "hardware": json.dumps({"cores": 2, "fingerprint": "ab12cd34ef"}),
    "environment": json.dumps({"python": "3.11.7"}),
}
BASELINE = {
    "id": 1,
    "study_id": 1,
    "number": 0,
    "purpose": "baseline",
    "proposal": 0,
    "configuration": json.dumps({"n": 1}),
    "state": "feasible",
    "reason": None,
    "message": "",
    "throughput": 152.5,
    "log_error": 0.015,
    "unloaded_s": 0.0075,
    "saturation": 175.0,
    "applied": "restart",
    "verdicts": json.dumps({"n": {"grade": "confirmed", "found": ""}}),
    "statistics": json.dumps(
        {
            "inferences": 9,
            "executions": 3,
            "failures": 1,
            "queue_s": 0.1,
            "compute_input_s": 0.2,
            "compute_infer_s": 0.3,
            "compute_output_s": 0.4,
            "requests": 8,
            "batches": {"4": 1},
        }
    ),
    "timings_s": json.dumps({"apply": 1.5, "total": 9.75}),
    "log_tail": "ready",
    "export": 'name: "encoder"\n',
    "seed": 7,
    "started_at": "2026-03-07 22:00:00.000000",
    "finished_at": "2026-03-07 22:00:09.750000",
}
FINAL = BASELINE | {
    "id": 2,
    "number": 1,
    "purpose": "final",
    "proposal": None,
    "state": "failed",
    "reason": "crashed",
    "message": "it is gone",
    "throughput": 0.0,
    "log_error": math.inf,
    "unloaded_s": None,
}
POINT = {
    "trial_id": 1,
    "position": 0,
    "phase": "search",
    "kind": "open",
    "load": 150.0,
    "duration_s": 2.5,
    "throughput": 149.5,
    "requests": 375,
    "mean_s": None,
    "latency_s": 0.04,
    "p50_s": 0.01,
    "p90_s": 0.02,
    "p95_s": 0.03,
    "p99_s": 0.04,
    "errors": json.dumps({"timeout": 1}),
    "unanswered": 2,
    "send_lag_p99_s": 0.0001,
    "engine_cpu_s": 0.125,
    "priority": "real-time",
    "stopped_early": "",
    "histogram": json.dumps({"counts": {"-3": 1, "20": 374}, "failures": 3}),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database as the version before left it, with one study of two trials."""
    made = tmp_path / "studies.db"
    migrate(made, "0003")
    connection = sqlite3.connect(made)
    insert(connection, "tuner_studies", STUDY)
    insert(connection, "tuner_trials", BASELINE)
    insert(connection, "tuner_trials", FINAL)
    insert(connection, "tuner_load_points", POINT)
    connection.commit()
    connection.close()
    return made


def migrate(path: Path, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def insert(connection: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    places = ", ".join("?" for _ in row)
    connection.execute(
        f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})",  # noqa: S608 - our own names
        tuple(row.values()),
    )


def revision(path: Path) -> str:
    connection = sqlite3.connect(path)
    (found,) = connection.execute(f"SELECT version_num FROM {database.VERSION_TABLE}").fetchone()  # noqa: S608 - our own name
    connection.close()
    return str(found)


def expected_point() -> PointRecord:
    """The load point in the words of the present version."""
    return PointRecord(
        phase="search",
        kind="open",
        load=150.0,
        duration_s=2.5,
        throughput=149.5,
        requests=375,
        mean_s=math.nan,
        latency_s=0.04,
        percentiles_s={50: 0.01, 90: 0.02, 95: 0.03, 99: 0.04},
        errors={"timeout": 1},
        unanswered=2,
        send_lag_p99_s=0.0001,
        engine_cpu_s=0.125,
        priority="real-time",
        stopped_early="",
        histogram=Histogram({-3: 1, 20: 374}, 3),
    )


def expected_baseline() -> TrialRecord:
    """The first trial in the words of the present version."""
    return TrialRecord(
        number=0,
        purpose=Purpose.BASELINE,
        proposal=0,
        configuration=Configuration.of({"n": 1}),
        state=TrialState.FEASIBLE,
        throughput=152.5,
        log_error=0.015,
        unloaded_s=0.0075,
        saturation=175.0,
        applied="restart",
        verdicts={"n": SettingVerdict(Grade.CONFIRMED)},
        statistics=ServerStatistics(9, 3, 1, 0.1, 0.2, 0.3, 0.4, 8, {4: 1}),
        timings_s={"apply": 1.5, "total": 9.75},
        points=(expected_point(),),
        log_tail="ready",
        export='name: "encoder"\n',
        seed=7,
        started_at=datetime(2026, 3, 7, 22, 0, tzinfo=UTC),
        finished_at=datetime(2026, 3, 7, 22, 0, 9, 750000, tzinfo=UTC),
    )


def expected() -> StudyRecord:
    """The same study in the words of the present version."""
    baseline = expected_baseline()
    final = replace(
        baseline,
        number=1,
        purpose=Purpose.FINAL,
        proposal=None,
        state=TrialState.FAILED,
        reason=Reason.CRASHED,
        message="it is gone",
        throughput=0.0,
        log_error=math.inf,
        unloaded_s=math.nan,
        points=(),
    )
    return StudyRecord(
        name="encoder",
        created_at=datetime(2026, 3, 7, 21, 59, 59, 999999, tzinfo=UTC),
        server="triton",
        model="encoder",
        model_fingerprint="0123456789",
        space_fingerprint="abcdef0123",
        budget=LatencyBudget(99.0, 0.05),
        parameters={"n": "1 to 2 (default 1)"},
        request={"batch": 4},
        hardware={"cores": 2, "fingerprint": "ab12cd34ef"},
        environment={"python": "3.11.7"},
        place={"runner": "process"},
        trials=(baseline, final),
    )


def test_the_version_before_is_brought_up_to_date(path: Path) -> None:
    """Opening it to read is enough: the study reads the same, what is new has its default."""
    before = revision(path)

    with Storage(str(path)) as storage:
        study = storage.study("encoder")

    # NaN is not equal to itself, but its text is.
    assert repr(study) == repr(expected())
    assert (before, revision(path)) == ("0003", "0004")


def test_a_study_of_the_version_before_goes_on(path: Path) -> None:
    """A study that was begun with the version before takes another trial, with all that is new."""
    another = replace(expected().trials[0], number=2, round=3, reference_s=0.02, proof="within")
    another = replace(another, difference=0.0123)

    with Storage(str(path), create=True) as storage:
        storage.save_trial("encoder", another)
        storage.save_stopped("encoder", "the time was used up")
        study = storage.study("encoder")

    assert repr(study.trials[2]) == repr(another)
    assert study.stopped == "the time was used up"
    assert study.objectives == (Objective.THROUGHPUT,)


def test_a_database_that_is_up_to_date_stays_as_it_is(path: Path) -> None:
    """Only the first opening writes."""
    with Storage(str(path)):
        pass
    before = path.read_bytes()

    with Storage(str(path)):
        pass

    assert path.read_bytes() == before


def test_all_columns_of_the_version_before_are_kept(path: Path) -> None:
    """Bringing it up to date loses no row and changes no value that was there."""
    before = contents(path)

    with Storage(str(path)):
        pass

    after = contents(path)
    for table, rows in before.items():
        kept = [{name: row[name] for name in rows[0]} for row in after[table]]
        assert kept == rows


def contents(path: Path) -> dict[str, list[dict[str, Any]]]:
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    tables = ("tuner_studies", "tuner_trials", "tuner_load_points")
    found = {
        table: [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]  # noqa: S608 - our own names
        for table in tables
    }
    connection.close()
    return found


class TestStudyOfBefore:
    """A real study that was run before spaces and places were stored as values."""

    @pytest.fixture
    def storage(self, tmp_path: Path) -> Iterator[Storage]:
        made = tmp_path / "studies.db"
        shutil.copyfile(BEFORE, made)
        with Storage(str(made), create=True) as storage:
            yield storage

    def test_can_be_read(self, storage: Storage) -> None:
        """It says all that it said."""
        study = storage.study("before")

        assert (study.model, study.space, study.place) == ("encoder", None, {"runner": "process"})
        assert [trial.purpose.value for trial in study.trials] == ["baseline", "search"]
        assert standings(study).winner is not None

    def test_goes_on(self, storage: Storage) -> None:
        """The same domains and defaults are the same space, which is stored from then on."""
        before = storage.study("before")
        asked = replace(before, space=SPACE, space_fingerprint=fingerprint(SPACE))

        opened = open_study(storage, asked)

        assert (opened.space, len(opened.trials)) == (SPACE, 2)
        assert storage.study("before").space == SPACE

    def test_with_another_space(self, storage: Storage) -> None:
        """What changed is named, and the study stays as it was."""
        before = storage.study("before")
        other = dict(before.parameters) | {"threads": "1 to 64 (default 1)"}
        asked = replace(before, space=SPACE, space_fingerprint="0", parameters=other)

        with pytest.raises(StudyChangedError) as caught:
            open_study(storage, asked)

        assert caught.value.message.endswith("(changed: threads)")
        assert storage.study("before").space is None

    def test_in_another_place(self, storage: Storage) -> None:
        """Where containers ran was not stored as a value: such a study is not continued."""
        before = storage.study("before")
        asked = replace(before, place={"runner": "docker", "memory": "4g"})

        with pytest.raises(StudyChangedError) as caught:
            open_study(storage, asked)

        assert caught.value.message == (
            "study `before` cannot be continued: its place changed from runner process to "
            "runner docker, memory 4g"
        )
