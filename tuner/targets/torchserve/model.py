"""A model archive of TorchServe (.mar), as its user left it: read, staged, never written.

Sources: TorchServe's model-archiver README (the manifest), configuration.md and
archive/.../ModelConfig.java (what model-config.yaml may set for the workers).
"""

import hashlib
import json
import lzma
import re
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import yaml

from runners.base import RunningServer
from tuner.clients.torchserve import Description, TorchServeClient
from tuner.errors import InputError, ModelError, SpaceError, did_you_mean
from tuner.space.expressions import Expression
from tuner.space.settings import (
    ConfigPath,
    EnvironmentVariables,
    LauncherArgument,
    ServerProperty,
    Setting,
)
from tuner.space.space import SearchSpace
from tuner.targets import model_choice, staging, system_libraries, variants
from tuner.targets.base import ModelSource
from tuner.targets.variants import VariantModel

WORKERS, BATCH, DELAY = "minWorkers", "batchSize", "maxBatchDelay"
# What the management API can change for a model (management_api.md).
_MODEL_SETTINGS = (WORKERS, BATCH, DELAY)
# What may differ between two searches; other keys change what the server does, or where.
_PROPERTIES = frozenset(
    {
        "async_logging",
        "cpu_launcher_enable",
        "decode_input_request",
        "default_workers_per_model",
        "disable_system_metrics",
        "enable_metrics_api",
        "io_ratio",
        "ipex_enable",
        "ipex_gpu_enable",
        "job_queue_size",
        "max_request_size",
        "max_response_size",
        "metric_time_interval",
        "netty_client_threads",
        "number_of_gpu",
        "number_of_netty_threads",
        "prefer_direct_buffer",
        "use_native_io",
        "vmargs",
    }
)
_MANIFEST, _YAML = "MAR-INF/MANIFEST.json", "configFile"
_LARGEST_TEXT = 1 << 20
_NAME = re.compile(r"[\w.-]+")
# What zipfile raises for damaged, encrypted or foreign archives, and the readers for such texts.
_UNREADABLE = (
    *(OSError, EOFError, KeyError, RuntimeError, ValueError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, yaml.YAMLError),
)


def find_archive(store: Path, model: str | None) -> Path:
    """The archive to tune: that of `model`, or the only one in `store`.

    Raises:
        ModelError: There is no such folder or archive, or there are several to choose from.
    """
    if not store.is_dir():
        raise ModelError(
            f"{store}: a model store was expected, but there is no such folder",
            hint="a model store is a folder with model archives: STORE/MODEL.mar",
        )
    archives = {path.stem: path for path in sorted(store.glob("*.mar")) if path.is_file()}
    if not archives:
        raise ModelError(
            f"{store}: no model archive (.mar) was found",
            hint="`torch-model-archiver` makes one",
        )
    return model_choice.chosen(archives, model, where=store, kind="archive `{}.mar`")


