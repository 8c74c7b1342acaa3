"""The data of a study as pandas DataFrames, and as files."""

import io
import json
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from tests.refusals import refused
from tests.report import studies
from tests.store.test_storage import everything
from tuner.errors import TunerError
from tuner.load.histogram import Histogram
from tuner.records import LATENCY_PERCENTILES, StudyRecord
from tuner.report import frames
from tuner.report.study_tables import COLUMNS, PARAMETERS, StudyTable
from tuner.space.space import Configuration

POINTS = sum(len(t.points) for t in studies.night().trials)


def load_points(study: StudyRecord) -> pd.DataFrame:
    return frames.frame(study, StudyTable.LOAD_POINTS)


def as_text(study: StudyRecord, form: str, table: StudyTable = StudyTable.LOAD_POINTS) -> str:
    return frames.as_text(study, table, form)


class TestColumns:
    @pytest.mark.parametrize("table", StudyTable)
    @pytest.mark.parametrize("study", [studies.night(), everything(), studies.study()])
    def test_are_those_that_are_documented(self, table: StudyTable, study: StudyRecord) -> None:
        """Names, order and types are the same for every study, an empty one too."""
        found = frames.frame(study, table)

        columns = [column for column in COLUMNS[table] if column.name != PARAMETERS]
        own = {name: str(dtype) for name, dtype in found.dtypes.items()}
        fixed = {name: t for name, t in own.items() if not str(name).startswith("parameter.")}
        assert fixed == {column.name: column.dtype for column in columns}
        assert list(fixed) == [column.name for column in columns]

    def test_have_every_percentile(self) -> None:
        """Those that load points are stored with."""
        names = [column.name for column in COLUMNS[StudyTable.LOAD_POINTS]]

        for prefix in ("p", "first_p"):
            assert all(f"{prefix}{q}_s" in names for q in LATENCY_PERCENTILES)

    def test_of_parameters_have_the_type_of_their_values(self) -> None:
        """A parameter that does not apply is missing, and does not make numbers of its column."""
        found = frames.frame(studies.small_study(), StudyTable.TRIALS)

        types = {n: str(t) for n, t in found.dtypes.items() if str(n).startswith("parameter.")}
        assert types == {
            "parameter.instance_count": "Int64",
            "parameter.dynamic_batching": "boolean",
            "parameter.threads": "Int64",
        }

    def test_of_parameters_with_numbers_and_texts_have_texts(self) -> None:
        """`auto` beside 4 fits no other type."""
        trials = [
            studies.trial(0, 100.0, configuration=Configuration.of({"threads": "auto"})),
            studies.trial(1, 100.0, configuration=Configuration.of({"threads": 4})),
            studies.trial(2, 100.0, configuration=Configuration.of({})),
        ]

        found = frames.frame(studies.study(trials), StudyTable.TRIALS)

        assert found["parameter.threads"].tolist()[:2] == ["auto", "4"]
        assert found["parameter.threads"].isna().tolist() == [False, False, True]


class TestLoadPoints:
    def test_have_a_row_each(self) -> None:
        """The table has every load point of every trial, with the trial's configuration."""
        study = studies.small_study()
        table = load_points(study)

        assert len(table) == sum(len(t.points) for t in study.trials)
        first = table.iloc[0]
        assert (first["study"], first["trial"], first["purpose"], first["state"]) == (
            study.name,
            0,
            "baseline",
            "feasible",
        )
        assert (first["parameter.threads"], first["position"], first["kind"]) == (2, 0, "closed")
        point = study.trials[0].points[0]
        assert (first["load"], first["p99_s"]) == (point.load, point.percentiles_s[99])
        assert list(table[table["trial"] == 2]["position"]) == list(range(7))

    def test_say_whether_they_are_within_the_budget(self) -> None:
        """That of the study, at its percentile."""
        points = studies.loads((100, 20.0), (200, 50.0), (300, 51.0))
        table = load_points(studies.study([studies.trial(0, 100.0, points=points)]))

        assert table["within"].tolist() == [True, True, False]
        assert table["latency_s"].tolist() == [0.020, 0.050, 0.051]

    def test_without_a_parameter(self) -> None:
        """A configuration without a parameter has no value in its column."""
        trials = [studies.trial(0, 100.0, configuration=Configuration.of({"threads": 1}))]

        assert load_points(studies.study(trials))["parameter.instance_count"].isna().all()

    def test_with_first_responses(self) -> None:
        """Where an answer is several responses, the times to the first are there."""
        streamed = replace(studies.point(10.0, 0.5), first_response=Histogram({2000: 9}, 0))
        trials = [studies.trial(0, 10.0, points=(streamed,))]
        first = load_points(studies.study(trials)).iloc[0]["first_p99_s"]
        assert first == pytest.approx(Histogram({2000: 9}, 0).percentile(99))
        assert load_points(studies.night())["first_p99_s"].isna().all()

    def test_count_failures(self) -> None:
        """Failed and unanswered requests, and those that were sent again, have a column each."""
        first = load_points(everything()).iloc[0]

        assert (first["failed"], first["unanswered"], first["reconnected"]) == (4, 2, 5)
        assert math.isinf(first["p99_s"])


