"""What the Triton target works out by itself, without a server."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.spaces import switch
from tests.targets.moody import BATCHING, MODELS, configuration, listing, target_in
from tests.targets.triton.triton_targets import built_in
from tuner import demo
from tuner.errors import Reason, TrialFailure
from tuner.load.requests import Tensor
from tuner.space.expressions import Value
from tuner.space.settings import FlagForm, ServerFlag
from tuner.targets.base import Installation, ModelSource, TargetSetup
from tuner.targets.request_form import RequestForm
from tuner.targets.tensor_requests import check_answer
from tuner.targets.triton.model import open_model
from tuner.targets.triton.target import TritonTarget, reason_in


class TestLaunchSpec:
    def test_always(self, tmp_path: Path) -> None:
        """Triton starts without a model, where the runner says, with shared memory of its own."""
        spec = target_in(tmp_path).launch_spec(configuration())

        assert spec.command[0] == "/opt/tritonserver"
        assert {
            f"--model-repository={tmp_path}/repository",
            "--model-control-mode=explicit",
            "--x",
            "--http-address={address}",
            "--http-port={port:http}",
            f"--backend-config=python,shm-region-prefix-name=tuner-{tmp_path.name}-",
        } < set(spec.command)
        assert (spec.ports, spec.start_timeout_s) == (("http",), 7.0)
        assert spec.leftovers == (f"/dev/shm/tuner-{tmp_path.name}-*",)  # noqa: S108 - its name

    @pytest.mark.parametrize(
        ("program", "grace_s"), [("", 0.0), ("    def finalize(self):\n        pass\n", 10.0)]
    )
    def test_how_long_its_end_may_take(self, tmp_path: Path, program: str, grace_s: float) -> None:
        """No longer than a kill, unless the model has something to do then."""
        shutil.copytree(demo.REPOSITORY / demo.MODEL, tmp_path / "models" / "m")
        with (tmp_path / "models" / "m" / "1" / "model.py").open("a") as file:
            file.write(program)
        model = open_model(ModelSource(folder=tmp_path / "models"))
        setup = TargetSetup(workspace=tmp_path, form=RequestForm())
        target = TritonTarget(model, built_in(), setup, Installation(Path("/opt/tritonserver")))
        spec = target.launch_spec(built_in().defaults)
        assert spec.stop_grace_s == grace_s
        assert "--disable-auto-complete-config" in spec.command

    def test_of_a_configuration(self, tmp_path: Path) -> None:
        """What is no model configuration becomes flags and environment variables."""
        spec = target_in(tmp_path).launch_spec(configuration(threads=1, http_threads=4))

        assert spec.command[-1] == "--http-thread-count=4"
        assert spec.environment == {
            "A": "b",
            "MOOD": "good",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
        }


class TestSize:
    @pytest.mark.parametrize(
        ("batch", "values", "concurrency", "largest_batch"),
        [
            (1, {}, 2, 1),
            (1, {"instance_count": 3}, 6, 1),
            (1, BATCHING, 8, 4),
            (1, {**BATCHING, "instance_count": 2}, 16, 4),
            (2, {**BATCHING, "instance_count": 2}, 8, 4),
            (8, {}, 2, 1),
        ],
    )
    def test_size(
        self,
        tmp_path: Path,
        batch: int,
        values: dict[str, Value],
        concurrency: int,
        largest_batch: int,
    ) -> None:
        """Two batches in flight for each instance saturate it, and never fewer than 2 requests."""
        target = target_in(tmp_path, RequestForm(batch=batch))
        assert target.concurrency(configuration(**values)) == concurrency
        assert target.largest_batch(configuration(**values)) == largest_batch


class TestStage:
    def test_copy(self, tmp_path: Path) -> None:
        """The staged copy has the model's files."""
        target_in(tmp_path).stage()
        copied = listing(tmp_path / "repository" / "moody")
        assert copied.keys() == listing(MODELS / "moody").keys()


