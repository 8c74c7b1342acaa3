"""The commands that read the database: `report`, `pareto`, `best`, `effects` and `studies`."""

import csv
import io
import shlex
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.command_line import Result, Tuner, error
from tests.report import studies
from tests.store.test_storage import everything, stored
from tuner.analysis import standings
from tuner.cli import optimize, results
from tuner.errors import NothingFeasibleError, Reason
from tuner.load.requests import Tensor
from tuner.records import Golden, StudyRecord, TrialRecord
from tuner.report import effects_text, findings
from tuner.store.storage import Storage

NIGHT = studies.study().name
EXPORT = 'name: "encoder"\ninstance_group [ { count: 2 } ]\n'
READERS = (
    ("report",),
    ("pareto",),
    ("best",),
    ("effects",),
    ("studies", "list"),
    ("studies", "show"),
    ("studies", "export", "--format", "csv"),
)


@pytest.fixture
def database(folder: Path) -> Path:
    """`studies.db` with a night that had a winner, the newest, and two older ones without."""
    night = studies.night()
    winner = replace(night.trials[2], export=EXPORT)
    finals = [replace(t, export=EXPORT) for t in night.finals]
    searched = [winner if t.number == 2 else t for t in night.searched]
    return stored(
        folder / "studies.db",
        replace(night, trials=(*searched, *finals)),
        slow(),
        replace(slow(), name="broken", trials=(broken(),)),
        replace(everything(), name="odd [bold]", created_at=studies.BEGAN.replace(year=2001)),
    )


def slow() -> StudyRecord:
    """A study without any feasible configuration."""
    return studies.study(
        [
            studies.infeasible(studies.baseline(), unloaded_s=0.090),
            studies.infeasible(studies.trial(1), unloaded_s=0.061),
        ],
        name="slow",
        created_at=studies.BEGAN.replace(year=2025),
    )


def broken() -> TrialRecord:
    return studies.failed(0, Reason.CRASHED, "it is gone")


def succeeded(result: Result) -> Result:
    assert (result.status, result.err) == (0, "")
    return result


@pytest.mark.parametrize("command", READERS)
def test_without_a_database(tuner: Tuner, folder: Path, command: tuple[str, ...]) -> None:
    """Where there is no database, that is said with status 2, and none appears."""
    assert tuner(*command) == error(
        "studies.db: there is no such database",
        "`tuner optimize --budget-ms 50` makes one; `--db` names another",
    )
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("command", [each for each in READERS if each != ("studies", "list")])
def test_an_unknown_study(tuner: Tuner, database: Path, command: tuple[str, ...]) -> None:
    """A name that is not there lists the names that are, with status 2."""
    assert tuner(*command, "nigth", "--db", str(database)) == error(
        "no study is called `nigth`",
        f"studies here: broken, {NIGHT}, odd [bold], slow",
    )


@pytest.mark.parametrize("command", READERS)
def test_a_database_that_cannot_be_read(
    tuner: Tuner, folder: Path, command: tuple[str, ...]
) -> None:
    """A fault of the database is a fault, with status 1."""
    (folder / "studies.db").write_text("text\n" * 1000)

    assert tuner(*command) == error(
        "studies.db: is not an SQLite database", "name another with `--db`", status=1
    )


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("study", [NIGHT, "slow", "broken", "odd [bold]"])
@pytest.mark.parametrize(
    "command",
    [
        ("report",),
        ("pareto",),
        ("studies", "show"),
        ("studies", "export", "--format", "json"),
    ],
)
def test_everything_printed_as_json_is_json(
    tuner: Tuner, command: tuple[str, ...], study: str
) -> None:
    """Whatever the study holds, infinities too: stdout is JSON and nothing else."""
    asked = () if "export" in command else ("--json",)

    result = tuner(*command, study, *asked)

    assert result.status == 0
    assert result.json is not None


@pytest.mark.usefixtures("database")
def test_list(tuner: Tuner) -> None:
    """The studies, newest first, with the best of each."""
    text, content = tuner.both("studies", "list")

    assert [row["study"] for row in content] == [NIGHT, "broken", "slow", "odd [bold]"]
    assert [row["best"] is None for row in content] == [False, True, True, True]
    assert "odd [bold]" in text


