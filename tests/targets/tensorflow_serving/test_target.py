"""TensorFlow Serving as a target, on a program that is started and asked like it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.servers import tensorflow_program
from tests.servers.tensorflow_program import MODEL, write_program
from tests.targets.tensorflow_serving.tensorflow_serving_targets import Served, served
from tuner.errors import InputError, Reason, ServerMissingError
from tuner.protocols.tensors.values import to_array
from tuner.records import Grade
from tuner.space.space import Configuration
from tuner.study.deployment import Deployment
from tuner.targets.base import TargetSetup
from tuner.targets.process_proofs import ACCEPTED, CONFIRMED, refuted
from tuner.targets.request_form import RequestForm
from tuner.targets.tensorflow_serving.model import TensorFlowServingModel
from tuner.targets.tensorflow_serving.target import TensorFlowServingTarget


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Served:
    return served(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def deployment(plain: Served) -> Iterator[Deployment]:
    """One for all tests: what is the same already is not started again."""
    with plain.deployment() as deployment:
        yield deployment


class TestLaunch:
    def test_the_defaults(self, plain: Served) -> None:
        """The server's own defaults are said, and nothing of batching is written."""
        launch = plain.target.launch_spec(plain.configuration())
        assert launch.files == {
            "monitoring.txt": "prometheus_config { enable: true path: "
            '"/monitoring/prometheus/metrics" }\n'
        }
        assert launch.ports == ("rest", "grpc")
        assert launch.environment == {"TF_ENABLE_ONEDNN_OPTS": "1"}
        flags = set(launch.command[1:])
        assert {
            "--port={port:grpc}",
            "--rest_api_port={port:rest}",
            f"--model_name={MODEL}",
            f"--model_base_path={plain.folder}/workspace/models/{MODEL}",
            "--enable_batching=false",
            "--tensorflow_intra_op_parallelism=0",
            "--xla_cpu_compilation_enabled=false",
            "--monitoring_config_file={folder}/monitoring.txt",
            "--max_num_load_retries=0",
            "--file_system_poll_wait_seconds=0",
        } <= flags
        assert not any("batching_parameters_file" in flag for flag in flags)

    def test_batching(self, plain: Served) -> None:
        """Batching parameters are a file in protobuf's text format; sizes end with the largest."""
        launch = plain.target.launch_spec(
            plain.batching(
                batch_timeout_micros=500, num_batch_threads=1, allowed_batch_sizes="powers_of_two"
            )
        )
        assert set(launch.files["batching_parameters.txt"].splitlines()) == {
            "max_batch_size { value: 8 }",
            "batch_timeout_micros { value: 500 }",
            "max_enqueued_batches { value: 10 }",
            "num_batch_threads { value: 1 }",
            *(f"allowed_batch_sizes: {size}" for size in (1, 2, 4, 8)),
        }
        assert "--enable_batching=true" in launch.command
        assert "--batching_parameters_file={folder}/batching_parameters.txt" in launch.command

    def test_everything_is_a_restart(self, plain: Served) -> None:
        """The server can change nothing while it runs."""
        assert plain.target.can_reload(plain.batching(), plain.batching())
        assert not plain.target.can_reload(plain.configuration(), plain.batching())

    def test_as_much_load_as_it_can_take(self, plain: Served) -> None:
        """Twice a batch, as far as there are threads that wait for so many requests."""
        cores = plain.space.constants["cores"]
        threads = 16 * cores
        many = plain.batching(max_batch_size=4, rest_threads=threads)
        few = plain.batching(max_batch_size=128, rest_threads=cores)
        target = plain.target
        assert target.concurrency(many) == min(threads, max(8, 2 * cores))
        assert target.largest_batch(many) == 4
        assert target.concurrency(few) == max(2, cores)
        assert target.largest_batch(few) == cores
        assert target.largest_batch(plain.configuration()) == 1


