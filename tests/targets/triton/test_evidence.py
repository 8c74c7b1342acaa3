"""Parameters of Triton's backends: proved by the backend's log, not by the server's echo."""

from pathlib import Path

import pytest

from tests.targets.triton.triton_targets import built_in, served, write_form, write_model
from tuner.records import SettingVerdict
from tuner.space.expressions import Value
from tuner.space.settings import ConfigPath
from tuner.targets.process_proofs import ACCEPTED, CONFIRMED, refuted
from tuner.targets.triton import config as model_config
from tuner.targets.triton import evidence as triton_evidence
from tuner.targets.triton.repository import RepositoryModel

# As the backend of 23.10 and 24.08 write them.
LOG = """
I1127 libtorch.cc:2318] "TRITONBACKEND_ModelInitialize: m (version 1)"
I1127 libtorch.cc:347] "Optimized execution is enabled for model instance 'm'"
I1127 libtorch.cc:366] "Cache Cleaning is disabled for model instance 'm'"
I1127 libtorch.cc:383] "Inference Mode is enabled for model instance 'm'"
I1127 libtorch.cc:476] NvFuser is disabled for model instance 'm'
I1127 libtorch.cc:501] "Intra op thread count is set to 2 for model instance 'm'"
I1127 libtorch.cc:383] "Inference Mode is disabled for model instance 'other'"
"""
# As the program for bare ONNX files writes them.
ONNX_LOG = """
I1127 model.py:1] "intra_op_thread_count is 2 for model instance 'm_0_0'"
I1127 model.py:1] "intra_op_thread_count is 1 for model instance 'm_0_1'"
I1127 model.py:1] "enable_mem_arena is 0 for model instance 'm_0_1'"
I1127 model.py:1] "execution_mode is 1 for model instance 'other_0_0'"
"""


def path(name: str) -> str:
    return f"parameters[{name}].string_value"


def graded(path: str, value: Value, log: str, *, backend: str = "pytorch") -> SettingVerdict:
    """The verdict on a parameter that the server has for the model `m`."""
    model = model_config.of({"name": "m", "backend": backend})
    effective = model_config.changed(model, {path: value})
    return triton_evidence.field_verdict(path, value, effective=effective, log=log)


class TestRecordedLogs:
    @pytest.mark.parametrize(
        ("name", "value", "found"),
        [
            ("INFERENCE_MODE", True, None),
            ("INFERENCE_MODE", False, "the log says `Inference Mode is enabled`"),
            ("DISABLE_OPTIMIZED_EXECUTION", False, None),
            (
                "DISABLE_OPTIMIZED_EXECUTION",
                True,
                "the log says `Optimized execution is enabled`",
            ),
            ("ENABLE_CACHE_CLEANING", True, "the log says `Cache Cleaning is disabled`"),
            ("ENABLE_NVFUSER", False, None),
            ("INTRA_OP_THREAD_COUNT", 2, None),
            ("INTRA_OP_THREAD_COUNT", 1, "the log says `Intra op thread count is 2`"),
            (
                "ENABLE_JIT_EXECUTOR",
                True,
                "the log says nothing of `Jit executor`: the backend ignores it",
            ),
        ],
    )
    def test_of_the_pytorch_backend(self, name: str, value: Value, found: str | None) -> None:
        """What the backend says of its own model is what counts; silence is a refusal."""
        verdict = graded(path(name), value, LOG)
        assert verdict == (CONFIRMED if found is None else refuted(found))

    def test_nvfuser(self) -> None:
        """A backend until 23.11 tells of it; one from 23.12 on ignores it, and says nothing."""
        old = "I1127 libtorch.cc:476] NvFuser is enabled for model instance 'm'\n"
        new = "".join(line for line in LOG.splitlines(keepends=True) if "NvFuser" not in line)
        written = built_in("triton_pytorch_nvfuser")
        nvfuser = written["nvfuser"].sets

        assert nvfuser == ConfigPath(path("ENABLE_NVFUSER"), omit="default")
        assert graded(nvfuser.path, "true", old) == CONFIRMED
        assert graded(nvfuser.path, "true", new) == refuted(
            "the log says nothing of `NvFuser`: the backend ignores it"
        )

    def test_the_last_load_counts(self) -> None:
        """After a reload, the log's last word is true."""
        log = LOG + LOG.replace("Inference Mode is enabled", "Inference Mode is disabled")
        assert graded(path("INFERENCE_MODE"), False, log) == CONFIRMED

    def test_of_other_backends(self) -> None:
        """Backends that say nothing leave it at what the server has taken."""
        for name in ("intra_op_thread_count", "NUM_STREAMS"):
            assert graded(path(name), 1, LOG, backend="onnxruntime") == ACCEPTED

    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("intra_op_thread_count", 1, CONFIRMED),
            (
                "intra_op_thread_count",
                2,
                refuted("the log says `intra_op_thread_count is 1`"),
            ),
            ("enable_mem_arena", 0, CONFIRMED),
            ("execution_mode", 1, ACCEPTED),
        ],
    )
    def test_of_onnxruntime(self, name: str, value: Value, expected: SettingVerdict) -> None:
        """Triton's own backend tells of none; what it does tell counts."""
        assert graded(path(name), value, ONNX_LOG, backend="onnxruntime") == expected
        assert graded(path(name), value, LOG, backend="onnxruntime") == ACCEPTED

    def test_a_program_that_does_not_know_onnxruntimes_parameters(self) -> None:
        """The one for ONNX files tells of all of them; another one ignores them."""
        name = "intra_op_thread_count"
        assert graded(path(name), 1, ONNX_LOG, backend="python") == CONFIRMED
        assert graded(path(name), 1, LOG, backend="python") == refuted(
            f"the log says nothing of `{name}`: the backend ignores it"
        )

    def test_a_field_that_the_server_reads_itself(self) -> None:
        """Only `parameters` is read by nobody but the backend: for others no log is needed."""
        assert graded("instance_group[0].count", 2, "") == CONFIRMED


def test_a_flag_that_the_backend_ignores(tmp_path: Path) -> None:
    """The server echoes what it was given; a backend that says nothing of it is found out."""
    write_form(tmp_path, "m")
    deaf = served(tmp_path, RepositoryModel(tmp_path, "m"), searched=built_in("triton_pytorch"))
    assert deaf.verdicts(deaf.configuration(jit_executor=False))["jit_executor"] == refuted(
        "the log says nothing of `Jit executor`: the backend ignores it"
    )


@pytest.mark.parametrize(
    ("config", "space"),
    [
        ('backend: "python"', "triton"),
        ('backend: "pytorch"', "triton_pytorch"),
        ('platform: "pytorch_libtorch"', "triton_pytorch"),
        ('platform: "onnxruntime_onnx"', "triton_onnxruntime"),
        ('backend: "openvino"', "triton_openvino"),
        ('platform: "tensorrt_plan"', "triton_tensorrt"),
        ('backend: "tensorrt"', "triton_tensorrt"),
        ('backend: "tensorflow"', "triton"),
    ],
)
def test_the_space_of_a_backend(tmp_path: Path, config: str, space: str) -> None:
    """A model gets the space of its backend; where there is none, the one for all."""
    write_model(tmp_path, config=f"{config} max_batch_size: 8")
    model = RepositoryModel(tmp_path, "m")
    assert model.space == space
    adapted = model.adapt(built_in(space))
    assert adapted["max_batch_size"].default == 8
