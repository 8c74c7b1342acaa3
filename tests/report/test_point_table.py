"""A table with one row for each load point."""

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
from tuner.report import point_table
from tuner.space.space import Configuration

POINTS = sum(len(t.points) for t in studies.night().trials)


def test_one_row_for_each_load_point() -> None:
    """The table has every load point of every trial, with the trial's configuration."""
    study = studies.small_study()
    table = point_table.table(study)

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


def test_a_parameter_that_does_not_apply_is_missing() -> None:
    """A configuration without a parameter has no value in its column."""
    trials = [studies.trial(0, 100.0, configuration=Configuration.of({"threads": 1}))]

    assert point_table.table(studies.study(trials))["parameter.instance_count"].isna().all()


def test_first_responses() -> None:
    """Where an answer is several responses, the times to the first have columns."""
    streamed = replace(studies.point(10.0, 0.5), first_response=Histogram({2000: 9}, 0))
    trials = [studies.trial(0, 10.0, points=(streamed,))]
    table = point_table.table(studies.study(trials))
    assert table.iloc[0]["first_p99_s"] == pytest.approx(Histogram({2000: 9}, 0).percentile(99))
    assert "first_p99_s" not in point_table.table(studies.night()).columns


def test_failures_are_counted() -> None:
    """Failed and unanswered requests, and those that were sent again, have a column each."""
    first = point_table.table(everything()).iloc[0]

    assert (first["failed"], first["unanswered"], first["reconnected"]) == (4, 2, 5)
    assert math.isinf(first["p99_s"])


def test_csv() -> None:
    """CSV reads back as the same table, infinities too."""
    read = pd.read_csv(io.StringIO(point_table.as_text(studies.night(), "csv")))

    assert len(read) == POINTS
    assert list(read.columns) == list(point_table.table(studies.night()).columns)
    assert "inf" in point_table.as_text(everything(), "csv")


def test_json() -> None:
    """JSON has one object for each load point, and null for what JSON has no number for."""
    rows = json.loads(point_table.as_text(everything(), "json"))

    assert [row["p99_s"] for row in rows] == [None, None]
    assert rows[0]["throughput"] == pytest.approx(0.3)
    assert len(json.loads(point_table.as_text(studies.night(), "json"))) == POINTS


def test_a_study_without_load_points() -> None:
    """An empty study is an empty table in every form."""
    assert point_table.table(studies.study()).empty
    assert json.loads(point_table.as_text(studies.study(), "json")) == []


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_files(tmp_path: Path, form: str) -> None:
    """Each form can be written to a file and read back."""
    if form == "parquet":
        pytest.importorskip("pyarrow", exc_type=ImportError)
    path = tmp_path / f"points.{form}"

    point_table.write(studies.night(), form, path)

    readers: dict[str, Callable[[Path], pd.DataFrame]] = {
        "csv": pd.read_csv,
        "json": pd.read_json,
        "parquet": pd.read_parquet,
    }
    read, written = readers[form](path), point_table.table(studies.night())
    assert len(read) == POINTS
    assert read["throughput"].max() == pytest.approx(written["throughput"].max())


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_file_that_cannot_be_written(tmp_path: Path, form: str) -> None:
    """A folder that is not there is named, with the system's reason."""
    if form == "parquet":
        pytest.importorskip("pyarrow", exc_type=ImportError)
    path = tmp_path / "no" / "points"

    with pytest.raises(TunerError) as caught:
        point_table.write(studies.night(), form, path)

    assert caught.value.message.startswith(f"{path}: cannot be written: ")
    assert "None" not in caught.value.message


def test_parquet_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parquet needs a package of its own, which is named."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    message = "`--format parquet` needs pyarrow: import of pyarrow halted; None in sys.modules"
    with refused(message, "pip install 'serving-tuner[parquet]'"):
        point_table.write(studies.night(), "parquet", tmp_path / "points")
