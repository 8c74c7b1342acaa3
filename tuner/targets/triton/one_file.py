"""A model of Triton that is made from one file: no repository is needed.

In a container the backend of its kind serves it. The Triton of the wheel has no other backend than
the one for Python; there a program of ours serves it, which heeds what that backend heeds.
"""

import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from google.protobuf.message import Message

from tuner.errors import InputError, ModelError
from tuner.load.requests import TensorSpec
from tuner.space.settings import Settings
from tuner.targets import staging
from tuner.targets.base import ModelSource
from tuner.targets.triton import config, model_files, programs
from tuner.targets.triton.base import TritonModel
from tuner.targets.triton.model_files import FileKind, ModelFile

# Large enough for the batches that are searched, until the search says otherwise.
_LARGEST_BATCH = 16
# What a model's files are called in its version folder, and which program serves each there.
_NAMES = {FileKind.ONNX: "model.onnx", FileKind.TORCHSCRIPT: "model.pt"}
_PROGRAMS = {FileKind.ONNX: "onnxruntime.py", FileKind.TORCHSCRIPT: "pytorch.py"}
_SHARED = "whole_batches.py"
# What Triton's own backends can, and our programs cannot.
_NOT_HEEDED = {
    "optimization.execution_accelerators",
    "parameters[ENABLE_CACHE_CLEANING]",
    "parameters[ENABLE_WEIGHT_SHARING]",
}


def open_file(path: Path, source: ModelSource) -> "FileModel":
    """The model in the file `path`, with its variants, which are files as well.

    Raises:
        InputError: One is not there, or cannot be read.
    """
    if source.folder is not None or source.name is not None:
        raise InputError(
            "`--model-repository` and `--model` mean nothing to a model file",
            hint="give either a file, or a repository",
        )
    whole = {each.resolve(): each for each in (path, *map(Path, source.variants))}
    variants = list(whole.values())[1:]
    kinds = [model_files.kind_of(each) for each in (path, *variants)]
    if source.inputs and FileKind.TORCHSCRIPT not in kinds:
        raise InputError(
            "`--input` means nothing to ONNX files, which tell their inputs", hint="leave it out"
        )
    first = model_files.read(path, source.inputs)
    inputs = source.inputs or first.inputs
    files = [first, *(model_files.read(each, inputs) for each in variants)]
    files = _alike(files)
    for each in files[1:]:
        _check_alike(files[0], each)
    named = list(zip(_names([each.path for each in files]), files, strict=True))
    others = [FileModel(*each, contained=source.contained) for each in named[1:]]
    return FileModel(*named[0], contained=source.contained, others=others)


class FileModel(TritonModel):
    """One file, for a Triton in a container if `contained`."""

    def __init__(
        self,
        name: str,
        file: ModelFile,
        *,
        contained: bool = False,
        others: Sequence["FileModel"] = (),
    ) -> None:
        self.file = file
        self._contained = contained
        super().__init__(name, _config(file.kind.value if contained else "python", file), others)

    @property
    def own_space(self) -> str:
        return f"triton_{self.file.kind.value}"

    @property
    def program(self) -> str:
        return "" if self._contained else self._program.read_text()

    @property
    def _program(self) -> Path:
        return programs.FOLDER / _PROGRAMS[self.file.kind]

    @property
    def own_fingerprint(self) -> str:
        files = [self.file.path, *(self.file.path.parent / each for each in self.file.weights)]
        return staging.digest(files, beside=config.as_text(self.config).encode())

    def deployed(self, settings: Settings) -> Message:
        """Without a name: it is that of the folder that it is put into."""
        return config.changed(self.configured(settings), {"name": None})

    def impossible(self) -> set[str]:
        return super().impossible() | (set() if self._contained else _NOT_HEEDED)

    def stage_own(self, repository: Path) -> None:
        folder = repository / self.name
        version = folder / "1"
        with staging.copying(self.file.path, folder):
            version.mkdir(parents=True, exist_ok=True)
            (folder / "config.pbtxt").write_text(config.as_text(self.config))
            shutil.copyfile(self.file.path, version / _NAMES[self.file.kind])
            for weights in self.file.weights:
                (version / weights).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.file.path.parent / weights, version / weights)
            if not self._contained:
                shutil.copyfile(self._program, version / "model.py")
                shutil.copyfile(programs.FOLDER / _SHARED, version / _SHARED)