class TorchServeModel(VariantModel):
    """One model archive."""

    space = "torchserve"
    # What a registration takes over beside what is searched; the requests that may wait.
    registration: Mapping[str, int] = MappingProxyType({})
    queue: int | None = None
    # Whether ONNX Runtime serves it, with as many threads as the handler says.
    runs_onnx = False

    def __init__(self, archive: Path) -> None:
        self.archive = archive
        self.url = archive.name
        with _opened(archive) as content:
            manifest = _manifest(content, archive)
            described = manifest.get("model")
            described = described if isinstance(described, dict) else {}
            self.version = str(described.get("modelVersion", "1.0"))
            self.runs_onnx = str(described.get("serializedFile", "")).endswith(".onnx")
            self._yaml = described.get(_YAML)
            said = _said(content, archive, self._yaml)
        self.settings = {
            key: said[key]
            for key in _MODEL_SETTINGS
            if type(said.get(key)) is int and said[key] > 0
        }
        self.overrules = not _OVERRULING.isdisjoint(said)
        self.name = archive.stem
        if not _NAME.fullmatch(self.name):
            raise ModelError(
                f"{archive}: a name of letters, digits, `.`, `_` and `-` was expected",
                hint="rename the file; TorchServe calls the model what its file is called",
            )

    @classmethod
    def open(cls, source: ModelSource) -> "TorchServeModel":
        """The model to tune.

        Raises:
            ModelError: There is none, or it is no model archive.
        """
        if source.file is not None:
            raise InputError(
                f"{source.file}: TorchServe serves model archives, and no bare model file",
                hint="`torch-model-archiver` makes one; then: `--model-repository STORE`",
            )
        if source.server is not None:
            return _served(source, source.server)
        if source.folder is None:
            raise ModelError(
                "TorchServe has no bundled model",
                hint="name the folder of your model archives: `--model-repository STORE`",
            )
        model = cls(find_archive(source.folder, source.name))
        others = (cls(find_archive(source.folder, name)) for name in source.variants)
        model.others = variants.by_name(model.name, others)
        return model

    @property
    def own_fingerprint(self) -> str:
        with self.archive.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:10]

    def adapt(self, space: SearchSpace, *, contained: bool) -> SearchSpace:
        """`space` with the archive's own settings as defaults, for the libraries that are here.

        It has a parameter more if there are variants.

        Raises:
            SpaceError: A parameter sets what TorchServe would silently ignore.
        """
        _check_settings(space)
        if not contained:
            space = system_libraries.usable(space)
        for parameter in space.parameters:
            match parameter.sets:
                case ConfigPath(path) if path in self.settings:
                    space = space.with_default(parameter.name, self.settings[path])
                case _:
                    pass
        space = variants.added(space, self.name, tuple(self.others))
        return self._with_threads_of_openmp(space)

    def _with_threads_of_openmp(self, space: SearchSpace) -> SearchSpace:
        """`space` where threads are searched for those forms only that heed OpenMP."""
        openmp = [p for p in space.parameters if _sets_openmp(p.sets)]
        onnx = [form.name for form in self.whole if form.runs_onnx]
        if len(onnx) == len(self.whole):
            return space.without({p.name for p in openmp})
        for parameter in openmp if onnx else ():
            others = [f"{variants.PARAMETER} != '{name}'" for name in onnx]
            conditions = [f"({parameter.when.text})", *others] if parameter.when else others
            when = Expression.parse(" and ".join(conditions))
            changed = (replace(p, when=when) if p is parameter else p for p in space.parameters)
            space = replace(space, parameters=tuple(changed))
        return space

    def stage_own(self, store: Path) -> None:
        """Copy its archive, without what would overrule the management API."""
        with staging.copying(self.archive, store, *_UNREADABLE):
            store.mkdir(parents=True, exist_ok=True)
            if self.overrules:
                self._rewrite(store / self.archive.name)
            else:
                shutil.copyfile(self.archive, store / self.archive.name)

    def _rewrite(self, staged: Path) -> None:
        """The same archive; its model-config.yaml says nothing of what is searched."""
        with zipfile.ZipFile(self.archive) as old, zipfile.ZipFile(staged, "w") as new:
            for entry in old.infolist():
                if entry.filename == self._yaml:
                    said = yaml.safe_load(old.read(entry))
                    kept = {k: v for k, v in said.items() if k not in _OVERRULING}
                    new.writestr(entry, yaml.safe_dump(kept).encode())
                    continue
                with old.open(entry) as content, new.open(entry, "w") as copy:  # weights are large
                    shutil.copyfileobj(content, copy)


class ServedTorchServeModel(TorchServeModel):
    """A model that a TorchServe of somebody else has registered, with its settings there."""

    overrules = False

    def __init__(self, name: str, described: Description) -> None:
        self.name = name
        self.archive = Path(described.archive)
        self.url = described.archive  # whole: TorchServe may have it from elsewhere
        self.version = described.version
        found = described.settings
        self.settings = {k: v for k, v in found.items() if k in _MODEL_SETTINGS}
        self.most_workers = found.get("maxWorkers", found.get(WORKERS, 1))
        self.registration = {
            parameter: found[name] for name, parameter in _TIMEOUTS.items() if name in found
        }
        self.queue = described.queue

    @classmethod
    def of(cls, server: RunningServer, model: str | None) -> Self:
        """The model called `model`, or the only one.

        Raises:
            ModelError: There is none, or several.
            ServerError: The server does not answer.
        """
        with TorchServeClient.of(server) as client:
            there = client.models()
            if model is None and len(there) == 1:
                [model] = there
            described = client.describe(model) if model else None
        if model is None or described is None:
            named = f"has no model `{model}`" if model else "has several models"
            raise ModelError(
                f"{server.url('management')}: {named if there else 'has no model'}",
                hint=f"models there: {', '.join(there) or 'none'}; choose one with `--model`",
            )
        return cls(model, described)

    @property
    def own_fingerprint(self) -> str:
        """Ten hexadecimal digits of what it is called: its files are not seen."""
        said = f"{self.archive}\0{self.version}"
        return hashlib.sha256(said.encode()).hexdigest()[:10]

    def stage_own(self, store: Path) -> None:
        """Nothing is copied: the server has the model."""