class TestApply:
    def test_answers_once_applied(self, plain: Served, deployment: Deployment) -> None:
        """A configuration that was applied answers rightly, in the model's datatype."""
        deployment.apply(plain.configuration())
        [outputs] = plain.target.infer(deployment.server)
        [y] = outputs
        assert (y.name, y.datatype, y.shape) == ("y", "FP32", (1, 4))
        assert to_array(y).dtype == np.float32

    def test_requests(self, tmp_path: Path) -> None:
        """Many distinct requests of the size that was asked for, all answered."""
        batched = served(tmp_path, form=RequestForm(batch=3))
        with batched.deployment() as deployment:
            deployment.apply(batched.configuration())
            requests = batched.target.requests(deployment.server)
            assert len(set(requests.payloads)) == 64
            assert requests.inferences == 3
            body = requests.payloads[0].partition(b"\r\n\r\n")[2]
            url = f"{deployment.server.url('rest')}/v1/models/{MODEL}:predict"
            answer = httpx.post(url, content=body, trust_env=False).raise_for_status().json()
        x = np.array(json.loads(body)["inputs"]["x"])
        assert x.shape == (3, 4)
        assert np.allclose(answer["outputs"], 2 * x)

    def test_statistics(self, plain: Served, deployment: Deployment) -> None:
        """Requests, batches and the time in the queue are those of the page of metrics."""
        deployment.apply(plain.batching(batch_timeout_micros=10000))
        before = plain.target.statistics(deployment.server)
        plain.target.infer(deployment.server, count=8)
        found = plain.target.statistics(deployment.server) - before
        assert (found.requests, found.inferences, found.failures) == (8, 8, 0)
        assert 1 <= found.executions <= 8
        assert found.queue_s > 0

    def test_statistics_without_batching(self, plain: Served, deployment: Deployment) -> None:
        """Without batches, each request is an execution of its own."""
        deployment.apply(plain.configuration())
        before = plain.target.statistics(deployment.server)
        plain.target.infer(deployment.server, count=2)
        found = plain.target.statistics(deployment.server) - before
        assert (found.requests, found.executions, found.queue_s) == (2, 2, 0.0)

    def test_a_batch_that_a_model_cannot_take(self, tmp_path: Path) -> None:
        """Requests of several inferences need a model whose first dimension is open."""
        single = served(tmp_path, form=RequestForm(batch=2), sizes=[4])
        with single.deployment() as deployment, pytest.raises(InputError, match="`--batch 2` was"):
            deployment.apply(single.configuration())


