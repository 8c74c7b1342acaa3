"""The command line with bare model files and forms of one model, up to where a server starts."""

from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from tests.command_line import Tuner, error
from tests.targets import model_files as files
from tuner.cli.job import planned_job
from tuner.cli.optimize_options import PlanOptions
from tuner.study.job import Job

BUDGET = ("--budget-ms", "50")
REPOSITORY_HINT = "for models in a repository or a store: `--model-repository FOLDER`"
OWN_SERVER = """
server: command
serve: {command: [python, server.py], request: {path: /}}
parameters:
  n: {type: int, low: 1, high: 2, default: 1, sets: {template: n}}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return files.three_forms(tmp_path_factory.mktemp("files"))


@pytest.fixture(autouse=True)
def with_model_files(made: Path, folder: Path) -> None:
    for path in made.iterdir():
        (folder / path.name).symlink_to(path)
    (folder / "own.yaml").write_text(OWN_SERVER)


class TestPlan:
    def test_one_file(self, tuner: Tuner) -> None:
        """An ONNX file is all that is needed; its backend's space is searched."""
        result = tuner("plan", "mlp.onnx", *BUDGET, "--json")

        assert (result.status, result.err) == (0, "")
        assert result.json["model"] == "mlp"
        names = [parameter["name"] for parameter in result.json["space"]["parameters"]]
        assert "graph_optimization" in names
        assert "variant" not in names

    def test_variants(self, tuner: Tuner) -> None:
        """Each form is a choice, the file itself the default; a form is a reload away."""
        variants = ("--variant", "int8.onnx", "--variant", "mlp.pt", "--variant", "int8.onnx")
        result = tuner("plan", "mlp.onnx", *BUDGET, *variants, "--json")

        assert (result.status, result.err) == (0, "")
        [variant] = [p for p in result.json["space"]["parameters"] if p["name"] == "variant"]
        assert (variant["default"], variant["choices"]) == ("mlp", ["mlp", "int8", "mlp_pt"])
        assert variant["reload"] is True

    def test_in_words(self, tuner: Tuner, monkeypatch: pytest.MonkeyPatch) -> None:
        """The plan for a person names the model and the parameter."""
        monkeypatch.setenv("COLUMNS", "120")
        result = tuner("plan", "mlp.onnx", *BUDGET, "--variant", "int8.onnx")

        assert (result.status, result.err) == (0, "")
        assert "model mlp, latency budget p99 <= 50 ms" in result.out.splitlines()
        assert {"variant", "mlp,", "int8"} <= set(result.out.split())

    def test_torchscript(self, tuner: Tuner) -> None:
        """With its inputs named, a TorchScript file is enough as well."""
        result = tuner("plan", "mlp.pt", *BUDGET, "--input", files.INPUT, "--json")

        assert (result.status, result.err) == (0, "")
        names = [parameter["name"] for parameter in result.json["space"]["parameters"]]
        assert {"inference_mode", "intra_op_threads"} <= set(names)

    def test_variants_of_a_repository(self, tuner: Tuner) -> None:
        """Other models of the repository are named as they are called there."""
        for name in ("mlp", "int8"):
            tuner("repository", f"{name}.onnx", "--output", "models")
        arguments = ("--model-repository", "models", "--model", "int8", "--variant", "mlp")
        result = tuner("plan", *BUDGET, *arguments, "--json")

        assert (result.status, result.err) == (0, "")
        [variant] = [p for p in result.json["space"]["parameters"] if p["name"] == "variant"]
        assert (variant["default"], variant["choices"]) == ("int8", ["int8", "mlp"])


# More of them: tests/targets/triton/test_one_file.py and test_model_files.py.
REFUSALS = {
    "`--input` means nothing without a model file": ["--input", files.INPUT],
    "`--tolerance` must be more than 0 and less than 1, but got 5\n"
    "hint: for example: `--tolerance 0.05` for 5 % of an output's largest value": [
        *("--tolerance", "5"),
    ],
    "has no model `int8` with a config.pbtxt\nhint: models here: accelerator, encoder": [
        *("--variant", "int8"),
    ],
    "mlp.onnx: TorchServe serves model archives, and no bare model file\n"
    "hint: `torch-model-archiver` makes one; then: `--model-repository STORE`": [
        *("mlp.onnx", "--server", "torchserve", "--body", "own.yaml"),
    ],
    "a model file and `--variant` mean nothing to a server of your own\n"
    "hint: make the model's file a parameter: `sets: {template: NAME}`": [
        *("mlp.onnx", "--space", "own.yaml"),
    ],
    "a model file and `--variant` mean nothing to a server that already runs\n"
    "hint: leave them out; `--model NAME` says which of its models is tuned": [
        *("mlp.onnx", "--runner", "remote", "--url", "http://127.0.0.1:1"),
    ],
    "`--with-model` names models that a model of Triton asks, but the server is `command`\n"
    "hint: leave it out": [
        *("--with-model", "encoder", "--space", "own.yaml"),
    ],
    "`--with-model` means nothing to a server that already runs: it has its models\n"
    "hint: leave it out; load there what the model asks": [
        *("--with-model", "encoder", "--runner", "remote", "--url", "http://127.0.0.1:1"),
    ],
    "has no model `decoder`, which `--with-model` names\nhint: did you mean `encoder`?": [
        *("--with-model", "decoder"),
    ],
    "`--variant` means nothing to a server that already runs\n"
    "hint: leave it out; `--model NAME` says which of its models is tuned": [
        *("--variant", "int8", "--server", "torchserve", "--body", "own.yaml"),
        *("--runner", "remote", "--url", "http://127.0.0.1:1", "--port", "management=2"),
    ],
}


