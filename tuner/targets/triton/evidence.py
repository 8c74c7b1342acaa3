"""What shows that a Triton has its settings: its configuration of the model, and its log.

A parameter of one backend on a model of another is silently ignored, and so is one that a newer
version has dropped: the configuration that the server answers with proves nothing. The PyTorch
backend tells of each parameter that it heeds, at the level INFO, when it loads a model
(pytorch_backend, src/pt/model_state.cc and model_instance_state.cc). The ONNX Runtime backend
tells of none, but what serves a bare ONNX file in its stead does
(programs/onnxruntime.py).
"""

import re
from collections.abc import Mapping

from google.protobuf.message import Message

from tuner.records import SettingVerdict
from tuner.space.expressions import Value, value_text
from tuner.targets.process_proofs import ACCEPTED, CONFIRMED, refuted
from tuner.targets.triton import config as model_config

_PARAMETER = re.compile(r"parameters\[(\w+)\]\.string_value")
_ON_OFF = {"true": "enabled", "false": "disabled"}
_OFF_ON = {"true": "disabled", "false": "enabled"}
# The words before `is`, and how a value is called.
_PYTORCH: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "DISABLE_CUDNN": ("cuDNN", _OFF_ON),
    "DISABLE_OPTIMIZED_EXECUTION": ("Optimized execution", _OFF_ON),
    "ENABLE_CACHE_CLEANING": ("Cache Cleaning", _ON_OFF),
    "ENABLE_JIT_EXECUTOR": ("Jit executor", _ON_OFF),
    "ENABLE_JIT_PROFILING": ("Jit profiling", _ON_OFF),
    "ENABLE_NVFUSER": ("NvFuser", _ON_OFF),
    "ENABLE_TENSOR_FUSER": ("Tensor fuser", _ON_OFF),
    "ENABLE_WEIGHT_SHARING": ("Weight sharing", _ON_OFF),
    "INFERENCE_MODE": ("Inference Mode", _ON_OFF),
    "INTER_OP_THREAD_COUNT": ("Inter op thread count", {}),
    "INTRA_OP_THREAD_COUNT": ("Intra op thread count", {}),
}
_ONNXRUNTIME = frozenset(
    {
        "enable_mem_arena",
        "enable_mem_pattern",
        "execution_mode",
        "inter_op_thread_count",
        "intra_op_thread_count",
    }
)


def field_verdict(path: str, value: Value, *, effective: Message, log: str) -> SettingVerdict:
    """Whether the `effective` configuration has the value at `path`, and the backend heeds it."""
    found, text = model_config.get(effective, path), value_text(value)
    if parameter := _PARAMETER.fullmatch(path):  # only the backend reads it
        if found == text:
            return _heeded(parameter[1], text, effective, log)
    elif found in (value, text) or (value is False and not found):
        return CONFIRMED
    return refuted(f"the server has {path} = {value_text(found)}")


def _heeded(name: str, value: str, effective: Message, log: str) -> SettingVerdict:
    """Whether the backend heeds the parameter called `name`, whose value the server has.

    What a backend does not tell of, as most do, is accepted. ONNX Runtime's own is among them; a
    program of the Python backend that serves such models tells.
    """
    if name not in _PYTORCH and name not in _ONNXRUNTIME:
        return ACCEPTED
    model, backend = (str(model_config.get(effective, each)) for each in ("name", "backend"))
    words, names = _PYTORCH.get(name, (name, {}))
    line = rf"{words} is (?:set to )?(\w+) for model instance '{re.escape(model)}(?:_\d+)*'"
    said = re.findall(line, log, re.IGNORECASE)
    if not said and name in _ONNXRUNTIME and backend == "onnxruntime":
        return ACCEPTED
    if not said:
        return refuted(f"the log says nothing of `{words}`: the backend ignores it")
    if said[-1] == names.get(value, value):
        return CONFIRMED
    return refuted(f"the log says `{words} is {said[-1]}`")
