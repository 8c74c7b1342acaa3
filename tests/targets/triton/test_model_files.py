"""Bare model files: what is read of each, and what is said of those that cannot be used."""

import sys
import venv
from pathlib import Path

import numpy as np
import pytest

import tuner as package
from tests.refusals import refused
from tests.targets import model_files as files
from tuner.errors import InputError, ModelError
from tuner.load.requests import TensorSpec
from tuner.targets.triton import model_files
from tuner.targets.triton.model_files import FileKind, ModelFile, kind_of, read

X = TensorSpec("x", "FP32", (-1, files.FEATURES))
WHOLE = "check that the file is whole"
SAVED = (
    "check that `torch.jit.save` wrote it, and that `--input` fits its `forward`; where that "
    "takes no dimension of any size, give it one: x:FP32:-1,3,224,224"
)


class TestOnnx:
    def test_layers(self, tmp_path: Path) -> None:
        """Names, types and shapes are the file's own; a dimension with a name may vary."""
        path = files.mlp(tmp_path / "mlp.onnx")
        found = read(path)
        output = TensorSpec("y", "FP32", (-1, files.LABELS))
        assert found == ModelFile(path, FileKind.ONNX, (X,), (output,))
        assert found.batched

    def test_int8(self, tmp_path: Path) -> None:
        """Another precision inside changes nothing outside."""
        path = files.mlp(tmp_path / "mlp.onnx")
        quantized = read(files.int8(path, tmp_path / "int8.onnx"))
        assert (quantized.inputs, quantized.outputs) == (read(path).inputs, read(path).outputs)

    def test_without_a_batch_dimension(self, tmp_path: Path) -> None:
        """A first dimension that is fixed is no batch."""
        found = read(files.mlp(tmp_path / "mlp.onnx", batch=1))
        assert (found.inputs[0].shape, found.batched) == ((1, files.FEATURES), False)

    def test_every_tensor_must_have_the_batch_dimension(self, tmp_path: Path) -> None:
        """One output that is not made for each input makes it a model for single requests."""
        path = files.onnx_model(
            tmp_path / "total.onnx",
            [("ReduceSum", "x", "y")],
            [("x", "FLOAT", ("n", 4))],
            [("y", "FLOAT", (1, 1))],
        )
        assert not read(path).batched

    def test_two_inputs_of_other_types(self, tmp_path: Path) -> None:
        """Each tensor has a type of its own; texts are BYTES."""
        path = files.onnx_model(
            tmp_path / "several.onnx",
            [
                ("Add", "a b", "sum"),
                ("Identity", "words", "same"),
                ("Not", "flag", "other"),
                ("Shape", "half", "shape"),
            ],
            [
                ("a", "INT64", ("n", 3)),
                ("b", "INT64", ("n", 3)),
                ("words", "STRING", ("n",)),
                ("flag", "BOOL", ("n",)),
                ("half", "FLOAT16", ("n",)),
            ],
            [
                ("sum", "INT64", ("n", 3)),
                ("same", "STRING", ("n",)),
                ("other", "BOOL", ("n",)),
                ("shape", "INT64", (1,)),
            ],
        )
        found = read(path)
        assert [(each.name, each.datatype) for each in found.inputs] == [
            ("a", "INT64"),
            ("b", "INT64"),
            ("words", "BYTES"),
            ("flag", "BOOL"),
            ("half", "FP16"),
        ]
        assert found.outputs[:2] == (
            TensorSpec("sum", "INT64", (-1, 3)),
            TensorSpec("same", "BYTES", (-1,)),
        )

    def test_a_type_that_is_not_served(self, tmp_path: Path) -> None:
        """What has no place in a request is refused with its name."""
        path = files.onnx_model(
            tmp_path / "brain.onnx",
            [("Identity", "x", "y")],
            [("x", "BFLOAT16", ("n", 4))],
            [("y", "BFLOAT16", ("n", 4))],
        )
        message, hint = refusal(path)
        assert message == (
            f"{path}: ONNX Runtime cannot use it: "
            "`x` is of the type tensor(bfloat16), which cannot be served"
        )
        assert hint == WHOLE

    @pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
    def test_damaged(self, tmp_path: Path, share: float) -> None:
        """A file that was cut off is refused in the library's words, on one line."""
        path = files.mlp(tmp_path / "mlp.onnx")
        data = path.read_bytes()
        path.write_bytes(data[: int(share * len(data))])
        message, hint = refusal(path)
        assert message.startswith(f"{path}: ONNX Runtime cannot use it: ")
        assert "\n" not in message
        assert hint == WHOLE


