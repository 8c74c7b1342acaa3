"""What the configuration of a Triton model says of it."""

import re
from collections.abc import Iterable
from typing import Any

from google.protobuf import text_format
from google.protobuf.message import Message
from tritonclient.grpc import model_config_pb2

from tuner.hints.settings import ACCELERATOR, CACHE, QUEUE
from tuner.space.expressions import Value
from tuner.targets import exported
from tuner.targets.triton import config as model_config

_FLOATS = ("TYPE_FP16", "TYPE_BF16", "TYPE_FP32", "TYPE_FP64")
# How a configuration without `backend` names it (Triton model_configuration.md).
_PLATFORM = re.compile(r"(pytorch|onnxruntime|tensorrt|tensorflow)_")
# Dimensions below this are numbers of channels or classes, which libraries pad by themselves.
_LEAST_DIM = 9


def exported_config(export: str, model: str) -> Message | None:
    """The configuration of `model` in what a trial exported; None if it is not there."""
    for text in exported.files(export, "config.pbtxt").values():
        try:
            found = model_config.parsed(text)
        except text_format.ParseError:
            continue
        if model_config.get(found, "name") == model:
            return found
    return None


def model_facts(config: Any) -> dict[str, Value]:
    """Of a model configuration, with what it says of settings that no parameter sets."""
    groups = config.instance_group
    facts: dict[str, Value] = {
        "model.max_batch_size": config.max_batch_size,
        "model.inference_mode_said": "INFERENCE_MODE" in config.parameters,
        "model.on_cpu": bool(groups) and all(each.kind == each.KIND_CPU for each in groups),
        "config.cache": bool(model_config.get(config, CACHE)),
        "config.queue": model_config.get(config, QUEUE) or 0,
        "config.accelerator": model_config.get(config, ACCELERATOR) or "none",
    }
    platform = _PLATFORM.match(config.platform)
    if backend := config.backend or (platform and platform[1]):
        facts["model.backend"] = backend
    if config.input and config.output:
        facts |= _tensor_facts(config)
    return facts


def _tensor_facts(config: Any) -> dict[str, Value]:
    tensors = [*config.input, *config.output]
    types = {model_config_pb2.DataType.Name(each.data_type) for each in tensors}
    floats = types & set(_FLOATS)
    return {
        "model.float32": floats == {"TYPE_FP32"},
        "model.float16": "TYPE_FP16" in floats,
        "model.odd_dims": sum(map(_is_odd, _last_dims(tensors))),
    }


def _last_dims(tensors: Iterable[Any]) -> list[int]:
    return [each.dims[-1] for each in tensors if each.dims]


def _is_odd(dim: int) -> bool:
    return dim >= _LEAST_DIM and dim % 8 != 0
