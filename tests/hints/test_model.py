"""What the configuration of a Triton model says, and the one that a trial exported."""

import pytest
from google.protobuf import text_format

from tests.hints.demo import CONFIG
from tuner.hints.model import exported_config, model_facts
from tuner.targets import exported
from tuner.targets.triton import config as model_config

GPU = """
platform: "onnxruntime_onnx"
input { name: "x" data_type: TYPE_FP16 dims: [3, 224, 224] }
output { name: "y" data_type: TYPE_FP16 dims: [1000] }
response_cache { enable: true }
instance_group { count: 1 kind: KIND_GPU }
dynamic_batching { default_queue_policy { max_queue_size: 16 } }
optimization { execution_accelerators { gpu_execution_accelerator [ { name: "tensorrt" } ] } }
parameters { key: "INFERENCE_MODE" value { string_value: "true" } }
"""


def test_a_model_on_processors() -> None:
    """Batches, types, dimensions, where it runs; classes up to 8 are padded by libraries."""
    assert model_facts(model_config.parsed(CONFIG)) == {
        "model.max_batch_size": 16,
        "model.backend": "python",
        "model.on_cpu": True,
        "model.float32": True,
        "model.float16": False,
        "model.odd_dims": 1,
        "model.inference_mode_said": False,
        "config.cache": False,
        "config.queue": 0,
        "config.accelerator": "none",
    }


def test_a_model_on_a_gpu() -> None:
    """The backend is that of the platform, and settings count that no parameter sets."""
    assert model_facts(model_config.parsed(GPU)) == {
        "model.max_batch_size": 0,
        "model.backend": "onnxruntime",
        "model.on_cpu": False,
        "model.float32": False,
        "model.float16": True,
        "model.odd_dims": 0,
        "model.inference_mode_said": True,
        "config.cache": True,
        "config.queue": 16,
        "config.accelerator": "tensorrt",
    }


def test_what_a_server_completes_is_not_known() -> None:
    """A configuration may say nothing at all: then there is no fact of its tensors."""
    found = model_facts(model_config.parsed(""))

    assert {"model.backend", "model.float32", "model.odd_dims"}.isdisjoint(found)
    assert found["model.on_cpu"] is False


def test_of_several_files_the_models_own() -> None:
    """An ensemble is exported with its parts; texts that are no configuration are passed by."""
    other = CONFIG.replace("encoder", "head").replace("python", "onnxruntime")
    both = exported.joined({"head/config.pbtxt": other, "encoder/config.pbtxt": CONFIG})
    found = exported_config(both, "encoder")

    assert found is not None
    assert model_facts(found)["model.backend"] == "python"
    assert exported_config(both, "tail") is None
    assert exported_config("job_queue_size=100\n", "encoder") is None


def test_what_is_no_configuration() -> None:
    """Text is read as protobuf's own reader does."""
    with pytest.raises(text_format.ParseError):
        model_config.parsed("dims: [")