class TestTorchScript:
    def test_layers(self, tmp_path: Path) -> None:
        """Inputs are those that were named; outputs are what two calls of other sizes gave."""
        path = files.torchscript(tmp_path / "mlp.pt")
        output = TensorSpec("OUTPUT__0", "FP32", (-1, files.LABELS))
        assert read(path, [X]) == ModelFile(path, FileKind.TORCHSCRIPT, (X,), (output,))

    def test_two_whole_inputs(self, tmp_path: Path) -> None:
        """Inputs go in their order, each with its type; a dimension that is not -1 is kept."""
        words = np.ones((2, 5), np.int64)
        path = files.traced(
            tmp_path / "two.pth", lambda a, b: (a.float() * b).argmax(1), words, words.astype("f4")
        )
        inputs = [TensorSpec("a", "INT64", (-1, 5)), TensorSpec("b", "FP32", (-1, 5))]
        found = read(path, inputs)
        assert found.inputs == tuple(inputs)
        assert found.outputs == (TensorSpec("OUTPUT__0", "INT64", (-1,)),)

    def test_a_tuple(self, tmp_path: Path) -> None:
        """Outputs are numbered; one that is a single number belongs to no request of a batch."""
        path = files.traced(
            tmp_path / "tuple.pt", lambda x: (x + 1, x.sum() > 0), files.features(2)
        )
        found = read(path, [X])
        assert found.outputs == (
            TensorSpec("OUTPUT__0", "FP32", (-1, files.FEATURES)),
            TensorSpec("OUTPUT__1", "BOOL", ()),
        )
        assert not found.batched

    def test_a_dictionary(self, tmp_path: Path) -> None:
        """A dictionary's values are its outputs, in their order."""
        path = files.traced(
            tmp_path / "dictionary.pt",
            lambda x: {"b": x.half(), "a": x.sum(1).double()},
            files.features(2),
        )
        assert [each.datatype for each in read(path, [X]).outputs] == ["FP16", "FP64"]

    def test_without_inputs(self, tmp_path: Path) -> None:
        """The file alone does not say what it takes; an example shows how to say it."""
        path = files.torchscript(tmp_path / "mlp.pt")
        assert refusal(path, InputError, inputs=()) == (
            f"{path}: a TorchScript module does not tell its inputs",
            "name each in its order: `--input NAME:DATATYPE:SHAPE`, such as x:FP32:-1,128",
        )

    @pytest.mark.parametrize(
        ("inputs", "why"),
        [
            ([TensorSpec("x", "FP32", (-1, 31))], "mat1 and mat2 shapes cannot be multiplied"),
            ([TensorSpec("x", "INT64", (-1, files.FEATURES))], "to have the same dtype"),
            ([X, X], "expected at most 2 argument(s) but received 3 argument(s)"),
        ],
    )
    def test_other_inputs(self, tmp_path: Path, inputs: list[TensorSpec], why: str) -> None:
        """Inputs that do not fit are refused in the library's words, on one line."""
        path = files.torchscript(tmp_path / "mlp.pt")
        message, hint = refusal(path, inputs=inputs)
        assert message.startswith(f"{path}: PyTorch cannot use it: ")
        assert why in message
        assert "\n" not in message
        assert hint == SAVED

    def test_a_type_that_is_not_served(self, tmp_path: Path) -> None:
        """An output that has no place in an answer is refused with its number."""
        path = files.traced(tmp_path / "brain.pt", lambda x: (x, x.bfloat16()), files.features(2))
        message, _ = refusal(path, inputs=[X])
        assert message == (
            f"{path}: PyTorch cannot use it: "
            "output 1 is of the type bfloat16, which cannot be served"
        )

    def test_what_is_no_torchscript(self, tmp_path: Path) -> None:
        """Weights alone, or a file of something else, are no model."""
        path = tmp_path / "weights.pt"
        path.write_bytes(b"weights")
        message, hint = refusal(path, inputs=[X])
        assert message.startswith(f"{path}: PyTorch cannot use it: ")
        assert hint == SAVED


