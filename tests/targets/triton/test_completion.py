"""Models whose configuration Triton completes: what may vary is what the server says."""

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.command_line import Tuner
from tests.targets import model_files
from tests.targets.served import HastyRunner
from tests.targets.triton.triton_targets import built_in, parsed
from tuner.errors import ModelError
from tuner.goals import LatencyBudget
from tuner.records import Grade
from tuner.space.expressions import Value
from tuner.space.space import SearchSpace
from tuner.study.job import Job, PreparedJob, prepare
from tuner.targets.base import ModelSource, TargetSetup
from tuner.targets.request_form import RequestForm
from tuner.targets.triton import asking, install
from tuner.targets.triton import config as model_config
from tuner.targets.triton.base import TritonModel
from tuner.targets.triton.completion import needs_server
from tuner.targets.triton.model import open_model
from tuner.targets.triton.repository import RepositoryModel, check_repository
from tuner.targets.triton.target import TritonTarget

EXECUTE = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        x = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
        return pb_utils.InferenceResponse([pb_utils.Tensor("y", np.float32(2) * x)])

    @staticmethod
    def auto_complete_config(config):
        {completes}
        return config
"""
TENSORS = """
        config.add_input({"name": "x", "data_type": "TYPE_FP32", "dims": [4]})
        config.add_output({"name": "y", "data_type": "TYPE_FP32", "dims": [4]})
"""
WHOLE = """
max_batch_size: 8 backend: "python"
input { name: "x" data_type: TYPE_FP32 dims: 4 }
output { name: "y" data_type: TYPE_FP32 dims: 4 }
"""

ONNXRUNTIME = """
import onnxruntime
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        raise RuntimeError("its configuration is asked for, and nothing else")

    @staticmethod
    def auto_complete_config(config):
        known = config.as_dict()
        if known["input"] and known["output"]:
            return config
        session = onnxruntime.InferenceSession(pb_utils.get_model_dir() + "/model.onnx")
        for found, add in (
            (session.get_inputs(), config.add_input),
            (session.get_outputs(), config.add_output),
        ):
            for each in found:
                add({"name": each.name, "data_type": "TYPE_FP32", "dims": each.shape[1:]})
        config.set_max_batch_size(known["max_batch_size"] or 4)
        config.set_dynamic_batching()
        return config