class TestTrials:
    def test_have_a_row_each(self) -> None:
        """With what came of them, and when they ran."""
        study = studies.small_study()
        table = frames.frame(study, StudyTable.TRIALS).set_index("trial")

        assert table["state"].tolist() == [trial.state.value for trial in study.trials]
        assert table.loc[2, "throughput"] == 401.0
        assert table.loc[5, "reason"] == "out_of_memory"
        assert table["reason"].isna().sum() == len(study.trials) - 1
        assert table.loc[0, "started_at"] == pd.Timestamp(studies.BEGAN)
        assert table["proposal"].isna().tolist() == [True, *[False] * 6]


def test_verifications() -> None:
    """Each parameter of each trial has its grade."""
    table = frames.frame(studies.small_study(), StudyTable.VERIFICATIONS)

    first = table[table["trial"] == 0].set_index("parameter")
    assert first["grade"].to_dict() == {
        "dynamic_batching": "confirmed",
        "instance_count": "confirmed",
        "threads": "accepted",
    }
    assert first.loc["dynamic_batching", "value"] == "false"
    assert (first["found"] == "").all()


def test_csv() -> None:
    """CSV reads back as the same table, infinities too."""
    read = pd.read_csv(io.StringIO(as_text(studies.night(), "csv")))

    assert len(read) == POINTS
    assert list(read.columns) == list(load_points(studies.night()).columns)
    assert "inf" in as_text(everything(), "csv")


def test_json_keeps_all_digits() -> None:
    """As the table has them."""
    study = studies.study([studies.trial(0, 100.0, unloaded_s=0.000123456789012)])

    [row] = json.loads(as_text(study, "json", StudyTable.TRIALS))

    assert row["unloaded_s"] == 0.000123456789012


def test_json() -> None:
    """JSON has one object for each row, and null for what JSON has no number for."""
    rows = json.loads(as_text(everything(), "json"))

    assert [row["p99_s"] for row in rows] == [None, None]
    assert rows[0]["throughput"] == pytest.approx(0.3)
    assert len(json.loads(as_text(studies.night(), "json"))) == POINTS
    trials = json.loads(as_text(studies.small_study(), "json", StudyTable.TRIALS))
    assert trials[0]["started_at"] == "2026-03-07T22:00:00.000000Z"


@pytest.mark.parametrize("table", StudyTable)
def test_a_study_without_trials(table: StudyTable) -> None:
    """An empty study is an empty table in every form."""
    assert frames.frame(studies.study(), table).empty
    assert json.loads(as_text(studies.study(), "json", table)) == []


@pytest.mark.parametrize("table", StudyTable)
@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_files(tmp_path: Path, form: str, table: StudyTable) -> None:
    """Each form can be written to a file and read back."""
    if form == "parquet":
        pytest.importorskip("pyarrow", exc_type=ImportError)
    path = tmp_path / f"points.{form}"

    frames.write(studies.night(), table, form, path)

    readers: dict[str, Callable[[Path], pd.DataFrame]] = {
        "csv": pd.read_csv,
        "json": pd.read_json,
        "parquet": pd.read_parquet,
    }
    read, written = readers[form](path), frames.frame(studies.night(), table)
    assert list(read.columns) == list(written.columns)
    assert read["trial"].tolist() == written["trial"].tolist()


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_file_that_cannot_be_written(tmp_path: Path, form: str) -> None:
    """A folder that is not there is named, with the system's reason."""
    if form == "parquet":
        pytest.importorskip("pyarrow", exc_type=ImportError)
    path = tmp_path / "no" / "points"

    with pytest.raises(TunerError, match=f"{path}`?:? cannot be written: ") as caught:
        frames.write(studies.night(), StudyTable.LOAD_POINTS, form, path)

    assert "None" not in caught.value.message


def test_parquet_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parquet needs a package of its own, which is named."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    message = "`--format parquet` needs pyarrow: import of pyarrow halted; None in sys.modules"
    with refused(message, "pip install 'serving-tuner[parquet]'"):
        frames.write(studies.night(), StudyTable.TRIALS, "parquet", tmp_path / "points")
