"""Models of Triton that are made from files: their repository, their names, their space."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.targets import model_files as files
from tests.targets.triton.triton_targets import built_in
from tuner.errors import InputError, ModelError
from tuner.load.requests import TensorSpec
from tuner.targets.base import ModelSource
from tuner.targets.triton import config as model_config
from tuner.targets.triton import one_file as triton_files
from tuner.targets.triton import programs
from tuner.targets.triton.one_file import FileModel

X = TensorSpec("x", "FP32", (-1, files.FEATURES))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return files.three_forms(tmp_path_factory.mktemp("files"))


def opened(path: Path, *variants: Path, **keys: Any) -> FileModel:
    """TorchScript is told its inputs, as a person must."""
    told = {"inputs": (X,)} if path.suffix == ".pt" else {}
    source = ModelSource(variants=tuple(map(str, variants)), **{**told, **keys})
    return triton_files.open_file(path, source)


def refusal(open_: Callable[[], FileModel]) -> tuple[str, str]:
    """Message and hint."""
    with pytest.raises(InputError) as caught:
        open_()
    return caught.value.message, caught.value.hint


def staged(model: FileModel, folder: Path) -> set[str]:
    model.stage(folder)
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


class TestStage:
    @pytest.mark.parametrize(
        ("name", "content", "program"),
        [("mlp.onnx", "model.onnx", "onnxruntime.py"), ("mlp.pt", "model.pt", "pytorch.py")],
    )
    def test_for_the_wheel(
        self, made: Path, tmp_path: Path, name: str, content: str, program: str
    ) -> None:
        """The Triton of the wheel has Python only: a program beside the file serves it."""
        model = opened(made / name)
        assert staged(model, tmp_path) == {
            "mlp/config.pbtxt",
            f"mlp/1/{content}",
            "mlp/1/model.py",
            "mlp/1/whole_batches.py",
        }
        version = tmp_path / "mlp" / "1"
        assert (version / content).read_bytes() == (made / name).read_bytes()
        assert (version / "model.py").read_text() == (programs.FOLDER / program).read_text()
        config = model_config.read(tmp_path / "mlp" / "config.pbtxt")
        assert model_config.get(config, "backend") == "python"

    @pytest.mark.parametrize(
        ("name", "backend", "output"),
        [("mlp.onnx", "onnxruntime", "y"), ("mlp.pt", "pytorch", "OUTPUT__0")],
    )
    def test_for_a_container(
        self, made: Path, tmp_path: Path, name: str, backend: str, output: str
    ) -> None:
        """Triton's own backends get the file and its configuration, and nothing else."""
        model = opened(made / name, contained=True)
        assert staged(model, tmp_path) == {"mlp/config.pbtxt", f"mlp/1/model{Path(name).suffix}"}
        config = model_config.read(tmp_path / "mlp" / "config.pbtxt")
        assert model_config.get(config, "backend") == backend
        assert model_config.get(config, "output[0].name") == output

    def test_configuration(self, made: Path) -> None:
        """The batch dimension is the server's; what remains are the dimensions of one input."""
        text = " ".join(model_config.as_text(opened(made / "mlp.onnx").config).split())
        assert 'backend: "python"' in text
        assert "max_batch_size: 16" in text
        assert 'input { name: "x" data_type: TYPE_FP32 dims: 32 }' in text
        assert 'output { name: "y" data_type: TYPE_FP32 dims: 8 }' in text

    def test_without_a_batch_dimension(self, tmp_path: Path) -> None:
        """All dimensions are the input's, and nothing of batches can be searched."""
        model = opened(files.mlp(tmp_path / "mlp.onnx", batch=1))
        text = " ".join(model_config.as_text(model.config).split())
        assert "max_batch_size" not in text
        assert 'name: "x" data_type: TYPE_FP32 dims: 1 dims: 32' in text

    def test_numbers_and_texts(self, tmp_path: Path) -> None:
        """A single number or text of each request has the dimension that Triton asks for."""
        path = files.onnx_model(
            tmp_path / "words.onnx",
            [("Identity", "words", "same")],
            [("words", "STRING", ("n",))],
            [("same", "STRING", ("n",))],
        )
        text = " ".join(model_config.as_text(opened(path).config).split())
        assert 'name: "words" data_type: TYPE_STRING dims: 1 reshape { }' in text
        assert 'name: "same" data_type: TYPE_STRING dims: 1 reshape { }' in text

    def test_weights_beside_it(self, tmp_path: Path) -> None:
        """Weights in a file of their own go where the ONNX file looks for them."""
        path = files.mlp(tmp_path / "mlp [a].onnx", external="mlp [a].onnx.data")
        (tmp_path / "mlp [a].onnx.folder").mkdir()
        assert {"mlp__a_/1/model.onnx", "mlp__a_/1/mlp [a].onnx.data"} <= staged(
            opened(path), tmp_path / "staged"
        )

    def test_what_is_not_its_own(self, made: Path, tmp_path: Path) -> None:
        """A TorchScript file has its weights inside: a neighbour with a longer name stays."""
        for name in ("mlp.pt", "mlp.pth"):
            shutil.copyfile(made / "mlp.pt", tmp_path / name)
        found = staged(opened(tmp_path / "mlp.pt"), tmp_path / "staged")
        assert "mlp/1/mlp.pth" not in found

    def test_no_room(self, made: Path, tmp_path: Path) -> None:
        """Where it cannot be copied to, the folder is named."""
        (tmp_path / "repository").touch()
        with pytest.raises(ModelError, match=r"mlp\.onnx: cannot be copied to .*/repository"):
            opened(made / "mlp.onnx").stage(tmp_path / "repository")