"""


def write_model(repository: Path, config: str | None, completes: str = "pass") -> None:
    """The model `m`, whose program completes what it says; no config.pbtxt if there is none."""
    folder = repository / "m"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.py").write_text(EXECUTE.replace("{completes}", completes))
    if config is not None:
        (folder / "config.pbtxt").write_text(config)


def asked(
    folder: Path, model: TritonModel, backend: str = ""
) -> tuple[TritonModel, tuple[str, ...]]:
    """The model as a real Triton completes it, which has an ONNX Runtime `backend` if given."""
    workspace = Path(tempfile.mkdtemp(prefix="asked-", dir=folder))
    if backend:
        install.find_triton(workspace)
        for link in (workspace / "backends" / "python").iterdir():
            shutil.copy(link.resolve(), f"{link}.copy")  # no other backend may follow links
            Path(f"{link}.copy").replace(link)
        program = workspace / "backends" / "onnxruntime" / "model.py"
        program.parent.mkdir(parents=True)
        program.write_text(backend)
    return asking.completed(model, setup(workspace), HastyRunner(workspace / "logs"))


def setup(workspace: Path) -> TargetSetup:
    return TargetSetup(workspace=workspace, form=RequestForm(), start_timeout_s=60.0)


def names(space: SearchSpace) -> set[str]:
    return {parameter.name for parameter in space.parameters}


def planned(repository: Path) -> PreparedJob:
    return prepare(Job(budget=LatencyBudget(99, 0.05), repository=repository))


class TestPythonBackend:
    def test_without_a_file(self, tmp_path: Path) -> None:
        """A model without config.pbtxt is searched, but for what its program sets."""
        write_model(tmp_path, None, TENSORS + "        config.set_max_batch_size(8)")
        job = planned(tmp_path)
        [note] = job.notes
        assert note == (
            "Triton completes the configuration of `m`: max_batch_size 8, tensors x, y; the model "
            "sets max_batch_size itself: not searched"
        )
        assert "max_batch_size" not in names(job.space)
        assert {"dynamic_batching", "preferred_batch_size"} <= names(job.space)
        assert job.space.constants["max_batch_size"] == 8
        assert not any(c.get("preferred_batch_size") == 16 for c in job.space.grid())

    def test_told_by_plan(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """`tuner plan` says what Triton answered, beside what will be searched."""
        write_model(tmp_path, None, TENSORS + "        config.set_max_batch_size(8)")
        tuner = Tuner(capsys)
        options = ("--model-repository", str(tmp_path), "--budget-ms", "50", "--json")
        planned = tuner("plan", *options)
        [note] = planned.json["notes"]
        assert note.endswith("; the model sets max_batch_size itself: not searched")
        assert f"{note}\n" in planned.err
        assert "max_batch_size" not in planned.json["space"]["parameters"]

    def test_every_value_loads(self, tmp_path: Path) -> None:
        """Each configuration of such a model is what the server has then; its winner as well."""
        completes = TENSORS + (
            "        config.set_max_batch_size(8)\n        config.set_dynamic_batching()"
        )
        write_model(tmp_path / "models", 'backend: "python"', completes)
        model, notes = asked(tmp_path, RepositoryModel(tmp_path / "models", "m"))
        [note] = notes
        assert note == (
            "Triton completes the configuration of `m`: max_batch_size 8, dynamic_batching, "
            "tensors x, y; the model sets max_batch_size and dynamic_batching itself: not searched"
        )
        space = model.adapt(built_in())
        workspace = Path(tempfile.mkdtemp(prefix="served-", dir=tmp_path))
        target = TritonTarget.of(model, space, setup(workspace))
        target.stage()
        first = space.activate({"threads": 1})
        runner = HastyRunner(workspace / "logs")
        asked_for: dict[str, Value] = {
            "preferred_batch_size": 8,
            "instance_count": 2,
            "threads": 1,
        }
        last = space.activate(asked_for)
        with runner.start(target.launch_spec(first)) as server:
            for configuration in (first, last):
                target.apply(server, configuration)
                verdicts = target.verify(server, configuration)
                assert {each.grade for each in verdicts.values()} <= {
                    Grade.CONFIRMED,
                    Grade.ACCEPTED,
                }
        exported = parsed(target.export(last))
        assert model_config.get(exported, "max_batch_size") == 8
        assert model_config.get(exported, "input[0].name") == "x"

    def test_no_batches(self, tmp_path: Path) -> None:
        """A model whose program says that it takes no batches has nothing of them to search."""
        write_model(
            tmp_path, 'backend: "python"', TENSORS + "        config.set_max_batch_size(0)"
        )
        job = planned(tmp_path)
        assert names(job.space) == {"instance_count", "threads"}

    def test_a_largest_batch(self, tmp_path: Path) -> None:
        """A model that refuses batches larger than its own is searched up to that."""
        completes = """
        if config.as_dict()["max_batch_size"] > 8:
            raise ValueError("too large")
        """
        write_model(tmp_path, WHOLE, completes)
        job = planned(tmp_path)
        assert job.notes[0].endswith("; larger batches than 8 do not load: not searched")
        assert job.space["max_batch_size"].choices == (2, 4, 8)
        assert all(each.get("max_batch_size", 0) in (0, 8) for each in job.space.hints)

    def test_whole_files_are_not_asked_about(self, tmp_path: Path) -> None:
        """A program that completes nothing, beside a whole configuration: no server is needed."""
        write_model(tmp_path, WHOLE)
        program = tmp_path / "m" / "1" / "model.py"
        program.write_text(program.read_text().partition("    @staticmethod")[0])
        model = RepositoryModel(tmp_path, "m")
        assert not model.needs_server
        assert model.is_complete

    def test_that_does_not_load(self, tmp_path: Path) -> None:
        """A model that Triton cannot complete is refused before the search, with the reason."""
        write_model(tmp_path, 'backend: "python"', 'raise ValueError("no such weights")')
        with pytest.raises(ModelError, match="no such weights") as caught:
            planned(tmp_path)
        assert str(caught.value).startswith("Triton cannot complete the configuration of `m`: ")
        assert caught.value.hint == (
            "make the model load on this server, or write its inputs, its outputs and "
            "`max_batch_size` into its config.pbtxt"
        )


class TestOnnxruntimeBackend:
    """Triton finds the backend by the name of the file, and the backend all the rest.

    The Triton of the wheel has no such backend: in its place stands one in Python, which completes
    what that one does (its src/onnxruntime.cc, AutoCompleteConfig).
    """

    def test_only_a_file(self, tmp_path: Path) -> None:
        """A repository of nothing but 1/model.onnx is a model with all its batching to search."""
        version = tmp_path / "models" / "mlp" / "1"
        version.mkdir(parents=True)
        model_files.mlp(version / "model.onnx")
        assert check_repository(tmp_path / "models", None) == "mlp"

        found, [note] = asked(tmp_path, RepositoryModel(tmp_path / "models", "mlp"), ONNXRUNTIME)
        assert note == (
            "Triton completes the configuration of `mlp`: max_batch_size 4, dynamic_batching, "
            "tensors x, y"
        )
        space = found.adapt(built_in(found.space))
        assert found.space == "triton_onnxruntime"
        assert "graph_optimization" in names(space)
        assert space.defaults["dynamic_batching"] is True
        assert space.defaults["max_batch_size"] == 4
        assert 64 in (space["max_batch_size"].choices or ())
        off = found.configured(space.settings(space.activate({"dynamic_batching": False})))
        assert not model_config.get(off, "dynamic_batching")

    def test_a_partial_file(self, tmp_path: Path) -> None:
        """What the file says stays; what it leaves out comes from the server."""
        version = tmp_path / "models" / "mlp" / "1"
        version.mkdir(parents=True)
        model_files.mlp(version / "model.onnx")
        written = (
            'backend: "onnxruntime" instance_group { count: 2 kind: KIND_CPU } '
            'parameters { key: "intra_op_thread_count" value { string_value: "2" } }'
        )
        (version.parent / "config.pbtxt").write_text(written)
        found, _ = asked(tmp_path, RepositoryModel(tmp_path / "models", "mlp"), ONNXRUNTIME)
        space = found.adapt(built_in(found.space))
        message = found.configured(space.settings(space.defaults))
        assert message == parsed(
            f"""{written} name: "mlp" max_batch_size: 4 dynamic_batching {{ }}
            input {{ name: "x" data_type: TYPE_FP32 dims: {model_files.FEATURES} }}
            output {{ name: "y" data_type: TYPE_FP32 dims: {model_files.LABELS} }}"""
        )


@pytest.mark.parametrize(
    ("config", "program", "needed"),
    [
        (WHOLE, "", False),
        (WHOLE, "def auto_complete_config(c): ...", True),
        ('backend: "python"', "", True),
        ("", "", True),
        (WHOLE.replace("python", "onnxruntime"), "", False),
        (WHOLE.replace("python", "onnxruntime").replace("size: 8", "size: 0"), "", True),
        (WHOLE.replace("python", "tensorrt"), "", True),
        (WHOLE.replace("size: 8", "size: 0"), "class TritonPythonModel: ...", False),
        ('platform: "ensemble" ensemble_scheduling { }', "", False),
    ],
)
def test_who_needs_a_server(config: str, program: str, needed: bool) -> None:  # noqa: FBT001 - a value of a parameter
    """One is started only where it may know more than the file."""
    assert needs_server(parsed(config), program) is needed


@pytest.mark.parametrize(
    ("backend", "program", "complete"),
    [
        ("python", "class TritonPythonModel: ...", True),
        ("python", "def auto_complete_config(c): ...", False),
        ("python", "", False),
        ("onnxruntime", "class TritonPythonModel: ...", False),
    ],
)
def test_whose_configuration_is_all_there_is(
    tmp_path: Path,
    backend: str,
    program: str,
    complete: bool,  # noqa: FBT001 - a value of a parameter
) -> None:
    """Only a program of the Python backend shows that it completes nothing."""
    write_model(tmp_path, WHOLE.replace("python", backend))
    (tmp_path / "m" / "1" / "model.py").write_text(program)
    assert RepositoryModel(tmp_path, "m").is_complete is complete


def test_a_model_that_asks_others_may_need_completion(tmp_path: Path) -> None:
    """What they are is not looked into."""
    write_model(tmp_path, WHOLE)
    program = "InferenceRequest('other')"
    (tmp_path / "m" / "1" / "model.py").write_text(program)
    shutil.copytree(tmp_path / "m", tmp_path / "other")
    model = open_model(ModelSource(folder=tmp_path, name="m"))
    assert model.before == ("other",)
    assert not model.is_complete


def test_what_a_program_inherits_may_complete(tmp_path: Path) -> None:
    """Any file of the model may have it."""
    write_model(tmp_path, WHOLE)
    folder = tmp_path / "m" / "1"
    (folder / "model.py").write_text("from base import Base as TritonPythonModel")
    assert open_model(ModelSource(folder=tmp_path)).is_complete
    (folder / "base.py").write_text("class Base:\n    def auto_complete_config(config): ...")
    assert not open_model(ModelSource(folder=tmp_path)).is_complete


def test_the_program_of_a_model_file_completes_nothing(tmp_path: Path) -> None:
    """Ours serves it, but in a container a backend does, which may."""
    file = model_files.mlp(tmp_path / "mlp.onnx")
    assert open_model(ModelSource(file=file)).is_complete
    assert not open_model(ModelSource(file=file, contained=True)).is_complete


def test_a_constant_is_known_to_rules() -> None:
    """A parameter that cannot vary leaves its value to conditions, rules and hints."""
    space = built_in().with_constant("max_batch_size", 8)
    assert "max_batch_size" not in names(space)
    assert space.violations(space.activate({"dynamic_batching": True, "preferred_batch_size": 16}))
    assert all("max_batch_size" not in hint for hint in space.hints)
    on = built_in().with_constant("dynamic_batching", 1)
    assert "max_batch_size" in on.defaults
    assert all("dynamic_batching" not in hint for hint in on.hints)


@pytest.mark.parametrize(
    ("largest", "choices"), [(16, (2, 4, 8, 16)), (24, (2, 4, 8, 16, 24)), (2, None), (1, None)]
)
def test_up_to(largest: int, choices: tuple[int, ...] | None) -> None:
    """Numbers above the largest are gone; where no others are left, it is a constant."""
    space = built_in().with_default("max_batch_size", 2).up_to("max_batch_size", largest)
    if choices is None:
        assert space.constants["max_batch_size"] == largest
    else:
        assert space["max_batch_size"].choices == choices
