"""Models that are programs: who loads one runs what its author wrote.

Sources: SECURITY.md of PyTorch ("models are programs") and of TensorFlow ("TensorFlow models are
programs"); Triton's model_configuration.md (backends, `model_operations`) and the README.md of its
backends (one may be a library in the model's folder); transformers' modeling_utils.py (what is no
`.safetensors` is given to torch.load) and dynamic_module_utils.py; Sentence Transformers'
`_load_module_class_from_ref`, which loads code of elsewhere for any folder. ONNX files are data.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Set
from pathlib import Path, PurePath
from typing import Any

from google.protobuf.message import Message

from tuner.errors import ModelError
from tuner.targets import staging
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
    ".ckpt": "a pickle",
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
# With whose files a `.bin` has weights and nothing else: ONNX Runtime's and OpenVINO's.
_DATA_WITH_WEIGHTS = frozenset({".onnx", ".xml"})
# In bytes: a vocabulary has some 30 MB. One text may take 8 times as much while it is read,
_LARGEST_JSON = 64 * 2**20
# and a value some 100 bytes: half a gigabyte each. Marks that begin a value, or part it from the
# next one: a vocabulary of 262,144 tokens with its merges has 2 million.
_MOST_VALUES = 5_000_000
_MARKS = (b",", b"[", b"{")
# The classes of Sentence Transformers that it imports without asking anybody, none of which a path
# reaches through another one.
_OWN_MODULE = re.compile(r"sentence_transformers(\.[a-z]\w*)+\.[A-Z]\w*")
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
    for each, beside in _files(path):
        if kind := named_as_code(each) or _held_as_code(each, beside):
            where = each.name if each == path else str(each.relative_to(path))
            return f"{where}: {kind}"
    return ""


def _held_as_code(path: Path, beside: Set[str]) -> str:
    """What a file would have run whose name does not tell; its folder has the endings `beside`."""
    if path.name == _CONFIG:
        return configured_as_code(path)
    if not path.is_file():
        return ""
    ending = path.suffix.lower()
    if ending == ".json":
        return _named_in_json(path)
    # Beside a configuration in JSON it is what Hugging Face's libraries take for a checkpoint.
    if ending == ".bin" and (".json" in beside or beside.isdisjoint(_DATA_WITH_WEIGHTS)):
        return "weights that may be a pickle"
    return ""


def _named_in_json(path: Path) -> str:
    """What a configuration of Hugging Face's libraries would have them load."""
    if path.stat().st_size > _LARGEST_JSON:
        raise ModelError(f"`{path.name}` has more than {_LARGEST_JSON:,} bytes")
    found: list[str] = []
    is_list_of_modules = path.name == "modules.json"

    def look(said: dict[str, Any]) -> dict[str, Any]:
        if not found and (kind := _named(said, is_module=is_list_of_modules)):
            found.append(kind)
        return said

    try:
        with staging.readable(path):
            content = path.read_bytes()
        if sum(map(content.count, _MARKS)) > _MOST_VALUES:
            raise ModelError(f"`{path.name}` has more than {_MOST_VALUES:,} values")
        json.loads(content, object_hook=look)
    except RecursionError:
        return "nested deeper than any configuration is"
    except ValueError:
        return ""  # nobody can read it
    return found[0] if found else ""


def _named(said: Mapping[str, Any], *, is_module: bool) -> str:
    if "auto_map" in said:
        return "code that it names (`auto_map`)"
    if is_module and "type" in said and not _OWN_MODULE.fullmatch(str(said["type"])):
        return "code that it names (`type`)"
    types = said.get("types")  # of a router's parts
    parts = map(str, types.values()) if isinstance(types, dict) else ()
    if any("." in each and not _OWN_MODULE.fullmatch(each) for each in parts):
        return "code that it names (`types`)"
    shards = said.get("weight_map")
    files = shards.values() if isinstance(shards, dict) else ()
    if not all(str(each).endswith(".safetensors") for each in files):
        return "weights that may be pickles (`weight_map`)"
    return ""


def _files(path: Path) -> Iterator[tuple[Path, Set[str]]]:
    """All files, and folders by whose names Triton knows a model, below a path.

    Each with the endings of the files that its folder has, in lower case.
    """
    if path.is_file():
        yield path, frozenset()
        return
    seen = 0
    for folder, folders, files in os.walk(path, followlinks=True):
        beside = {PurePath(name).suffix.lower() for name in files}
        for name in (*sorted(folders), *sorted(files)):
            seen += 1
            if seen > _MOST_FILES:
                raise ModelError(
                    f"`{path.name}` has more than {_MOST_FILES} files",
                    hint="name one model of it with the option `model`",
                )
            yield Path(folder, name), beside


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