class TestCanReload:
    @pytest.mark.parametrize(
        ("changes", "reload"),
        [
            ({}, True),
            (BATCHING, True),
            ({"instance_count": 2}, True),
            ({"threads": 1}, False),
            ({"http_threads": 4}, False),
            ({"instance_count": 2, "threads": 1}, False),
        ],
    )
    def test_can_reload(self, tmp_path: Path, changes: dict[str, Value], *, reload: bool) -> None:
        """A reload suffices where all that changes is the model's, in either direction."""
        target = target_in(tmp_path)
        before, after = configuration(), configuration(**changes)
        assert target.can_reload(before, after) is reload
        assert target.can_reload(after, before) is reload

    def test_flag_that_claims_to_reload(self, tmp_path: Path) -> None:
        """A running server takes no flags, whatever the space file says of them."""
        target = target_in(tmp_path)
        parameters = [replace(p, reload=True) for p in target._space.parameters]
        target._space = replace(target._space, parameters=tuple(parameters))
        assert not target.can_reload(configuration(), configuration(http_threads=4))


class TestExport:
    def test_what_is_no_model_configuration(self, tmp_path: Path) -> None:
        """Environment variables and flags are named in comments: the file cannot hold them."""
        lines = target_in(tmp_path).export(configuration(threads=1)).splitlines()
        assert lines[:3] == [
            "# http_threads: start the server with --http-thread-count=8",
            "# mood: start the server with MOOD=good",
            (
                "# threads: start the server with OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 "
                "MKL_NUM_THREADS=1"
            ),
        ]
        assert lines[3] == 'name: "moody"'

    def test_flags_in_other_forms(self, tmp_path: Path) -> None:
        """A switch and a value after a blank are said as the command line has them, or not."""
        target = target_in(tmp_path)
        strict = replace(switch("strict"), sets=ServerFlag("--strict", form=FlagForm.SWITCH))
        sets = ServerFlag("--http-thread-count", form=FlagForm.WORDS)
        others = [p for p in target._space.parameters if p.name != "http_threads"]
        http = replace(target._space["http_threads"], sets=sets)
        target._space = replace(target._space, parameters=(strict, http, *others))
        for value, said in ((False, []), (True, ["--strict"])):
            tried = target._space.activate({"strict": value})
            flags = [word for word in target.launch_spec(tried).command if word == "--strict"]
            assert flags == said
            command = " ".join(target.launch_spec(tried).command)
            assert "--http-thread-count 8" in command
            lines = target.export(tried).splitlines()
            assert "# http_threads: start the server with --http-thread-count 8" in lines
            assert ("# strict: start the server with --strict" in lines) is value


class TestNumbers:
    @pytest.mark.parametrize(
        ("datatype", "data"),
        [
            ("FP32", np.array([1.0, np.inf], np.float32).tobytes()),
            ("FP16", np.array([1.0, 2.0], np.float16).tobytes()),
            ("INT64", bytes(16)),
            ("BOOL", bytes(2)),
            ("BF16", b"\x80\x3f\x80\x7f"),
            ("BYTES", b"\1\0\0\0a\0\0\0\0"),
        ],
    )
    def test_good(self, datatype: str, data: bytes) -> None:
        """As many bytes as the shape says, whatever the type; texts have a length of their own."""
        check_answer([Tensor("y", datatype, (1, 2), data)])

    @pytest.mark.parametrize(
        ("datatype", "data"),
        [
            ("FP16", np.array([1.0, np.nan], np.float16).tobytes()),
            ("FP32", np.array([1.0, np.nan], np.float32).tobytes()),
            ("FP64", np.array([1.0, np.nan], np.float64).tobytes()),
            ("BF16", b"\x80\x3f\xc0\x7f"),  # half of an FP32
        ],
    )
    def test_nan(self, datatype: str, data: bytes) -> None:
        """NaN is never an answer."""
        with pytest.raises(TrialFailure, match="output `y` contains NaN") as caught:
            check_answer([Tensor("y", datatype, (2,), data)])
        assert caught.value.reason is Reason.WRONG_OUTPUT

    def test_missing_bytes(self) -> None:
        """A tensor without its data is what a wrong numpy in the model makes: never an answer."""
        with pytest.raises(TrialFailure) as caught:
            check_answer([Tensor("y", "FP32", (1, 4), b"")])
        assert caught.value.reason is Reason.WRONG_OUTPUT
        assert str(caught.value) == (
            "output `y` of shape [1, 4] must have 16 bytes, but has 0; see whether the model runs "
            "with the numpy that the server was made for"
        )


def testreason_in() -> None:
    """The last complaint about the repository, if there is one."""
    complaint = "E1 m.cc:1] \"Poll failed for model directory 'm': {}\"\nI1 goes on\n"

    assert reason_in("") == reason_in('I1 m.cc:1] "started"') == ""
    assert reason_in(complaint.format("one") + complaint.format("two: 2")) == ": two: 2"
