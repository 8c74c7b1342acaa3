"""The database of studies: what is written comes back, whole or not at all."""

import math
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TypeVar

import pytest

from tests.refusals import refused
from tests.report import studies
from tests.spaces import integer, space
from tuner.errors import Reason, StorageError
from tuner.goals import AnswerLimits, LatencyBudget, Loop, Objective
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
    Usage,
)
from tuner.search.search import Search
from tuner.space.space import Configuration
from tuner.store.schema import metadata
from tuner.store.storage import Storage

Place = TypeVar("Place", Path, str)
WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE tuner_studies SET model = 'not yet'")
print("writing", flush=True)
sys.stdin.read()
connection.execute("COMMIT")
"""


def hard_point() -> PointRecord:
    """A load point whose numbers are hard ones."""
    return PointRecord(
        phase="search",
        kind="open",
        load=123.456,
        duration_s=2.5,
        throughput=0.1 + 0.2,
        requests=12,
        mean_s=math.nan,
        latency_s=math.inf,
        latency_low_s=0.2,
        latency_high_s=math.inf,
        percentiles_s={50: 1e-300, 90: 0.25, 95: 1.7976931348623157e308, 99: math.inf},
        errors={"http_503": 3, "timeout": 1},
        unanswered=2,
        reconnected=5,
        send_lag_p99_s=math.nan,
        engine_cpu_s=0.125,
        priority="real-time",
        stopped_early="overload",
        histogram=Histogram({-3: 1, 0: 2, 2178: 4}, 4),
        first_response=Histogram({7: 3}, 0),
        itl=Histogram({9: 2}, 1),
        whole=Histogram({900: 3}, 0),
        tokens_per_s=0.1 + 0.7,
        together=0.0,
        counted_by="both",
        runs=2,
        disturbed=("stolen", "swap"),
        usage=Usage(cpu_s=0.1 + 0.2, memory_bytes=2.0**41 + 1, energy_j=math.nan),
    )


def hard_trial() -> TrialRecord:
    """A trial in which no field has its default value."""
    point = hard_point()
    return TrialRecord(
        number=7,
        purpose=Purpose.FINAL,
        proposal=3,
        configuration=Configuration.of({"a": 1, "b": 1.0, "c": True, "d": "true", "e": 0.3}),
        state=TrialState.FAILED,
        reason=Reason.WRONG_OUTPUT,
        message="line one\nline “two” \x7f of `it`",
        throughput=99.9,
        log_error=math.inf,
        unloaded_s=math.nan,
        saturation=101.5,
        reference_s=math.inf,
        difference=math.inf,
        remarks=("“one”", "two\n"),
        usage=Usage(cpu_s=1e-9, memory_bytes=4096.0, energy_j=0.3),
        round=2,
        proof="undecided",
        applied="reload",
        verdicts={
            "a": SettingVerdict(Grade.CONFIRMED),
            "b": SettingVerdict(Grade.REFUTED, "found 2.0"),
        },
        statistics=ServerStatistics(
            9, 3, 1, 0.1, 0.2, 0.3, 0.4, 8, {1: 2, 4: 1}, {1: 0.2, 4: 0.1}
        ),
        timings_s={"apply": 1.5, "total": 9.75},
        points=(point, replace(point, mean_s=0.5, send_lag_p99_s=0.0, kind="closed")),
        log_tail="E1120 𝄞 out of memory",
        export='name: "encoder"\n',
        seed=1001,
        started_at=datetime(2026, 3, 7, 22, 0, 0, 123456, tzinfo=UTC),
        finished_at=datetime(2026, 3, 8, 0, 30, tzinfo=timezone(timedelta(hours=2))),
    )


def everything() -> StudyRecord:
    """A study in which no field has its default value, and numbers are hard ones."""
    return StudyRecord(
        name="a study; DROP TABLE tuner_studies",
        created_at=datetime(2026, 3, 7, 21, 59, 59, 999999, tzinfo=UTC),
        server="triton",
        model="encoder",
        model_fingerprint="0123456789",
        space_fingerprint="abcdef0123",
        budget=LatencyBudget.of_answers(99.9, AnswerLimits(ttft_s=0.0505, itl_s=0.1 + 0.2)),
        parameters={"z": "1 to 2", "a": "false, true"},
        request={"batch": 4, "shapes": {"image": [3, 224, 224]}, "data": "zero"},
        hardware={"cores": 2, "hostname": "bench"},
        environment={"python": "3.11.7"},
        objectives=(Objective.LATENCY, Objective.ENERGY),
        arrivals=Loop.CLOSED,
        sampler="random",
        warm_start=("last night", "“the one” before"),
        stopped="the time was used up",
        trials=(hard_trial(),),
    )


def comparable(study: StudyRecord) -> StudyRecord:
    """`study` without NaN, which is not equal to itself."""
    return replace(
        study,
        trials=tuple(
            replace(t, unloaded_s=-1.0) if math.isnan(t.unloaded_s) else t for t in study.trials
        ),
    )


_MADE: dict[str, bytes] = {}


def stored(place: Place, *records: StudyRecord) -> Place:
    """A new database with these studies; many tests want the same file, so each is made once."""
    wanted = repr(records)
    if isinstance(place, Path):
        if wanted not in _MADE:
            write(str(place), records)
            _MADE[wanted] = place.read_bytes()
        place.write_bytes(_MADE[wanted])
    else:
        write(place, records)
    return place


def write(place: str, records: Sequence[StudyRecord]) -> None:
    with Storage(place, create=True) as storage:
        for record in records:
            storage.create_study(replace(record, trials=()))
            for trial in record.trials:
                storage.save_trial(record.name, trial)


def test_every_field_comes_back(place: str) -> None:
    """A study is read as it was written: types, hard numbers, odd characters, times."""
    written = everything()

    with Storage(str(stored(place, written))) as storage:
        read = storage.study(written.name)

    # NaN is not equal to itself, but its text is.
    assert repr(read.trials[0].points) == repr(written.trials[0].points)
    assert math.isnan(read.trials[0].unloaded_s)
    assert [type(v) for v in read.trials[0].configuration.values()] == [
        int,
        float,
        bool,
        str,
        float,
    ]
    read_trial, written_trial = (
        replace(each.trials[0], unloaded_s=0.0, points=()) for each in (read, written)
    )
    assert read_trial == written_trial
    assert replace(read, trials=()) == replace(written, trials=())
    assert list(read.parameters) == ["z", "a"]
    assert read.trials[0].finished_at.tzinfo is UTC


def test_a_log_may_have_any_character(place: str) -> None:
    """A null character, which a PostgreSQL cannot keep, is replaced."""
    trial = studies.failed(1, Reason.CRASHED, "it was gone", "ö \U0001f600 \0 end")
    with Storage(stored(place, studies.study([trial]))) as storage:
        [found] = storage.study(None).trials
    assert found.log_tail == "ö \U0001f600 \N{REPLACEMENT CHARACTER} end"


def test_a_whole_night_comes_back(place: str) -> None:
    """Every trial of a long study comes back in its order, with its load points in theirs."""
    night = studies.night()

    with Storage(str(stored(place, night))) as storage:
        read = storage.study(night.name)

    assert [t.number for t in read.trials] == list(range(len(night.trials)))
    assert comparable(read) == comparable(night)


def test_trials_are_read_in_their_order(place: str) -> None:
    """The number of a trial decides, not when it was written."""
    study = studies.study([studies.trial(2, 100.0), studies.baseline(), studies.trial(1, 200.0)])

    with Storage(str(stored(place, study))) as storage:
        assert [t.number for t in storage.study(None).trials] == [0, 1, 2]


def test_a_trial_is_written_whole_or_not_at_all(path: Path) -> None:
    """A failure among the load points takes the trial back, and the study goes on without it."""
    study = studies.study([studies.baseline()])
    good = studies.trial(1, 200.0)
    bad = replace(good, points=(good.points[0], replace(good.points[1], phase=None)))  # type: ignore[arg-type] # refused by the database

    with Storage(str(stored(path, study))) as storage:
        with pytest.raises(StorageError) as caught:
            storage.save_trial(study.name, bad)
        after_failure = storage.study(None).trials
        storage.save_trial(study.name, good)
        after_success = storage.study(None).trials

    assert caught.value.message == f"{path}: NOT NULL constraint failed: tuner_load_points.phase"
    assert [t.number for t in after_failure] == [0]
    assert [len(t.points) for t in after_success] == [7, 7]


def test_a_trial_number_is_taken_once(path: Path) -> None:
    """Two processes that work on one study cannot both write a trial of one number."""
    study = studies.study([studies.baseline()])

    with Storage(str(stored(path, study))) as storage, pytest.raises(StorageError) as caught:
        storage.save_trial(study.name, studies.baseline(90.0))

    assert caught.value.message == f"{path}: another process changed the study at the same time"
    assert caught.value.hint == "let only one `tuner optimize` at a time work on a study"


def test_studies_are_listed_newest_first(place: str) -> None:
    """The list has all studies with their trials, the newest first, without load points."""
    old = studies.study([studies.baseline()], name="old")
    new = studies.study([], name="new", created_at=studies.BEGAN + timedelta(seconds=1))
    same = studies.study([], name="as new", created_at=studies.BEGAN + timedelta(seconds=1))

    with Storage(str(stored(place, new, old, same))) as storage:
        listed = storage.studies()

    assert [study.name for study in listed] == ["as new", "new", "old"]
    assert [t.points for t in listed[2].trials] == [()]


def test_no_name_is_the_newest_study(place: str) -> None:
    """Without a name the newest study is meant, by its moment, not by its place."""
    elsewhere = timezone(timedelta(hours=-8))
    new = studies.study(name="new", created_at=datetime(2026, 3, 7, 16, 0, tzinfo=elsewhere))
    old = studies.study(name="old", created_at=datetime(2026, 3, 7, 23, 0, tzinfo=UTC))

    with Storage(str(stored(place, new, old))) as storage:
        assert storage.study(None).name == "new"
        assert storage.study("old").name == "old"


def test_an_unknown_study_lists_the_known_ones(place: str) -> None:
    """Whoever mistypes a name is told the names there are."""
    both = (studies.study(name="night"), studies.study(name="day"))

    message, hint = "no study is called `nihgt`", "studies here: day, night"
    with Storage(str(stored(place, *both))) as storage, refused(message, hint):
        storage.study("nihgt")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, "there is no study yet"),
        ("", "no study is called ``"),
        ("x", "no study is called `x`"),
    ],
)
def test_no_study_at_all(place: str, name: str | None, message: str) -> None:
    """An empty database says how a study is made."""
    hint = "`tuner optimize --budget-ms 50` makes one"
    with Storage(str(stored(place))) as storage, refused(message, hint):
        storage.study(name)


def test_why_a_study_stopped(place: str) -> None:
    """Why the search ended is kept with its study, also when it ended again, and no other one."""
    with Storage(str(stored(place, studies.study(name="a"), studies.study(name="b")))) as storage:
        storage.save_stopped("a", "every configuration was tried")
        first = storage.study("a").stopped
        storage.save_stopped("a", "the time was used up")

        assert first == "every configuration was tried"
        assert storage.study("a").stopped == "the time was used up"
        assert storage.study("b").stopped == ""


def test_tables_are_made_whole_or_not_at_all(path: Path) -> None:
    """A beginning that fails in the middle leaves the database as it was."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE tuner_trials (somebody_elses INTEGER)")
    connection.close()
    before = path.read_bytes()

    with pytest.raises(StorageError) as caught, Storage(str(path), create=True):
        pass

    assert caught.value.message == f"{path}: table tuner_trials already exists"
    assert caught.value.hint == "check the database and its permissions"
    assert path.read_bytes() == before


