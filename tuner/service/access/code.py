"""Models that are programs: who loads one runs what its author wrote.

Sources: SECURITY.md of PyTorch ("models are programs") and of TensorFlow ("TensorFlow models are
programs"); Triton's model_configuration.md (backends, `model_operations`) and the README.md of its
backends (one may be a library in the model's folder). ONNX files are data.
"""

import os
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

from google.protobuf.message import Message

from tuner.errors import ModelError
from tuner.targets.triton import config

# What is loaded as a program, or brings one, by the ending of its name. Triton takes the ending
# of a file for the name of its backend where it knows nothing else.
_ENDINGS = {
    ".pt": "TorchScript",
    ".pth": "TorchScript",
    ".torchscript": "TorchScript",
    ".pt2": "an exported PyTorch program",
    ".mar": "an archive of TorchServe",
    ".py": "Python",
    ".python": "Python",
    ".dali": "a pipeline of DALI",
    ".pytorch": "TorchScript",
    ".tensorflow": "a TensorFlow model",
    ".vllm": "a model of vLLM",
    ".pyc": "Python",
    ".pyd": "a library",
    ".so": "a library",
    ".dll": "a library",
    ".sh": "a script",
    ".pkl": "a pickle",
    ".pickle": "a pickle",
    ".joblib": "a pickle",
    ".h5": "a Keras model",
    ".keras": "a Keras model",
    ".savedmodel": "a TensorFlow model",
    ".graphdef": "a TensorFlow model",
    ".plan": "an engine of TensorRT",
    ".engine": "an engine of TensorRT",
}
_NAMES = {"saved_model.pb": "a TensorFlow model", "saved_model.pbtxt": "a TensorFlow model"}
_CONFIG = "config.pbtxt"
# In bytes: those of Triton's examples have a few kilobytes.
_LARGEST_CONFIG = 1 * 2**20
# Backends that read data; of an ensemble, each model is looked at by itself.
_DATA_BACKENDS = frozenset({"", "onnxruntime", "openvino"})
_DATA_FILES = frozenset({"", ".onnx", ".xml"})
_DATA_PLATFORMS = frozenset({"", "onnxruntime_onnx", "ensemble"})
# No more files than these are looked at.
_MOST_FILES = 10_000


def named_as_code(name: PurePath) -> str:
    """What kind of program a file with this name is; empty if it is none."""
    lower = name.name.lower()
    if ".so." in lower:  # libtriton_x.so.1
        return "a library"
    return _NAMES.get(lower) or _ENDINGS.get(PurePath(lower).suffix, "")


def configured_as_code(path: Path) -> str:
    """What a config.pbtxt of Triton would have run; empty if nothing.

    Raises:
        ModelError: It is no configuration of a model.
    """
    if path.stat().st_size > _LARGEST_CONFIG:
        raise ModelError(f"`{path.name}` has more than {_LARGEST_CONFIG:,} bytes")
    found = config.read(path)
    said = {name: str(config.get(found, name) or "") for name in ("backend", "platform")}
    if said["backend"] not in _DATA_BACKENDS:
        return f"the backend `{said['backend'][:40]}`"
    if said["platform"] not in _DATA_PLATFORMS:
        return f"the platform `{said['platform'][:40]}`"
    return _loaded_as_code(found)


def _loaded_as_code(found: Message) -> str:
    """What else it would have run, and where that is not in its folder."""
    file = str(config.get(found, "default_model_filename") or "")
    # Without a backend, Triton takes the ending of the file's name for it.
    if not config.get(found, "backend") and PurePath(file).suffix not in _DATA_FILES:
        return f"the model file `{file[:40]}`"
    for name in ("model_operations", "model_repository_agents"):
        if config.get(found, name) is not None:
            return f"`{name}`, which are libraries"
    if ".." in config.as_text(found) or any("/" in text for text in _texts(found)):
        return "a path out of its folder"
    return ""


def code_in(path: Path) -> str:
    """Which program a model has, in words; empty if it is but data.

    Args:
        path: A model file, or a folder of one or more models.

    Raises:
        ModelError: It has more files than are looked at, or a file that cannot be read.
    """
    for each in _files(path):
        kind = named_as_code(each)
        if not kind and each.name == _CONFIG:
            kind = configured_as_code(each)
        if not kind and each.suffix == ".json" and each.is_file():
            kind = _named_code(each)
        if kind:
            where = each.name if each == path else str(each.relative_to(path))
            return f"{where}: {kind}"
    return ""


def _named_code(path: Path) -> str:
    """Code of elsewhere that a configuration of Hugging Face's names (`trust_remote_code`)."""
    with path.open("rb") as file:
        named = b'"auto_map"' in file.read(_LARGEST_CONFIG)
    return "code that it names (`auto_map`)" if named else ""


def _files(path: Path) -> Iterator[Path]:
    """All files, and folders by whose names Triton knows a model, below a path."""
    if path.is_file():
        yield path
        return
    seen = 0
    for folder, folders, files in os.walk(path, followlinks=False):
        for name in (*sorted(folders), *sorted(files)):
            seen += 1
            if seen > _MOST_FILES:
                raise ModelError(
                    f"`{path.name}` has more than {_MOST_FILES} files",
                    hint="name one model of it with the option `model`",
                )
            yield Path(folder, name)


def _texts(message: Any) -> Iterator[str]:
    """The texts that a backend may take for a path; names of tensors may have slashes."""
    yield message.default_model_filename
    yield from message.cc_model_filenames.values()
    yield from (parameter.string_value for parameter in message.parameters.values())
    for warm_up in message.model_warmup:
        yield from (each.input_data_file for each in warm_up.inputs.values())
    accelerators = message.optimization.execution_accelerators
    for each in (
        *accelerators.gpu_execution_accelerator, *accelerators.cpu_execution_accelerator
    ):  # fmt: skip
        yield from each.parameters.values()
