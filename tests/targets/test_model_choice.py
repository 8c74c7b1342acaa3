"""Which model of a folder is tuned, for each of the servers that have folders of models."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.tensorflow_program import save_model
from tests.targets.torchserve.torchserve_archives import MADE_BY, write_archive
from tests.targets.triton.triton_targets import write_form
from tuner.errors import ModelError
from tuner.targets.base import ModelSource
from tuner.targets.catalog import server_kind

_SAVED_MODEL = "expected: FOLDER/MODEL/VERSION/saved_model.pb, where VERSION is a number"


@dataclass(frozen=True)
class Models:
    """How a server's models are made and told of; messages with their hints."""

    server: str
    make: Callable[[Path, str], object]
    no_folder: tuple[str, str]
    none: tuple[str, str]
    unknown: str

    def refusal(self, folder: Path, name: str | None = None) -> tuple[str, str]:
        with pytest.raises(ModelError) as caught:
            self.opened(folder, name)
        return caught.value.message, caught.value.hint

    def opened(self, folder: Path, name: str | None = None) -> str:
        return str(server_kind(self.server).open_model(ModelSource(folder=folder, name=name)).name)


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
    "has no model `c` with a config.pbtxt",
)
TORCHSERVE = Models(
    "torchserve",
    lambda folder, name: write_archive(folder, name=name),
    (
        "a model store was expected",
        "a model store is a folder with model archives: STORE/MODEL.mar",
    ),
    ("no model archive (.mar) was found", MADE_BY),
    "has no archive `c.mar`",
)
TENSORFLOW_SERVING = Models(
    "tensorflow_serving",
    lambda folder, name: save_model(folder, name=name),
    ("a folder of models was expected", _SAVED_MODEL),
    ("no SavedModel was found", _SAVED_MODEL),
    "has no SavedModel `c`",
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
        assert models.opened(tmp_path) == models.opened(tmp_path, "a") == "a"

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
            f"{tmp_path}: {models.unknown}",
            "models here: a, b",
        )
        assert models.opened(tmp_path, "b") == "b"
