"""Models in a Triton model repository: found, read and copied, never written."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from tuner import demo
from tuner.errors import ModelError
from tuner.targets import model_choice, staging
from tuner.targets.base import ModelSource
from tuner.targets.triton import config
from tuner.targets.triton.base import TritonModel


def check_repository(repository: Path, model: str | None) -> str:
    """The name of the model to tune: `model`, or the only one in `repository`.

    Raises:
        ModelError: There is no such repository or model, or there are several to choose from.
    """
    if not repository.is_dir():
        raise ModelError(
            f"{repository}: a model repository was expected, but there is no such folder",
            hint="a model repository is a folder with one folder for each model",
        )
    models = sorted(path.parent.name for path in repository.glob("*/config.pbtxt"))
    if not models:
        raise ModelError(
            f"{repository}: no model with a config.pbtxt was found",
            hint="expected: REPOSITORY/MODEL/config.pbtxt and REPOSITORY/MODEL/1/",
        )
    return model_choice.chosen(
        {name: name for name in models},
        model,
        where=repository,
        kind="model `{}` with a config.pbtxt",
    )


def open_repository(source: ModelSource) -> "RepositoryModel":
    """The model to tune, with its variants; the bundled one without a repository.

    Raises:
        ModelError: There is none, or its configuration cannot be read.
    """
    repository = source.folder or demo.REPOSITORY
    name = source.name or (None if source.folder else demo.MODEL)
    name = check_repository(repository, name)
    others = [
        RepositoryModel(repository, check_repository(repository, each))
        for each in source.variants
        if each != name
    ]
    return RepositoryModel(repository, name, others)


class RepositoryModel(TritonModel):
    """A model in a repository, as the user left it; nothing here writes to it."""

    def __init__(
        self, repository: Path, model: str, others: Sequence["RepositoryModel"] = ()
    ) -> None:
        self.folder = repository / model
        super().__init__(model, config.read(self.folder / "config.pbtxt"), others)
        if not any(path.is_dir() and path.name.isdigit() for path in self.folder.iterdir()):
            raise ModelError(
                f"{self.folder}: the model has no version folder",
                hint=f"make the folder {self.folder / '1'}, which stays empty"
                if config.get(self.config, "platform") == "ensemble"
                else f"put the model's files into {self.folder / '1'}",
            )

    @property
    def own_fingerprint(self) -> str:
        return staging.digest([self.folder])

    def stage_own(self, repository: Path) -> None:
        staged = repository / self.name
        with staging.copying(self.folder, staged):
            shutil.copytree(self.folder, staged, dirs_exist_ok=True)