def _alike(files: Sequence[ModelFile]) -> list[ModelFile]:
    """TorchScript names no outputs: they are called as in an ONNX form, if there is one.

    Triton's PyTorch backend takes outputs in their order where they have such names (its
    src/model_instance_state.cc, GetNamingConvention).
    """
    outputs = next((each.outputs for each in files if each.kind is FileKind.ONNX), ())
    return [
        replace(
            each,
            outputs=tuple(
                replace(own, name=other.name)
                for own, other in zip(each.outputs, outputs, strict=True)
            ),
        )
        if each.kind is FileKind.TORCHSCRIPT and len(each.outputs) == len(outputs)
        else each
        for each in files
    ]


def _check_alike(first: ModelFile, other: ModelFile) -> None:
    """That both take and give the same, but for the sizes of dimensions.

    Raises:
        ModelError: They do not, so that no measurement could compare them.
    """
    for part, own, its in (
        ("inputs", first.inputs, other.inputs),
        ("outputs", first.outputs, other.outputs),
    ):
        if _told(own) != _told(its):
            raise ModelError(
                f"{other.path}: has the {part} {_told(its)}; but {first.path} has {_told(own)}",
                hint="forms of one model take and give the same: convert it with these names and "
                "types",
            )
    if first.batched != other.batched:
        without = other if first.batched else first
        raise ModelError(
            f"{without.path}: has no batch dimension, but another form of the model has one",
            hint="convert all of them with a batch dimension of any size, or none",
        )


def _told(specs: Sequence[TensorSpec]) -> str:
    """Name, type and number of dimensions of each, by name."""
    return ", ".join(sorted(f"{t.name} ({t.datatype}, {len(t.shape)}-d)" for t in specs))


def _names(paths: Sequence[Path]) -> list[str]:
    """A name for each, after its file; where that is another one's, with its ending or folder.

    Raises:
        InputError: All of these are another one's.
    """
    names: list[str] = []
    for path in paths:
        stem, folder = path.stem, path.absolute().parent.name
        known = [path.name for path in paths[: len(names)]]
        further = f"{folder}_{stem}" if path.name in known else f"{stem}_{path.suffix[1:]}"
        cleaned = (re.sub(r"[^\w.-]", "_", each) for each in (stem, further))
        free = [each for each in cleaned if each not in names]
        if not free:
            raise InputError(
                f"{path}: another form of the model has a file of that name",
                hint="give each file another name",
            )
        names.append(free[0])
    return names


def _config(backend: str, file: ModelFile) -> Message:
    """As Triton's model_configuration.md has it."""

    def tensors(specs: Sequence[TensorSpec]) -> list[dict[str, object]]:
        return [_tensor(spec, batched=file.batched) for spec in specs]

    return config.of(
        {
            "backend": backend,
            "max_batch_size": _LARGEST_BATCH if file.batched else 0,
            "input": tensors(file.inputs),
            "output": tensors(file.outputs),
        }
    )


def _tensor(spec: TensorSpec, *, batched: bool) -> dict[str, object]:
    shape = spec.shape[1:] if batched else spec.shape
    kind = "STRING" if spec.datatype == "BYTES" else spec.datatype
    described: dict[str, object] = {
        "name": spec.name,
        "data_type": f"TYPE_{kind}",
        "dims": list(shape) or [1],
    }
    # Triton knows no tensor without a dimension; in a batch the model gets it without ("Reshape").
    return described | {"reshape": {"shape": []}} if batched and not shape else described