def _served(source: ModelSource, server: RunningServer) -> ServedTorchServeModel:
    if source.variants:
        raise InputError(
            "`--variant` means nothing to a server that somebody else runs",
            hint="leave it out; `--model NAME` says which of its models is tuned",
        )
    return ServedTorchServeModel.of(server, source.name)


_TIMEOUTS = {"responseTimeout": "response_timeout", "startupTimeout": "startup_timeout"}
_OVERRULING = frozenset({*_MODEL_SETTINGS, "maxWorkers"})


def _sets_openmp(sets: Setting) -> bool:
    """Whether it is for the threads of OpenMP, which ONNX Runtime does not have.

    TorchServe's base handler gives each session as many threads as there are processors, and
    nothing changes that (torch_handler/base_handler.py).
    """
    return isinstance(sets, EnvironmentVariables) and "OMP_NUM_THREADS" in sets.names


def _check_settings(space: SearchSpace) -> None:
    for parameter in space.parameters:
        match parameter.sets:
            case ConfigPath(path) if path not in _MODEL_SETTINGS:
                raise SpaceError(
                    f"parameters.{parameter.name}.sets.config: TorchServe lets nobody set "
                    f"`{path}` of a model while it runs",
                    hint="it knows " + ", ".join(f"`{each}`" for each in _MODEL_SETTINGS),
                )
            case ServerProperty(name) if name not in _PROPERTIES:
                raise SpaceError(
                    f"parameters.{parameter.name}.sets.property: TorchServe would silently ignore "
                    f"`{name}`",
                    hint=did_you_mean(name, _PROPERTIES),
                )
            case ConfigPath() | ServerProperty() | EnvironmentVariables() | LauncherArgument():
                pass
            case _:
                raise SpaceError(
                    f"parameters.{parameter.name}.sets: TorchServe has no flags that change its "
                    "speed, and no templates",
                    hint="its settings are keys of config.properties: `property`",
                )


def _opened(archive: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(archive)
    except _UNREADABLE as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no zip file"
        raise ModelError(
            f"{archive}: a model archive was expected, but {reason}",
            hint="`torch-model-archiver` makes one",
        ) from None


def _manifest(content: zipfile.ZipFile, archive: Path) -> Mapping[str, Any]:
    try:
        manifest = json.loads(_text(content, _MANIFEST))
    except _UNREADABLE:
        manifest = None
    if not isinstance(manifest, dict):
        raise ModelError(
            f"{archive}: a model archive has a {_MANIFEST}, but this has none that can be read",
            hint="`torch-model-archiver` makes one",
        )
    return manifest


def _said(content: zipfile.ZipFile, archive: Path, name: object) -> Mapping[Any, Any]:
    """The archive's own model-config.yaml; empty if it has none."""
    if not isinstance(name, str):
        return {}
    try:
        said = yaml.safe_load(_text(content, name)) or {}
    except _UNREADABLE as error:
        raise ModelError(
            f"{archive}: its {name} cannot be read: {' '.join(str(error).split())}",
            hint="archive the model again with a model-config.yaml that is plain YAML",
        ) from None
    return said if isinstance(said, dict) else {}


def _text(content: zipfile.ZipFile, name: str) -> str:
    if content.getinfo(name).file_size > _LARGEST_TEXT:
        raise ValueError(f"{name} has more than {_LARGEST_TEXT >> 20} MiB")
    return content.read(name).decode()