@pytest.mark.usefixtures("database")
def test_show(tuner: Tuner) -> None:
    """A study's result and every trial; the newest one without a name."""
    text, content = tuner.both("studies", "show")

    assert "398" in text
    assert "29 trials: " in text
    assert (content["study"], len(content["trials"])) == (NIGHT, 29)
    assert content["winner"]["configuration"] == dict(studies.BEST)
    assert content["gain"]["low"] < content["gain"]["estimate"] < content["gain"]["high"]
    assert [tied["instance_count"] for tied in content["tied"]] == [4]
    assert content["trials"][5]["unloaded_ms"] is None


@pytest.mark.usefixtures("database")
def test_pareto(tuner: Tuner) -> None:
    """The front, ascending in throughput and latency."""
    text, content = tuner.both("pareto", NIGHT)

    front = content["load_points"]
    assert content["objectives"] is None
    assert "Pareto front" in text
    assert "Hypervolume" not in text
    assert [row["throughput"] for row in front] == sorted(row["throughput"] for row in front)
    assert [row["latency_ms"] for row in front] == sorted(row["latency_ms"] for row in front)
    assert {type(front[0][key]) for key in ("trial", "errors")} == {int}
    assert front[0]["within"] is True


class TestBest:
    @pytest.mark.usefixtures("database")
    def test_json_and_yaml(self, tuner: Tuner) -> None:
        """As JSON and as YAML the winner comes with its figures."""
        first = succeeded(tuner("best", NIGHT, "--json")).json
        second = succeeded(tuner("best", NIGHT, "--format", "json")).json
        third = yaml.safe_load(succeeded(tuner("best", NIGHT, "--format", "yaml")).out)

        winner = standings.standings(studies.night()).winner
        assert winner is not None
        assert first == second == third
        assert first["configuration"] == dict(winner.configuration)
        assert first["throughput"] == pytest.approx(winner.throughput)
        assert first["fresh_starts"] == 3
        assert 0 < first["p50_ms"] < first["p99_ms"] <= 50

    def test_what_was_not_compared(self, tuner: Tuner, database: Path) -> None:
        """Beside the file it is said on stderr; documents have it in them, a report's too."""
        golden = Golden((Tensor("answer.id", "BYTES", (1,), b""),), varying=("answer.id",))
        with Storage(str(database)) as storage:
            storage.save_golden(NIGHT, golden)
        for options in ((), ("--percentile", "95")):
            result = tuner("best", NIGHT, *options)
            assert "from one answer of the baseline to the next (`answer.id`)" in result.err
        told = {"compare": None, "left_out": ["answer.id"], "nothing_left": True}
        for command in ("best", "report"):
            assert succeeded(tuner(command, NIGHT, "--json")).json["comparison"] == told

    @pytest.mark.usefixtures("database")
    @pytest.mark.parametrize("options", [[], ["--json"], ["--format", "yaml"]])
    def test_nothing_feasible(self, tuner: Tuner, options: list[str]) -> None:
        """Without a feasible configuration the nearest one is shown, with status 3."""
        result = tuner("best", "slow", *options)

        assert replace(result, out="") == error(
            "no configuration meets p99 <= 50 ms; the nearest has p99 = 61 ms without load, 11 ms "
            f"over the limit (1.22x): {studies.configuration(1)}",
            "try `--budget-ms 122`, or a faster model",
            status=3,
        )
        assert bool(result.out) == bool(options)

    @pytest.mark.usefixtures("database")
    def test_nothing_measured(self, tuner: Tuner) -> None:
        """Where everything failed there is no nearest one; the report tells how."""
        assert tuner("best", "broken") == error(
            "no configuration of study `broken` could be measured",
            "`tuner report broken` shows how each trial failed",
            status=3,
        )

    def test_the_hint_is_above_the_limit(self) -> None:
        """A server that is fast without load, yet carries none within the limit, needs more."""
        study = studies.study([studies.infeasible(studies.baseline(), unloaded_s=0.0075)])

        error = findings.nothing_feasible(study)

        assert type(error) is NothingFeasibleError
        assert error.hint == "try `--budget-ms 100`, or a faster model"


