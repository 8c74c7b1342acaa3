"""`tuner best` in the formats that deploy a configuration, and what `tuner run` refuses."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.cli.test_start import RUN, loaded
from tests.command_line import Tuner, error
from tests.exports.deployable import of_a_command, of_torchserve, of_triton
from tests.report import studies
from tests.store.test_storage import stored
from tuner.cli import run
from tuner.records import StudyRecord, TrialRecord

FORMS = "`env`, `docker-run`, `compose`, `kubernetes`, `systemd`"


def study(found: tuple[StudyRecord, TrialRecord], name: str, **wishes: object) -> StudyRecord:
    """A study with a baseline and that trial."""
    record, trial = found
    assert record.space is not None
    baseline = studies.baseline(100.0, configuration=record.space.defaults)
    whole = replace(record, name=name, trials=(baseline, trial))
    return replace(whole, **wishes)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def with_studies(folder: Path) -> None:
    remote = {"runner": "remote", "host": "127.0.0.1", "port": 9, "ports": {}}
    command, trial = of_a_command(folder)
    text = (folder / "app.yaml").read_text()
    (folder / "bare.yaml").write_text(text.replace("  image: registry.example/app:1\n", ""))
    bare = replace(command, options={"space": str(folder / "bare.yaml"), "budget_ms": 50.0})
    stored(
        folder / "studies.db",
        study(of_triton(options={"budget_ms": 50.0}), "triton"),
        study(of_torchserve(), "torchserve"),
        study((command, trial), "command"),
        study((bare, trial), "bare"),
        study(of_triton(), "remote", place=remote, options={}),
        study(of_triton(), "old", place=None, options={}),
        study(of_triton(), "odd", options={"budget_ms": 50.0, "speed": "fast"}),
        study(of_triton(), "nothing", trials=()),
    )


# Arguments, message, hint.
BAD = [
    (
        "best triton --format config.properties",
        "`triton` has no `config.properties`",
        f"it has `file`, `config.pbtxt`, {FORMS}",
    ),
    (
        "best torchserve --format config.pbtxt",
        "`torchserve` has no `config.pbtxt`",
        f"it has `file`, `config.properties`, `model-config.yaml`, {FORMS}",
    ),
    (
        "best command --format model-config.yaml",
        "`command` has no `model-config.yaml`",
        f"it has `file`, {FORMS}",
    ),
    *(
        (
            f"best bare --format {form}",
            f"`{form}` needs an image, but study `bare` ran without Docker",
            "name one that holds the server: `--image NAME`",
        )
        for form in ("docker-run", "compose", "kubernetes")
    ),
    (
        "run triton --env OMP_NUM_THREADS",
        "`--env` must be NAME=VALUE, but got `OMP_NUM_THREADS`",
        "for example: OMP_NUM_THREADS=1",
    ),
    (
        "run triton --env X=a{port:foo}",
        "`--env X`: a start would replace `{port:foo}` in the value",
        "give what it stands for; only space files have placeholders",
    ),
    (
        "run triton --output traces",
        "`--output` means nothing without `--profile`",
        "give both, or leave it out",
    ),
    (
        "run triton --header A:b",
        "`--header` means nothing to `triton`",
        "leave it out: the study sends none",
    ),
    *(
        (
            f"best triton --image mine:2 --format {form}",
            f"`--image` means nothing to `--format {form}`",
            "leave it out",
        )
        for form in ("file", "json", "config.pbtxt")
    ),
    (
        "run triton --port 8000",
        "`--port` must be NAME=NUMBER, but got `8000`",
        "for example: management=8081",
    ),
    (
        "run triton --trial 7",
        "study `triton` has no trial 7",
        "`tuner studies show triton` lists its trials",
    ),
    (
        "run remote",
        "study `remote` tuned a server that already ran, which nobody can start here",
        "`tuner best remote` prints its configuration",
    ),
    (
        "run old",
        "study `old` was begun by a version that did not store its options",
        "`tuner best old` prints its configuration",
    ),
    (
        "run odd",
        "the stored options of the study have what this version does not know: speed",
        "use the version that the study was begun with",
    ),
]


@pytest.mark.parametrize(("arguments", "message", "hint"), BAD)
def test_refusals(tuner: Tuner, arguments: str, message: str, hint: str) -> None:
    """What cannot be done is said, with what can; nothing is started."""
    assert tuner(*arguments.split()) == error(message, hint)


def test_nothing_was_feasible(tuner: Tuner) -> None:
    """There is no configuration to serve with; as in `best`, the status is 3."""
    assert tuner("run", "nothing").status == 3


def test_an_image_of_ones_own(tuner: Tuner) -> None:
    """It is what is deployed."""
    result = tuner("best", "bare", "--format", "compose", "--image", "mine:2")

    assert result.err == ""
    assert yaml.safe_load(result.out)["services"]["encoder"]["image"] == "mine:2"


def test_a_log_that_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`run` empties what it handed on; what the server appends then is handed on as well."""
    monkeypatch.setattr(run, "_LONGEST_LOG", 10)
    file = tmp_path / "server.log"
    with file.open("ab", buffering=0) as server, file.open("r+") as log:
        for line in (b"short\n", b"and longer\n", b"later\n"):
            server.write(line)
            run._hand_on(log)

    assert capsys.readouterr().err == "short\nand longer\nlater\n"
    assert file.read_text() == "later\n"


def test_for_another_budget(tuner: Tuner) -> None:
    """The configuration is that of the answer; how it is known is said beside it."""
    asked = ("best", "triton", "--budget-ms", "40")
    file, deployed = tuner(*asked), tuner(*asked, "--format", "config.pbtxt")

    assert deployed == file
    assert deployed.err != ""
    assert "of study triton: p99 <= 40 ms.\n" in tuner(*asked, "--format", "systemd").out


def test_what_it_loads(folder: Path) -> None:
    """Neither Docker nor a client of any server is needed to print."""
    for form in ("docker-run", "kubernetes"):
        code = RUN.format(arguments=["best", "triton", "--format", form])
        assert loaded(code, folder).isdisjoint(
            {"docker", "tritonclient", "google.protobuf", "grpc", "httpx", "optuna", "plotly"}
        )