def test_optuna_and_we_share_a_file(path: Path) -> None:
    """Optuna's tables and ours lie in one database, whoever comes first, and do not meet."""
    searched = space(integer(high=9))
    study = studies.study([studies.baseline()])
    url = f"sqlite:///{path}"

    Search(searched, study.budget, storage_url=url, study_name=study.name, seed=0)
    optunas = tables(path)
    stored(path, study)
    search = Search(searched, study.budget, storage_url=url, study_name=study.name, seed=0)
    search.ask()

    ours = {*metadata.tables, "tuner_migrations"}
    assert not optunas & ours
    assert tables(path) == optunas | ours | {"sqlite_sequence"}
    with Storage(str(path)) as storage:
        assert storage.study(None).name == study.name


def tables(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    connection.close()
    return {name for (name,) in names}


def test_reading_works_while_another_process_writes(path: Path) -> None:
    """A report can be made while a study runs; it shows what was written whole."""
    stored(path, studies.small_study())
    with (
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as writer,
    ):
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
        with Storage(str(path), busy_s=0.0) as storage:
            during = storage.study(None)
        writer.communicate()
    with Storage(str(path)) as storage:
        after = storage.study(None)

    assert during.model == "encoder"
    assert len(during.trials) == 7
    assert after.model == "not yet"


def test_reading_writes_nothing(path: Path) -> None:
    """Whoever only reads leaves the file as it is, and none beside it."""
    stored(path, studies.small_study())
    before, changed = path.read_bytes(), path.stat().st_mtime_ns

    with Storage(str(path)) as storage:
        storage.studies()
        storage.study(None)

    assert path.read_bytes() == before
    assert path.stat().st_mtime_ns == changed
    assert list(path.parent.iterdir()) == [path]