class TestReport:
    def test_files(self, tuner: Tuner, database: Path, folder: Path) -> None:
        """The report and the winner's configuration are written; their paths come to stdout."""
        result = succeeded(tuner("report", "--db", str(database), "--output", "out"))

        written = folder / "out" / NIGHT
        assert "<html" in (written / "report.html").read_text()
        assert (written / "config.pbtxt").read_text() == EXPORT
        assert result.out.splitlines()[-2:] == [
            f"report.html: out/{NIGHT}/report.html",
            f"config.pbtxt: out/{NIGHT}/config.pbtxt",
        ]

    def test_markdown(self, tuner: Tuner, database: Path, folder: Path) -> None:
        """It comes to stdout, to be piped on, and is written; its path comes to stderr."""
        result = tuner("report", "--db", str(database), "--format", "md")

        written = folder / "reports" / NIGHT / "report.md"
        assert result.out == written.read_text(encoding="utf-8")
        assert result.out.startswith("# The best configuration carries ")
        assert result.status == 0
        assert result.err == f"written: reports/{NIGHT}/report.md\n"
        assert not (written.parent / "report.html").exists()

    @pytest.mark.usefixtures("database")
    def test_without_a_winner(self, tuner: Tuner, folder: Path) -> None:
        """A study without a winner has a report and no configuration to deploy."""
        content = succeeded(tuner("report", "slow", "--json")).json

        assert content["files"] == ["reports/slow/report.html"]
        assert [path.name for path in (folder / "reports/slow").iterdir()] == ["report.html"]

    @pytest.mark.usefixtures("database")
    def test_a_folder_that_cannot_be_written(self, tuner: Tuner, folder: Path) -> None:
        """A report that cannot be written says that the study is safe, with status 1."""
        (folder / "file").touch()

        assert tuner("report", "slow", "--output", "file/sub") == error(
            "file/sub/slow: cannot be written: Not a directory",
            "the study is kept: `tuner report slow --output FOLDER`",
            status=1,
        )


class TestExport:
    @pytest.mark.usefixtures("database")
    def test_csv(self, tuner: Tuner) -> None:
        """Every load point of the study as a line of CSV on stdout."""
        result = succeeded(tuner("studies", "export", NIGHT, "--format", "csv"))

        rows = list(csv.DictReader(io.StringIO(result.out)))
        assert len(rows) == sum(len(t.points) for t in studies.night().trials)

    @pytest.mark.usefixtures("database")
    @pytest.mark.parametrize(
        ("table", "rows"),
        [
            ("trials", len(studies.night().trials)),
            ("load_points", sum(len(t.points) for t in studies.night().trials)),
            ("verifications", sum(len(t.verdicts) for t in studies.night().trials)),
        ],
    )
    def test_tables(self, tuner: Tuner, table: str, rows: int) -> None:
        """Each table of the study can be had."""
        result = succeeded(tuner("studies", "export", NIGHT, "--table", table, "--format", "json"))

        assert len(result.json) == rows

    @pytest.mark.usefixtures("database")
    def test_parquet_needs_a_file(self, tuner: Tuner) -> None:
        """Parquet is no text for a terminal."""
        assert tuner("studies", "export", NIGHT, "--format", "parquet") == error(
            "`--format parquet` needs `--output FILE`: it is not text"
        )

    @pytest.mark.usefixtures("database")
    def test_into_a_file(self, tuner: Tuner, folder: Path) -> None:
        """With `--output` nothing comes to stdout."""
        result = tuner("studies", "export", NIGHT, "--format", "csv", "--output", "points.csv")

        assert (result.status, result.out, result.err) == (0, "", "written: points.csv\n")
        assert len(pd.read_csv(folder / "points.csv")) == sum(
            len(t.points) for t in studies.night().trials
        )


def test_the_end_of_optimize(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finished search ends with its files, the database, and what to type next."""
    monkeypatch.setenv("COLUMNS", "60")
    study = studies.night()
    result = standings.standings(study)
    effects = effects_text.of(study, result)

    optimize._print_result(study, result, effects, [Path("r/report.html")], "my studies.db")

    lines = capsys.readouterr().out.splitlines()
    assert lines[-3:] == [
        "report.html: r/report.html",
        f"database: my studies.db (study {NIGHT})",
        f"next: tuner best {NIGHT} --db 'my studies.db'",
    ]


@pytest.mark.parametrize(
    ("study", "words"),
    [
        (studies.night(), ["tuner", "best", NIGHT]),
        (slow(), ["tuner", "report", "slow"]),
        (replace(slow(), name="two words"), ["tuner", "report", "two words"]),
    ],
)
def test_what_to_type_next(study: StudyRecord, words: list[str]) -> None:
    """The next command can be copied as it is."""
    text = optimize.next_command(study, standings.standings(study), "studies.db")

    assert shlex.split(text) == words


@pytest.mark.parametrize(
    ("name", "folder"), [("mlp-1", "mlp-1"), ("a/b", "a_b"), ("..", "_.."), ("../up", ".._up")]
)
def test_report_folder(tmp_path: Path, name: str, folder: str) -> None:
    """The files of a study are in one folder below the one that was named."""
    assert results.report_folder(tmp_path, name) == tmp_path / folder