class TestForms:
    def test_names_that_clash(self, made: Path) -> None:
        """Files that differ in the ending only are told apart by it."""
        model = opened(made / "mlp.onnx", made / "mlp.pt", made / "int8.onnx")
        assert model.forms == ("mlp", "mlp_pt", "int8")

    def test_the_file_itself_is_no_variant(self, made: Path) -> None:
        """Naming it twice changes nothing."""
        assert opened(made / "mlp.onnx", made / "mlp.onnx").forms == ("mlp",)

    def test_names_that_cannot_be_told_apart(self, tmp_path: Path) -> None:
        """Files of one name are told apart by their folders; if these are alike, they are not."""
        paths = [tmp_path / each / "mlp.onnx" for each in ("a", "b", "c", "d/b")]
        for path in paths:
            path.parent.mkdir(parents=True)
            files.mlp(path)
        assert opened(*paths[:3]).forms == ("mlp", "b_mlp", "c_mlp")
        assert refusal(lambda: opened(*paths)) == (
            f"{paths[3]}: another form of the model has a file of that name",
            "give each file another name",
        )

    def test_outputs_are_named_alike(self, made: Path) -> None:
        """TorchScript names no outputs: beside an ONNX form they have its names."""
        for first, other in (("mlp.pt", "mlp.onnx"), ("mlp.onnx", "mlp.pt")):
            for contained in (False, True):
                model = opened(made / first, made / other, inputs=(X,), contained=contained)
                own = {form.file.path.name: form for form in forms_of(model)}
                config = own["mlp.pt"].config
                assert model_config.get(config, "output[0].name") == "y"

    def test_forms_that_nobody_can_compare(self, tmp_path: Path, made: Path) -> None:
        """Other names, types or dimensions are refused before anything is measured."""
        other = files.onnx_model(
            tmp_path / "other.onnx",
            [("Identity", "x", "z")],
            [("x", "FLOAT", ("batch", files.FEATURES))],
            [("z", "FLOAT", ("batch", files.FEATURES))],
        )
        assert refusal(lambda: opened(made / "mlp.onnx", other)) == (
            f"{other}: has the outputs z (FP32, 2-d); but {made / 'mlp.onnx'} has y (FP32, 2-d)",
            "forms of one model take and give the same: convert it with these names and types",
        )

    def test_a_form_without_a_batch(self, tmp_path: Path, made: Path) -> None:
        """One with a batch dimension, and one without, cannot take the same requests."""
        single = files.mlp(tmp_path / "single.onnx", batch=1)
        assert refusal(lambda: opened(made / "mlp.onnx", single)) == (
            f"{single}: has no batch dimension, but another form of the model has one",
            "convert all of them with a batch dimension of any size, or none",
        )

    def test_the_same_file_by_another_path(self, made: Path) -> None:
        """A file is one form, however its path is written."""
        again = made / ".." / made.name / "mlp.onnx"
        assert opened(made / "mlp.onnx", again).forms == ("mlp",)

    def test_what_is_handed_over_has_no_name(self, made: Path) -> None:
        """It goes into any folder, whose name is then the model's."""
        model = opened(made / "mlp.onnx")
        space = model.adapt(built_in(model.space))
        assert model_config.get(model.configured(space.settings(space.defaults)), "name") == "mlp"
        assert not model_config.get(model.deployed(space.settings(space.defaults)), "name")

    def test_inputs_of_the_first(self, made: Path) -> None:
        """A TorchScript variant takes what the ONNX file says, and needs no `--input`."""
        model = opened(made / "mlp.onnx", made / "mlp.pt")
        assert {form.file.inputs for form in forms_of(model)} == {(X,)}

    @pytest.mark.parametrize("contained", [True, False])
    def test_spaces(self, made: Path, *, contained: bool) -> None:
        """Each kind has the space of its backend; forms of both share the one for all."""
        onnx, torch = made / "mlp.onnx", made / "mlp.pt"
        keys: dict[str, Any] = {"contained": contained}
        assert opened(onnx, made / "int8.onnx", **keys).space == "triton_onnxruntime"
        assert opened(torch, **keys).space == "triton_pytorch"
        assert opened(onnx, torch, **keys).space == "triton"

    @pytest.mark.parametrize(
        ("name", "only_in_a_container"),
        [("mlp.onnx", {"cpu_accelerator"}), ("mlp.pt", {"weight_sharing"})],
    )
    def test_what_only_triton_s_own_backends_can(
        self, made: Path, name: str, only_in_a_container: set[str]
    ) -> None:
        """What would have no effect is not searched; the rest is the same in both."""
        names = []
        for contained in (False, True):
            model = opened(made / name, contained=contained)
            whole = built_in(model.space)
            names.append({p.name for p in model.adapt(whole, contained=contained).parameters})
        assert names[1] - names[0] == only_in_a_container
        assert names[0] < names[1]

    def test_fingerprint(self, tmp_path: Path) -> None:
        """It changes with the file, with its weights, with a variant, and with nothing else."""
        path = tmp_path / "mlp.onnx"
        found = [opened(files.mlp(path, seed=seed)).fingerprint for seed in (0, 0, 1)]
        for seed in (2, 3):  # the file names its weights, and stays as it is
            apart = files.mlp(tmp_path / "apart.onnx", seed=seed, external="weights.bin")
            found.append(opened(apart).fingerprint)
        found.append(opened(path, files.mlp(tmp_path / "other.onnx")).fingerprint)
        assert found[0] == found[1]
        assert len(set(found)) == 5
        assert {len(each) for each in found} == {10}


class TestRefusals:
    def test_a_repository_as_well(self, made: Path, tmp_path: Path) -> None:
        """A model comes from one place."""
        expected = (
            "`--model-repository` and `--model` mean nothing to a model file",
            "give either a file, or a repository",
        )
        assert refusal(lambda: opened(made / "mlp.onnx", folder=tmp_path)) == expected
        assert refusal(lambda: opened(made / "mlp.onnx", name="mlp")) == expected

    def test_inputs_that_the_files_tell(self, made: Path) -> None:
        """An option that would be ignored is refused."""
        assert refusal(lambda: opened(made / "mlp.onnx", inputs=(X,))) == (
            "`--input` means nothing to ONNX files, which tell their inputs",
            "leave it out",
        )

    def test_a_variant_that_is_no_model_file(self, made: Path) -> None:
        """Variants of a file are files; that is known before any file is read."""
        message, _ = refusal(lambda: opened(made / "mlp.onnx", Path("encoder")))
        assert message.startswith("encoder: a model file ends with")


def forms_of(model: FileModel) -> list[FileModel]:
    return list(model.whole)
