"""Models in a Triton model repository: found, read and copied, never written."""

from collections.abc import Sequence
from pathlib import Path

from tuner import demo
from tuner.errors import ModelError
from tuner.protocols import v2_http
from tuner.targets import model_choice, staging
from tuner.targets.base import ModelSource
from tuner.targets.triton import config
from tuner.targets.triton.base import TritonModel

_CONFIG = "config.pbtxt"
# Of a model of the Python backend.
_PROGRAM = "model.py"


def check_repository(repository: Path, model: str | None) -> str:
    """The name of the model to tune: `model`, or the only one in `repository`.

    Raises:
        ModelError: There is no such repository or model, or there are several to choose from.
    """
    with staging.readable(repository):
        return _chosen(repository, model)


def _chosen(repository: Path, model: str | None) -> str:
    if not repository.is_dir():
        raise ModelError(
            f"{repository}: a model repository was expected, but there is no such folder",
            hint="a model repository is a folder with one folder for each model",
        )
    models = sorted(path.name for path in repository.iterdir() if _is_model(path))
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
    for each in (name, *source.variants):
        _check_name(each)
    others = [
        RepositoryModel(repository, check_repository(repository, each))
        for each in source.variants
        if each != name
    ]
    return RepositoryModel(repository, name, others)


def _check_name(model: str) -> None:
    """Whether Triton has it under this name for whoever asks over HTTP.

    Raises:
        ModelError: It does not: names stand in paths, which it does not decode.
    """
    if v2_http.segment(model) != model:
        raise ModelError(
            f"`{model}`: Triton has no model of that name for whoever asks over HTTP, where it "
            f"is called `{v2_http.segment(model)}`",
            hint="give its folder a name of letters, digits and -._~!$&'()*+,;=@:",
        )


def _is_model(folder: Path) -> bool:
    """Whether it has a config.pbtxt, or else files of which a server may make one."""
    return (folder / _CONFIG).is_file() or any(any(each.iterdir()) for each in _versions(folder))


def _versions(folder: Path) -> list[Path]:
    """The folders of a model's versions, the newest first."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.name.isdecimal() and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name), reverse=True)


class RepositoryModel(TritonModel):
    """A model in a repository, as the user left it; nothing here writes to it."""

    def __init__(
        self, repository: Path, model: str, others: Sequence["RepositoryModel"] = ()
    ) -> None:
        self.folder = repository / model
        file = self.folder / _CONFIG
        super().__init__(model, config.read(file) if file.exists() else config.of({}), others)
        if not _versions(self.folder):
            raise ModelError(
                f"{self.folder}: the model has no version folder",
                hint=f"make the folder {self.folder / '1'}, which stays empty"
                if config.get(self.config, "platform") == "ensemble"
                else f"put the model's files into {self.folder / '1'}",
            )

    @property
    def program(self) -> str:
        for version in _versions(self.folder):
            file = version / str(config.get(self.config, "default_model_filename") or _PROGRAM)
            if file.suffix == ".py" and file.is_file():
                return file.read_text(errors="replace")
        return ""

    @property
    def own_fingerprint(self) -> str:
        return staging.digest([self.folder])

    def stage_own(self, repository: Path) -> None:
        staged = repository / self.name
        with staging.copying(self.folder, staged):
            staging.copy_folder(self.folder, staged)
