"""A database of an older version: opening it brings it up to date, and it says what it said."""

import json
import math
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa  # noqa: TID251 - the tests of its door
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from tests.spaces import integer, space
from tuner.analysis.standings import standings
from tuner.errors import StudyChangedError
from tuner.goals import Objective
from tuner.space.document import fingerprint
from tuner.store.database import VERSION_TABLE
from tuner.store.schema import metadata
from tuner.store.storage import Storage
from tuner.study.continued_study import open_study

# A real study that was run before spaces and places were stored as values.
BEFORE = Path(__file__).with_name("before_rooms.db")
SPACE = space(integer())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database as the version before left it."""
    return Path(shutil.copyfile(BEFORE, tmp_path / "studies.db"))


def contents(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of all tables that are ours, as far as they are there."""
    connection = sqlite3.connect(path)
    there = {name for [name] in connection.execute("SELECT name FROM sqlite_master")}
    connection.row_factory = sqlite3.Row
    found = {
        table: [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]  # noqa: S608 - our own names
        for table in (VERSION_TABLE, *metadata.tables)
        if table in there
    }
    connection.close()
    return found


def test_nothing_is_lost(path: Path) -> None:
    """Bringing it up to date, by reading, loses no row and changes no value but the revision."""
    before = contents(path)

    with Storage(str(path)):
        pass

    after = contents(path)
    assert before.pop(VERSION_TABLE) == [{"version_num": "0003"}]
    assert after.pop(VERSION_TABLE) == [{"version_num": "0012"}]
    for table, rows in before.items():
        assert rows
        assert [{name: row[name] for name in rows[0]} for row in after[table]] == rows


@pytest.mark.parametrize("new", [True, False])
def test_the_tables_are_those_of_the_schema(path: Path, *, new: bool) -> None:
    """A new database and one that was brought up to date have what schema.py declares."""
    if new:
        path.unlink()
    with Storage(str(path), create=True):
        pass
    engine = sa.create_engine(f"sqlite:///{path}")
    options = {
        "version_table": VERSION_TABLE,
        "compare_type": True,
        "compare_server_default": True,
        "include_name": lambda name, kind, _: kind != "table" or name.startswith("tuner_"),
    }

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        differences = compare_metadata(context, metadata)
        tables = set(sa.inspect(connection).get_table_names())
    engine.dispose()

    assert differences == []
    assert {name for name in tables if name.startswith("tuner_")} == {
        *metadata.tables,
        VERSION_TABLE,
    }


def test_the_file_is_copied_before_it_is_changed(path: Path) -> None:
    """The copy has the number of the version before, and is made once."""
    before = contents(path)
    with Storage(str(path)):
        pass
    copy = path.with_name("studies.db.before-0003")
    kept = copy.stat().st_mtime_ns

    assert contents(copy) == before
    shutil.copyfile(BEFORE, path)
    with Storage(str(path)):
        pass
    assert {each.name for each in path.parent.iterdir()} == {path.name, copy.name}
    assert copy.stat().st_mtime_ns == kept


def test_it_says_what_it_said(path: Path) -> None:
    """The values are those of the rows; what is new has its default."""
    rows = contents(path)
    with Storage(str(path)) as storage:
        study = storage.study("before")

    assert (study.model, study.space, study.place) == ("encoder", None, {"runner": "process"})
    assert (study.objectives, study.options) == ((Objective.THROUGHPUT,), {})
    assert study.parameters == json.loads(rows["tuner_studies"][0]["parameters"])
    assert [trial.purpose.value for trial in study.trials] == ["baseline", "search"]
    for trial, row in zip(study.trials, rows["tuner_trials"], strict=True):
        assert dict(trial.configuration) == json.loads(row["configuration"])
        assert (trial.throughput, trial.log_error) == (row["throughput"], row["log_error"])
        assert math.isnan(trial.reference_s)
        points = [each for each in rows["tuner_load_points"] if each["trial_id"] == row["id"]]
        assert [(p.load, p.latency_s, p.percentiles_s[99]) for p in trial.points] == [
            (each["load"], each["latency_s"], each["p99_s"]) for each in points
        ]
    assert standings(study).winner is not None


class TestGoesOn:
    """A study that was begun with the version before, and is continued."""

    def test_with_another_trial(self, path: Path) -> None:
        """It takes all that is new."""
        with Storage(str(path), create=True) as storage:
            [_, last] = storage.study("before").trials
            another = replace(last, number=2, round=3, reference_s=0.02, difference=0.0123)
            storage.save_trial("before", another)
            assert repr(storage.study("before").trials[2]) == repr(another)

    def test_in_the_same_space(self, path: Path) -> None:
        """The same domains and defaults are the same space, which is stored from then on."""
        with Storage(str(path), create=True) as storage:
            before = storage.study("before")
            asked = replace(before, space=SPACE, space_fingerprint=fingerprint(SPACE))

            opened = open_study(storage, asked)

            assert (opened.space, len(opened.trials)) == (SPACE, 2)
            assert storage.study("before").space == SPACE

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"space": SPACE, "space_fingerprint": "0", "parameters": {}},
                (
                    "its search space changed from 313f574448 to 0 (changed: dynamic_batching, "
                    "instance_count, max_batch_size, max_queue_delay_microseconds, "
                    "preferred_batch_size, threads)"
                ),
            ),
            (
                {"place": {"runner": "docker", "memory": "4g"}},
                "its place changed from runner process to runner docker, memory 4g",
            ),
        ],
        ids=["another space", "another place"],
    )
    def test_not_otherwise(self, path: Path, changes: dict[str, Any], message: str) -> None:
        """What changed is named, and the study stays as it was."""
        with Storage(str(path), create=True) as storage:
            before = storage.study("before")
            asked = replace(before, **changes)

            with pytest.raises(StudyChangedError) as caught:
                open_study(storage, asked)

            assert caught.value.message == f"study `before` cannot be continued: {message}"
            assert storage.study("before") == before