class TestWeights:
    def test_beside_the_file(self, tmp_path: Path) -> None:
        """Whatever they are called: the ONNX file names them."""
        path = files.mlp(tmp_path / "mlp.onnx", external="weights.bin")
        assert read(path).weights == (Path("weights.bin"),)
        assert read(files.mlp(tmp_path / "whole.onnx")).weights == ()

    def test_elsewhere(self, tmp_path: Path) -> None:
        """What is outside of the file's folder cannot be taken along."""
        (tmp_path / "models").mkdir()
        path = files.mlp(tmp_path / "models" / "mlp.onnx", external="weights.bin")
        content = path.read_bytes()
        path.write_bytes(content.replace(b"weights.bin", b"../weig.bin"))
        (tmp_path / "models" / "weights.bin").rename(tmp_path / "weig.bin")
        message, hint = refusal(path)
        assert str(path) in message
        assert hint in {"save it with its weights beside it", "check that the file is whole"}


class TestIsolation:
    def test_nothing_of_the_working_directory_is_run(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file there that is called like a library is not the library."""
        path = files.mlp(tmp_path / "mlp.onnx")
        (tmp_path / "onnxruntime.py").write_text("raise SystemExit('run')\n")
        monkeypatch.chdir(tmp_path)
        assert read(path).kind is FileKind.ONNX


class TestKindOf:
    def test_capital_letters(self, tmp_path: Path) -> None:
        """The ending may be written in any letters."""
        (tmp_path / "MODEL.ONNX").touch()
        assert kind_of(tmp_path / "MODEL.ONNX") is FileKind.ONNX

    @pytest.mark.parametrize("name", ["model.onn", "model", "model.onnx.data"])
    def test_other_endings(self, tmp_path: Path, name: str) -> None:
        """The ending says what a file is; others are for repositories and stores."""
        with refused(
            f"{tmp_path / name}: a model file ends with .onnx, .pt, .pth",
            "for models in a repository or a store: `--model-repository FOLDER`",
        ):
            kind_of(tmp_path / name)

    @pytest.mark.parametrize("name", ["gone.onnx", "folder.pt"])
    def test_no_file(self, tmp_path: Path, name: str) -> None:
        """A path that leads to no file is told so."""
        (tmp_path / "folder.pt").mkdir()
        with refused(f"{tmp_path / name}: there is no such file", "check the path"):
            kind_of(tmp_path / name)


class TestLibraries:
    @pytest.mark.parametrize(
        ("name", "library", "extra"),
        [("mlp.onnx", "ONNX Runtime", "onnx"), ("mlp.pt", "PyTorch", "pytorch")],
    )
    def test_not_installed(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        name: str,
        library: str,
        extra: str,
    ) -> None:
        """Where the library is missing, the extra that brings it is named."""
        monkeypatch.setattr(sys, "executable", str(_python_with_numpy_only(tmp_path)))
        (tmp_path / name).touch()
        message, hint = refusal(tmp_path / name, InputError, inputs=[X])
        assert message == f"{tmp_path / name}: {library} is not installed, which reads such files"
        assert hint == f"pip install 'serving-tuner[{extra}]'"

    def test_too_slow(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file that is not read in the longest time is for a repository."""
        monkeypatch.setattr(model_files, "_READ_TIMEOUT_S", 0.001)
        path = files.mlp(tmp_path / "mlp.onnx")
        assert refusal(path) == (
            f"{path}: ONNX Runtime has not read it within 0.001 s",
            "put it into a model repository of your own: `--model-repository FOLDER`",
        )


def refusal(
    path: Path, kind: type[InputError] = ModelError, *, inputs: object = ()
) -> tuple[str, str]:
    """Message and hint."""
    assert isinstance(inputs, tuple | list)
    with pytest.raises(kind) as caught:
        read(path, inputs)
    assert type(caught.value) is kind
    return caught.value.message, caught.value.hint


def _python_with_numpy_only(folder: Path) -> Path:
    """An environment of its own, with this package and numpy, and no other library."""
    venv.create(folder / "environment", symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    libraries = folder / "environment" / "lib" / version / "site-packages"
    numpy = Path(np.__file__).parent
    for each in (numpy, numpy.with_name("numpy.libs"), Path(package.__file__).parent):
        if each.exists():
            (libraries / each.name).symlink_to(each)
    return folder / "environment" / "bin" / "python"