class TestVerify:
    def test_the_defaults(self, plain: Served, deployment: Deployment) -> None:
        """That no batches are made is seen; flags and variables are at least set."""
        configuration = plain.configuration()
        deployment.apply(configuration)
        verdicts = plain.target.verify(deployment.server, configuration)
        assert set(verdicts) == set(configuration)
        assert verdicts["enable_batching"] == CONFIRMED
        assert {verdicts[name] for name in configuration if name != "enable_batching"} == {
            ACCEPTED
        }

    def test_batching(self, plain: Served, deployment: Deployment) -> None:
        """What the server does shows its largest batch, its patience and its padding."""
        configuration = plain.batching(
            batch_timeout_micros=2000, allowed_batch_sizes="powers_of_two"
        )
        deployment.apply(configuration)
        verdicts = plain.target.verify(deployment.server, configuration)
        proved = {
            "enable_batching",
            "max_batch_size",
            "batch_timeout_micros",
            "allowed_batch_sizes",
        }
        assert {name for name, verdict in verdicts.items() if verdict == CONFIRMED} == proved
        assert {verdicts[name] for name in set(configuration) - proved} == {ACCEPTED}

    def test_batches_that_are_full_at_once(self, tmp_path: Path) -> None:
        """Requests as large as a batch do not wait, so that nothing shows how long they would."""
        whole = served(tmp_path, form=RequestForm(batch=8))
        verdicts = whole.verdicts(whole.batching(batch_timeout_micros=10000))
        assert verdicts["batch_timeout_micros"] == ACCEPTED
        assert verdicts["max_batch_size"] == CONFIRMED

    def test_a_model_without_a_batch_dimension(self, tmp_path: Path) -> None:
        """No batches are made of it, so that batching is refuted."""
        single = served(tmp_path, sizes=[4])
        verdicts = single.verdicts(single.batching())
        none_made = refuted("the server makes no batches")
        assert verdicts["enable_batching"] == verdicts["num_batch_threads"] == none_made

    def test_rows_too_large_for_a_proof(self, tmp_path: Path) -> None:
        """Where a request beyond the largest batch would be huge, it is not sent."""
        wide = served(tmp_path, sizes=[-1, 1_000_000])
        verdicts = wide.verdicts(wide.batching(max_batch_size=4))
        assert verdicts["enable_batching"] == CONFIRMED
        assert verdicts["max_batch_size"] == ACCEPTED

    def test_a_platform_configuration_turns_batching_off(self, tmp_path: Path) -> None:
        """A start script can name one; then the server ignores all that is said of batching."""
        program = write_program(tmp_path / "programs", "--platform_config_file=/dev/null")
        ignoring = served(tmp_path, program=program)
        verdicts = ignoring.verdicts(ignoring.batching())
        none_made = refuted("the server makes no batches")
        assert verdicts["enable_batching"] == none_made
        assert verdicts["num_batch_threads"] == none_made

    @pytest.mark.parametrize(
        ("most", "timeout_us", "parameter", "found"),
        [
            (4, 20000, "max_batch_size", "the server has max_batch_size = 4"),
            (16, 20000, "max_batch_size", "the server took 9 rows as one batch"),
            (8, 0, "batch_timeout_micros", "one request alone waited "),
            (8, 20000, "allowed_batch_sizes", "a batch of 3 was not padded"),
        ],
    )
    def test_another_batching_file(
        self, tmp_path: Path, most: int, timeout_us: int, parameter: str, found: str
    ) -> None:
        """What a start script says instead is refuted with what the server does."""
        other = tmp_path / "other.txt"
        other.write_text(
            f"max_batch_size {{ value: {most} }}\nbatch_timeout_micros {{ value: {timeout_us} }}"
        )
        program = write_program(tmp_path / "programs", f"--batching_parameters_file={other}")
        overruled = served(tmp_path, program=program)
        configuration = overruled.batching(
            batch_timeout_micros=10000, allowed_batch_sizes="powers_of_two"
        )
        verdicts = overruled.verdicts(configuration)
        assert verdicts["enable_batching"] == CONFIRMED
        assert verdicts[parameter].grade is Grade.REFUTED
        assert verdicts[parameter].found.startswith(found)

    def test_a_flag_that_a_start_script_drops(self, tmp_path: Path) -> None:
        """The command line of the process is what counts."""
        program = write_program(tmp_path / "programs", dropping="--rest_api_num_threads=*")
        dropped = served(tmp_path, program=program)
        cores = dropped.space.constants["cores"]
        configuration = dropped.configuration(rest_threads=cores)
        assert dropped.verdicts(configuration)["rest_threads"] == refuted(
            f"no process of the server was started with --rest_api_num_threads={cores}",
        )

    def test_batches_that_nobody_wanted(self, tmp_path: Path) -> None:
        """Batching that was to be off is refuted, too."""
        program = write_program(tmp_path / "programs", "--enable_batching=true")
        eager = served(tmp_path, program=program)
        verdicts = eager.verdicts(eager.configuration())
        assert verdicts["enable_batching"] == refuted("the server makes batches")


