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
from typing import Any

import yaml

from runners.base import RunningServer
from tuner.clients.torchserve import Description, TorchServeClient
from tuner.errors import InputError, ModelError, ServerError, SpaceError, did_you_mean
from tuner.space.expressions import Expression
from tuner.space.space import SearchSpace
from tuner.targets import model_choice, staging, system_libraries, variants
from tuner.targets.base import ModelSource
from tuner.targets.variants import VariantModel

# The settings of a model, as model-config.yaml calls them: the delay is in milliseconds.
WORKERS = "minWorkers"
BATCH = "batchSize"
DELAY = "maxBatchDelay"
# What the management API can change for a model (management_api.md).
_MODEL_SETTINGS = (WORKERS, BATCH, DELAY)
# What in an archive would overrule the management API.
_OVERRULING = frozenset({*_MODEL_SETTINGS, "maxWorkers"})
# What a model is registered with again, by the parameters of a registration.
_TIMEOUTS = {"responseTimeout": "response_timeout", "startupTimeout": "startup_timeout"}
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
_MANIFEST = "MAR-INF/MANIFEST.json"
# The key of the manifest that names the archive's own settings.
_YAML = "configFile"
# Of a manifest or of settings, in bytes.
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
    """A model of TorchServe, which serves one archive of it.

    Attributes:
        name: What the server calls it.
        archive: The model archive.
        version: What the archive says of it.
        settings: Its own settings of those that can be searched.
        url: What a registration is told that the archive is.
        registration: What a registration takes over beside what is searched.
        queue: The requests that may wait; None where the tuner says how many.
        overrules: Whether the archive sets what is searched.
        runs_onnx: Whether ONNX Runtime serves it, with as many threads as the handler says.
    """

    space = "torchserve"
    registration: Mapping[str, int] = MappingProxyType({})
    queue: int | None = None
    overrules = False
    runs_onnx = False

    def __init__(
        self, name: str, archive: Path, *, version: str, settings: Mapping[str, int], url: str
    ) -> None:
        self.name = name
        self.archive = archive
        self.version = version
        self.settings = settings
        self.url = url

    def adapt(self, space: SearchSpace, *, contained: bool) -> SearchSpace:
        """`space` with the archive's own settings as defaults, for the libraries that are here.

        It has a parameter more if there are variants.

        Raises:
            SpaceError: A parameter sets what TorchServe would silently ignore.
        """
        _check_settings(space)
        if not contained:
            space = system_libraries.usable(space)
        for parameter, path in space.names_of("config"):
            if path in self.settings:
                space = space.with_default(parameter.name, self.settings[path])
        space = variants.added(space, self.name, tuple(self.others))
        return self._with_threads_of_openmp(space)

    def _with_threads_of_openmp(self, space: SearchSpace) -> SearchSpace:
        """`space` where threads are searched for those forms only that heed OpenMP."""
        # TorchServe's base handler gives each session of ONNX Runtime as many threads as there are
        # processors, and nothing changes that (torch_handler/base_handler.py).
        openmp = [p for p, name in space.names_of("environment") if name == "OMP_NUM_THREADS"]
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


class ArchiveModel(TorchServeModel):
    """A model archive, as its user left it."""

    def __init__(self, archive: Path) -> None:
        with _opened(archive) as content:
            manifest = _manifest(content, archive)
            described = manifest.get("model")
            described = described if isinstance(described, dict) else {}
            self._yaml = described.get(_YAML)
            said = _said(content, archive, self._yaml)
        settings = {
            key: said[key]
            for key in _MODEL_SETTINGS
            if type(said.get(key)) is int and said[key] > 0
        }
        version = str(described.get("modelVersion", "1.0"))
        super().__init__(
            archive.stem, archive, version=version, settings=settings, url=archive.name
        )
        self.overrules = not _OVERRULING.isdisjoint(said)
        self.runs_onnx = str(described.get("serializedFile", "")).endswith(".onnx")
        if not _NAME.fullmatch(self.name):
            raise ModelError(
                f"{archive}: a name of letters, digits, `.`, `_` and `-` was expected",
                hint="rename the file; TorchServe calls the model what its file is called",
            )

    @property
    def own_fingerprint(self) -> str:
        with self.archive.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:10]

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


class RunningModel(TorchServeModel):
    """A model that a TorchServe that already runs has registered, with its settings there."""

    def __init__(self, name: str, described: Description) -> None:
        found = described.settings
        super().__init__(
            name,
            Path(described.archive),
            version=described.version,
            settings={k: v for k, v in found.items() if k in _MODEL_SETTINGS},
            url=described.archive,  # whole: TorchServe may have it from elsewhere
        )
        self.most_workers = found.get("maxWorkers", found.get(WORKERS, 1))
        self.registration = {
            parameter: found[name] for name, parameter in _TIMEOUTS.items() if name in found
        }
        self.queue = described.queue

    @property
    def own_fingerprint(self) -> str:
        """Ten hexadecimal digits of what it is called: its files are not seen."""
        return staging.digest([], beside=f"{self.archive}\0{self.version}".encode())

    def stage_own(self, store: Path) -> None:
        """Nothing is copied: the server has the model."""


def open_model(source: ModelSource) -> TorchServeModel:
    """The model to tune.

    Raises:
        ModelError: There is none, or it is no model archive.
        ServerError: The server that is to have it does not answer.
    """
    if source.file is not None:
        raise InputError(
            f"{source.file}: TorchServe serves model archives, and no bare model file",
            hint="`torch-model-archiver` makes one; then: `--model-repository STORE`",
        )
    if source.server is not None:
        return _running(source, source.server)
    if source.folder is None:
        raise ModelError(
            "TorchServe has no bundled model",
            hint="name the folder of your model archives: `--model-repository STORE`",
        )
    model = ArchiveModel(find_archive(source.folder, source.name))
    others = (ArchiveModel(find_archive(source.folder, name)) for name in source.variants)
    model.others = variants.by_name(model.name, others)
    return model


def _running(source: ModelSource, server: RunningServer) -> RunningModel:
    if source.variants:
        raise InputError(
            "`--variant` means nothing to a server that already runs",
            hint="leave it out; `--model NAME` says which of its models is tuned",
        )
    with TorchServeClient.of(server) as client:
        there = client.models()
        name = model_choice.running(there, source.name, url=server.url("management"))
        described = client.describe(name)
    if described is None:
        raise ServerError("TorchServe does not know the model any more")
    return RunningModel(name, described)


def _check_settings(space: SearchSpace) -> None:
    space.refuse_other_than("config", "environment", "property", "launcher", server="TorchServe")
    for parameter, path in space.names_of("config"):
        if path not in _MODEL_SETTINGS:
            raise SpaceError(
                f"parameters.{parameter.name}.sets.config: TorchServe lets nobody set `{path}` of "
                "a model while it runs",
                hint="it knows " + ", ".join(f"`{each}`" for each in _MODEL_SETTINGS),
            )
    for parameter, name in space.names_of("property"):
        if name not in _PROPERTIES:
            raise SpaceError(
                f"parameters.{parameter.name}.sets.property: TorchServe would silently ignore "
                f"`{name}`",
                hint=did_you_mean(name, _PROPERTIES),
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
