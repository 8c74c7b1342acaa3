"""Which model of a folder is tuned, in which forms, for each server that has such folders."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.tensorflow_program import save_model
from tests.targets.torchserve.torchserve_archives import MADE_BY, write_archive
from tests.targets.triton.triton_targets import write_form
from tuner.errors import InputError, ModelError
from tuner.targets.base import ModelSource
from tuner.targets.catalog import server_kind
from tuner.targets.variants import VariantModel

_SAVED_MODEL = "expected: FOLDER/MODEL/VERSION/saved_model.pb, where VERSION is a number"


@dataclass(frozen=True)
class Models:
    """How a server's models are made and told of; messages with their hints."""

    server: str
    make: Callable[[Path, str], object]
    no_folder: tuple[str, str]
    none: tuple[str, str]
    unknown: str

    def refusal(self, folder: Path, name: str | None = None, *variants: str) -> tuple[str, str]:
        with pytest.raises(ModelError) as caught:
            self.opened(folder, name, *variants)
        return caught.value.message, caught.value.hint

    def opened(self, folder: Path, name: str | None = None, *variants: str) -> VariantModel:
        source = ModelSource(folder=folder, name=name, variants=variants)
        model = server_kind(self.server).open_model(source)
        assert isinstance(model, VariantModel)
        return model


TRITON = Models(
    "triton",
    write_form,
    (
        "a model repository was expected",
        "a model repository is a folder with one folder for each model",
    ),
    (
        "no model with a config.pbtxt was found",
        "expected: REPOSITORY/MODEL/config.pbtxt and REPOSITORY/MODEL/1/",
    ),
    "has no model `{}` with a config.pbtxt",
)
TORCHSERVE = Models(
    "torchserve",
    lambda folder, name: write_archive(folder, name=name),
    (
        "a model store was expected",
        "a model store is a folder with model archives: STORE/MODEL.mar",
    ),
    ("no model archive (.mar) was found", MADE_BY),
    "has no archive `{}.mar`",
)
TENSORFLOW_SERVING = Models(
    "tensorflow_serving",
    lambda folder, name: save_model(folder, name=name),
    ("a folder of models was expected", _SAVED_MODEL),
    ("no SavedModel was found", _SAVED_MODEL),
    "has no SavedModel `{}`",
)


@pytest.mark.parametrize(
    "models", [TRITON, TORCHSERVE, TENSORFLOW_SERVING], ids=lambda m: m.server
)
class TestAFolderOfModels:
    def test_the_only_model(self, models: Models, tmp_path: Path) -> None:
        """The only model need not be named; what is no model does not count."""
        models.make(tmp_path, "a")
        (tmp_path / "notes").mkdir()
        (tmp_path / "folder.mar").mkdir()
        (tmp_path / "README.md").touch()
        (tmp_path / "unnumbered" / "latest").mkdir(parents=True)
        (tmp_path / "unnumbered" / "latest" / "saved_model.pb").touch()
        assert models.opened(tmp_path).name == models.opened(tmp_path, "a").name == "a"

    def test_missing(self, models: Models, tmp_path: Path) -> None:
        """A folder that is not there is named, and what one is."""
        message, hint = models.no_folder
        said = f"{tmp_path}/models: {message}, but there is no such folder"
        assert models.refusal(tmp_path / "models") == (said, hint)

    def test_without_a_model(self, models: Models, tmp_path: Path) -> None:
        """An empty folder is refused with what is expected in it, whatever name was asked for."""
        message, hint = models.none
        expected = (f"{tmp_path}: {message}", hint)
        assert models.refusal(tmp_path) == models.refusal(tmp_path, "a") == expected

    def test_several(self, models: Models, tmp_path: Path) -> None:
        """Several models are listed, to choose from; a named one is taken."""
        for name in ("b", "a"):
            models.make(tmp_path, name)
        assert models.refusal(tmp_path) == (
            f"{tmp_path}: holds several models: a, b",
            "choose one with `--model NAME`",
        )
        assert models.refusal(tmp_path, "c") == (
            f"{tmp_path}: {models.unknown.format('c')}",
            "models here: a, b",
        )
        assert models.opened(tmp_path, "b").name == "b"

    def test_an_unknown_variant(self, models: Models, tmp_path: Path) -> None:
        """A variant that is not there is refused with the models that are."""
        models.make(tmp_path, "a")
        assert models.refusal(tmp_path, "a", "int8") == (
            f"{tmp_path}: {models.unknown.format('int8')}",
            "models here: a",
        )

    def test_the_model_itself_is_no_variant(self, models: Models, tmp_path: Path) -> None:
        """Naming it twice changes nothing."""
        models.make(tmp_path, "a")
        twice = models.opened(tmp_path, "a", "a")
        assert twice.forms == ("a",)
        assert twice.fingerprint == models.opened(tmp_path).fingerprint == twice.own_fingerprint

    def test_the_fingerprint_is_that_of_all_forms(self, models: Models, tmp_path: Path) -> None:
        """It changes with the files of any form, and with no others."""
        for name in ("a", "b"):
            models.make(tmp_path, name)
        alone, both = (models.opened(tmp_path, "a", *more).fingerprint for more in ((), ("b",)))
        changed = max(path for path in tmp_path.rglob("*") if path.is_file())  # one of `b`
        changed.write_bytes(changed.read_bytes() + b" ")
        assert len({alone, both, models.opened(tmp_path, "a", "b").fingerprint}) == 3
        assert models.opened(tmp_path, "a").fingerprint == alone

    def test_all_forms_are_staged(self, models: Models, tmp_path: Path) -> None:
        """Each is put where the server finds it."""
        for name in ("a", "b", "c"):
            models.make(tmp_path / "models", name)
        models.opened(tmp_path / "models", "a", "b").stage(tmp_path / "staged")
        staged = (tmp_path / "staged").iterdir()  # files beside them may be links
        assert {path.stem for path in staged if not path.is_symlink()} == {"a", "b"}

    def test_a_copy_that_cannot_be_made(self, models: Models, tmp_path: Path) -> None:
        """What cannot be copied is named, and where to."""
        models.make(tmp_path / "models", "a")
        (tmp_path / "staged").touch()
        with pytest.raises(ModelError, match=r"/models/a\S*: cannot be copied to .*/staged"):
            models.opened(tmp_path / "models").stage(tmp_path / "staged")


@pytest.mark.parametrize(
    ("server", "source", "message", "hint"),
    [
        (
            "torchserve",
            ModelSource(name="m"),
            "TorchServe has no bundled model",
            "name the folder of your model archives: `--model-repository STORE`",
        ),
        (
            "tensorflow_serving",
            ModelSource(),
            "TensorFlow Serving has no bundled model",
            "name the folder of your models: `--model-repository FOLDER`",
        ),
        (
            "tensorflow_serving",
            ModelSource(file=Path("model.onnx")),
            "model.onnx: TensorFlow Serving serves SavedModels, and no bare model file",
            f"{_SAVED_MODEL}; then: `--model-repository FOLDER`",
        ),
    ],
)
def test_no_folder_of_models(server: str, source: ModelSource, message: str, hint: str) -> None:
    """Where a server has models in folders only, one must be named."""
    with pytest.raises(InputError) as caught:
        server_kind(server).open_model(source)
    assert (caught.value.message, caught.value.hint) == (message, hint)