class TestFailures:
    def test_a_model_that_cannot_be_loaded(self, tmp_path: Path) -> None:
        """Without retries the server ends, and its last words say why."""
        failure = served(tmp_path, error="NOT_FOUND: no tag `serve`").failure()
        assert failure.reason is Reason.START_FAILED
        assert "1 servable(s) did not become available" in failure.log_tail
        assert "cannot be loaded: NOT_FOUND: no tag `serve`" in failure.log_tail

    @pytest.mark.parametrize(
        ("said", "reason", "message"),
        [
            pytest.param(
                {"state": "END", "error": "NOT_FOUND: no tag `serve`", "start_timeout_s": 600},
                Reason.NOT_READY,
                "the model was not loaded: NOT_FOUND: no tag `serve`",
                id="without its model a server may stay up; its state is asked, not waited for",
            ),
            pytest.param(
                {"state": "END"},
                Reason.NOT_READY,
                "the model was not loaded: the server does not say why",
                id="a model may end without a word",
            ),
            pytest.param(
                {"state": "LOADING", "start_timeout_s": 2},
                Reason.START_TIMEOUT,
                "the model must become AVAILABLE, but it is LOADING",
                id="what is still loading after the start timeout is given up",
            ),
            pytest.param(
                {"fault": "Matrix size-incompatible"},
                Reason.NOT_READY,
                "the first inference failed: TensorFlow Serving answered 400 to POST "
                f"/v1/models/{MODEL}:predict: Matrix size-incompatible",
                id="AVAILABLE is not enough: one inference must be answered",
            ),
            pytest.param(
                {"scale": float("nan")},
                Reason.WRONG_OUTPUT,
                "output `y` contains NaN for the fixed input",
                id="NaN is no number",
            ),
        ],
    )
    def test_a_model_that_does_not_come(
        self, tmp_path: Path, said: dict[str, Any], reason: Reason, message: str
    ) -> None:
        """Whatever the model does instead of answering rightly is told as what it is."""
        failure = served(tmp_path, **said).failure()
        assert (failure.reason, str(failure)) == (reason, message)

    def test_parallelism_that_contradicts_itself(self, plain: Served) -> None:
        """The server ends where all three are set; the space does not let them be."""
        configuration = Configuration.of(
            {
                **plain.configuration(),
                "intra_op_parallelism": 1,
                "inter_op_parallelism": 2,
                "session_parallelism": 1,
            }
        )
        failure = plain.failure(configuration)
        assert failure.reason is Reason.START_FAILED
        assert "Either configure server_options" in failure.log_tail
        assert "session_parallelism" not in plain.space.activate(configuration)


class TestExport:
    @pytest.mark.parametrize("batches", [True, False])
    def test_started_by_hand(
        self, plain: Served, deployment: Deployment, tmp_path: Path, *, batches: bool
    ) -> None:
        """The exported file, started by hand, serves with the same settings."""
        values = {"batch_timeout_micros": 2000, "inter_op_parallelism": 2}
        configuration = plain.batching(**values) if batches else plain.configuration(onednn=0)
        exported = plain.target.export(configuration)
        onednn = 1 if batches else 0
        assert exported.startswith(
            f"# TF_ENABLE_ONEDNN_OPTS={onednn} tensorflow_model_server --port=8500 "
        )
        with tensorflow_program.from_file(exported, plain.folder / "models", tmp_path) as server:
            verdicts = plain.target.verify(server, configuration)
        assert verdicts["enable_batching"] == CONFIRMED
        if batches:
            assert verdicts["max_batch_size"] == verdicts["batch_timeout_micros"] == CONFIRMED
        else:
            assert exported.endswith("\n# Without batching, the server takes no such file.\n")
        assert Grade.REFUTED not in {verdict.grade for verdict in verdicts.values()}


class TestFind:
    def program(self, plain: Served, folder: Path, *, contained: bool = False) -> str:
        """What a job would start."""
        model = TensorFlowServingModel(plain.folder / "models" / MODEL)
        setup = TargetSetup(workspace=folder, form=RequestForm(), contained=contained)
        target = TensorFlowServingTarget.of(model, plain.space, setup)
        return target.launch_spec(plain.configuration()).command[0]

    def test_not_installed(
        self, plain: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without the program, a container is the way."""
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(ServerMissingError) as caught:
            self.program(plain, tmp_path)
        assert caught.value.message == (
            "TensorFlow Serving is not installed: no `tensorflow_model_server` on PATH"
        )
        assert caught.value.hint == (
            "run it in a container: `--runner docker --image tensorflow/serving`"
        )
        assert self.program(plain, tmp_path, contained=True) == "tensorflow_model_server"

    def test_on_path(self, plain: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """As a process, the program is the one on PATH."""
        program = write_program(tmp_path / "programs")
        monkeypatch.setenv("PATH", str(program.parent))
        assert self.program(plain, tmp_path) == str(program)