@pytest.mark.parametrize(("message", "arguments"), REFUSALS.items())
def test_what_cannot_be_used(tuner: Tuner, message: str, arguments: list[str]) -> None:
    """Files, forms and options that say nothing here are refused, with status 2 and a way out."""
    result = tuner("plan", *arguments, *BUDGET)

    assert (result.status, result.out) == (2, "")
    assert message in result.err
    assert result.err.startswith("error: ")
    assert "\nhint: " in result.err


class TestRepository:
    def test_written(self, tuner: Tuner, folder: Path) -> None:
        """What was written is printed, a file a line; Triton can read the configuration."""
        result = tuner("repository", "mlp.onnx", "--output", "deployed")

        assert (result.status, result.err) == (0, "")
        assert result.out.splitlines() == [
            "deployed/mlp/1/model.onnx",
            "deployed/mlp/1/model.py",
            "deployed/mlp/1/whole_batches.py",
            "deployed/mlp/config.pbtxt",
        ]
        text = (folder / "deployed" / "mlp" / "config.pbtxt").read_text()
        message = text_format.Parse(text, model_config_pb2.ModelConfig())
        assert (message.backend, message.max_batch_size) == ("python", 16)

    def test_for_a_container(self, tuner: Tuner, folder: Path) -> None:
        """For Triton's own backends; the answer as JSON."""
        arguments = ("--input", files.INPUT, "--container", "--output", "deployed", "--json")
        result = tuner("repository", "mlp.pt", *arguments)

        assert (result.status, result.err) == (0, "")
        assert result.json == {
            "model": "mlp",
            "files": ["deployed/mlp/1/model.pt", "deployed/mlp/config.pbtxt"],
        }
        assert 'backend: "pytorch"' in (folder / "deployed/mlp/config.pbtxt").read_text()

    def test_beside_others(self, tuner: Tuner, folder: Path) -> None:
        """A second model joins the first; one that is there already is left as it is."""
        tuner("repository", "mlp.onnx", "--output", "deployed")
        assert tuner("repository", "int8.onnx", "--output", "deployed").status == 0
        (folder / "deployed" / "mlp" / "config.pbtxt").write_text("mine")

        assert tuner("repository", "mlp.onnx", "--output", "deployed") == error(
            "deployed/mlp: is there already, and nothing is written over it",
            "choose another `--output FOLDER`",
        )
        assert (folder / "deployed" / "mlp" / "config.pbtxt").read_text() == "mine"

    def test_no_model_file(self, tuner: Tuner, folder: Path) -> None:
        """What is no model file writes nothing."""
        assert tuner("repository", "own.yaml", "--output", "deployed") == error(
            "own.yaml: a model file ends with .onnx, .pt, .pth", REPOSITORY_HINT
        )
        assert not (folder / "deployed").exists()


class TestNamedModel:
    """What `--model` says to a server of a space file, as it is run and as it is stored."""

    def planned(self, said: str) -> Job:
        serves = OWN_SERVER.replace("server.py]", 'server.py, "{{ model }}"]')
        Path("named.yaml").write_text(serves)
        return planned_job(PlanOptions(budget_ms=50, space=Path("named.yaml"), model=said))

    @pytest.mark.parametrize("said", ["tiny", "./tiny"])
    def test_a_folder(self, said: str) -> None:
        """It is stored with its whole path: a study goes on from any folder."""
        Path("tiny").mkdir()
        planned = self.planned(said)
        assert planned.model == planned.options["model"] == str(Path("tiny").absolute())

    def test_a_name(self) -> None:
        """What is not there is what the server knows it by."""
        planned = self.planned("org/tiny")
        assert planned.model == planned.options["model"] == "org/tiny"

    def test_of_another_server(self) -> None:
        """A model of a repository has a name, whatever else is called so."""
        Path("tiny").mkdir()
        planned = planned_job(PlanOptions(budget_ms=50, model="tiny", server="torchserve"))
        assert planned.model == planned.options["model"] == "tiny"
