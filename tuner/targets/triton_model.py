"""A model in a Triton model repository, as its user left it: read, adapted to, never written."""

import hashlib
import shutil
from pathlib import Path
from typing import Self

from google.protobuf.message import Message

from runners import RunningServer
from tuner import demo
from tuner.errors import ModelError, SpaceError
from tuner.expressions import Value
from tuner.space import (
    ConfigPath,
    Configuration,
    LauncherArgument,
    Parameter,
    SearchSpace,
    ServerProperty,
    TemplateVariable,
)
from tuner.targets import model_config, system_libraries, triton_flags, triton_warm_up
from tuner.targets.base import ModelSource
from tuner.targets.v2_client import V2Client

_SPACES = {name: f"triton_{name}" for name in ("pytorch", "onnxruntime", "openvino", "tensorrt")}
# How a configuration without `backend` names it (Triton model_configuration.md).
_BACKENDS = {
    "pytorch_libtorch": "pytorch",
    "onnxruntime_onnx": "onnxruntime",
    "tensorrt_plan": "tensorrt",
}


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
    if model is None and len(models) > 1:
        raise ModelError(
            f"{repository}: holds several models: {', '.join(models)}",
            hint="choose one with `--model NAME`",
        )
    if model is not None and model not in models:
        raise ModelError(
            f"{repository}: has no model `{model}` with a config.pbtxt",
            hint="models here: " + ", ".join(models),
        )
    return model or models[0]


class TritonModel:
    """A model in a repository, as the user left it; nothing here writes to it."""

    def __init__(self, repository: Path, model: str) -> None:
        self.name = model
        self.folder = repository / model
        self.config = model_config.read(self.folder / "config.pbtxt")
        if not any(path.is_dir() and path.name.isdigit() for path in self.folder.iterdir()):
            raise ModelError(
                f"{self.folder}: the model has no version folder",
                hint=f"put the model's files into {self.folder / '1'}",
            )

    @classmethod
    def open(cls, source: ModelSource) -> "TritonModel":
        """The model to tune; the bundled one without a repository.

        Raises:
            ModelError: There is none, or its configuration cannot be read.
        """
        if source.server is not None:
            return ServedTritonModel.of(source.server, source.name)
        if source.folder is None:
            return cls(
                demo.REPOSITORY, check_repository(demo.REPOSITORY, source.name or demo.MODEL)
            )
        return cls(source.folder, check_repository(source.folder, source.name))

    def stage(self, repository: Path) -> None:
        """Copy the model into `repository`.

        Raises:
            ModelError: A file of it cannot be read, or there is no room for it.
        """
        staged = repository / self.name
        try:
            shutil.copytree(self.folder, staged, dirs_exist_ok=True)
        except OSError as error:
            raise ModelError(
                f"{self.folder}: cannot be copied to {staged}: {error}",
                hint="make it readable; a folder with more room can be named in TMPDIR",
            ) from None

    @property
    def space(self) -> str:
        """The built-in space of its backend, or the one for all of them."""
        backend = str(model_config.get(self.config, "backend") or "")
        platform = str(model_config.get(self.config, "platform") or "")
        return _SPACES.get(backend or _BACKENDS.get(platform, ""), "triton")

    @property
    def fingerprint(self) -> str:
        """Ten hexadecimal digits that change when a file of the model changes."""
        digest = hashlib.sha256()
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(str(path.relative_to(self.folder)).encode())
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()[:10]

    def adapt(self, space: SearchSpace, *, contained: bool = False) -> SearchSpace:
        """`space` with the model's own settings as defaults, and without what it cannot do.

        Raises:
            SpaceError: A parameter sets what the model's configuration cannot hold.
        """
        for parameter in space.parameters:
            if isinstance(parameter.sets, ServerProperty | LauncherArgument | TemplateVariable):
                raise SpaceError(
                    f"parameters.{parameter.name}.sets: Triton has no configuration file, "
                    f"launcher or templates that could be given `{parameter.sets.name}`",
                    hint="its settings are `config`, `environment` and `flag`",
                )
        if not contained:
            space = triton_flags.usable(system_libraries.usable(space))
        cannot = self._impossible()
        space = space.without(
            {p.name for p in space.parameters if _path(p).partition(".")[0] in cannot}
        )
        paths = {_path(p): p.default for p in space.parameters if _path(p)}
        model_config.changed(self.config, dict(sorted(paths.items())))  # or else a SpaceError
        for parameter in space.parameters:
            value = model_config.get(self.config, _path(parameter)) if _path(parameter) else None
            if value:  # zero and false are how the message spells "not set"
                space = space.with_default(parameter.name, value)
        return space

    def _impossible(self) -> set[str]:
        """Fields that this model cannot have."""
        no_warm_up = set() if triton_warm_up.is_possible(self.config) else {triton_warm_up.PATH}
        if not model_config.get(self.config, "max_batch_size"):
            return {"max_batch_size", "dynamic_batching", *no_warm_up}
        others = ("sequence_batching", "ensemble_scheduling")
        if any(model_config.get(self.config, each) for each in others):
            return {"dynamic_batching", *no_warm_up}  # a model has one scheduler
        return no_warm_up

    def configured(self, space: SearchSpace, configuration: Configuration) -> Message:
        """The model's configuration under `configuration`."""
        values: dict[str, Value | None] = {}
        for name, value in configuration.items():
            sets = space[name].sets
            if isinstance(sets, ConfigPath):
                values[sets.path] = None if value == sets.omit else value
        message = model_config.changed(self.config, {"name": self.name})
        return model_config.changed(message, dict(sorted(values.items())))


class ServedTritonModel(TritonModel):
    """A model that a Triton of somebody else has loaded: no more of it is known than it says."""

    def __init__(self, name: str, config: Message) -> None:
        self.name = name
        self.config = config

    @classmethod
    def of(cls, server: RunningServer, model: str | None) -> Self:
        """The model called `model`, or the only one that is ready.

        Raises:
            ModelError: There is none, or several.
            ServerError: The server does not answer.
        """
        with V2Client(server.url("http")) as client:
            ready = client.ready_models()
            if model is None and len(ready) == 1:
                [model] = ready
            if model not in ready:
                named = f"has no model `{model}` that is ready" if model else "has several models"
                raise ModelError(
                    f"{server.url('http')}: {named if ready else 'has no model that is ready'}",
                    hint=f"models there: {', '.join(ready) or 'none'}; choose one with `--model`",
                )
            return cls(model, model_config.from_server(client.config(model)))

    @property
    def fingerprint(self) -> str:
        """Ten hexadecimal digits that change when its configuration does: files are not seen."""
        return hashlib.sha256(model_config.as_text(self.config).encode()).hexdigest()[:10]

    def stage(self, repository: Path) -> None:
        """Nothing is copied: the server has the model."""


def _path(parameter: Parameter) -> str:
    """The field of the model configuration that it sets, if it sets one."""
    return parameter.sets.path if isinstance(parameter.sets, ConfigPath) else ""
