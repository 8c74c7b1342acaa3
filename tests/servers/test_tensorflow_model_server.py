"""The program that stands in for TensorFlow Serving: what it takes, batches and counts."""

import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from runners.base import LaunchSpec, RunningServer
from tests.servers.started import started
from tests.servers.tensorflow_program import COMMAND, MODEL, save_model

METRICS = "/monitoring/prometheus/metrics"


def arguments(folder: Path, *more: str) -> list[str]:
    return [f"--model_name={MODEL}", f"--model_base_path={folder / MODEL}", *more]


@contextmanager
def running(folder: Path, *more: str, batching: str = "") -> Iterator[RunningServer]:
    """The program with these batching parameters, and with metrics."""
    (folder / "batching.txt").write_text(batching)
    batches = ["--enable_batching", f"--batching_parameters_file={folder}/batching.txt"]
    launch_spec = LaunchSpec(
        command=(
            *COMMAND,
            "--port={port:grpc}",
            "--rest_api_port={port:rest}",
            "--monitoring_config_file=any",
            *arguments(folder, *more, *(batches if batching else [])),
        ),
        ports=("rest", "grpc"),
        stop_grace_s=0.0,
    )

    def is_ready(server: RunningServer) -> bool:
        return httpx.get(f"{server.url('rest')}/v1/models/{MODEL}", trust_env=False).is_success

    with started(launch_spec, logs=folder / "logs", is_ready=is_ready) as server:
        yield server


def ask(server: RunningServer, rows: int = 1) -> httpx.Response:
    url = f"{server.url('rest')}/v1/models/{MODEL}:predict"
    body = {"inputs": {"x": [[1.0, 2.0, 3.0, 4.0]] * rows}}
    return httpx.post(url, json=body, trust_env=False, timeout=30)


def metric(server: RunningServer, name: str) -> float | None:
    page = httpx.get(f"{server.url('rest')}{METRICS}", trust_env=False).text
    found = re.search(rf"^:tensorflow:serving:{re.escape(name)}\S* (\S+)$", page, re.MULTILINE)
    return float(found[1]) if found else None


class TestStart:
    @pytest.mark.parametrize(
        ("more", "said"),
        [
            (["--rest_api_num_threads=many"], "Couldn't interpret value --rest_api_num_threads="),
            (["--enable_batching=perhaps"], "Couldn't interpret value --enable_batching=perhaps"),
            (["--batching_parameters_file=a"], "is set without setting server_options.enable_"),
            (["--enable_batching", "--batching_parameters_file=missing"], "Invalid protobuf file"),
        ],
    )
    def test_flags_that_end_it(self, tmp_path: Path, more: list[str], said: str) -> None:
        """What cannot be understood, and a batching file without batching, end the server."""
        assert said in self.last_words(tmp_path, *more)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("largest_batch { value: 4 }", "Invalid protobuf file"),
            ("max_batch_size: { 4 }", "Invalid protobuf file"),
            ("max_batch_size { value: 4 } allowed_batch_sizes: 2", "Last entry in allowed_batch"),
        ],
    )
    def test_batching_files_that_end_it(self, tmp_path: Path, text: str, said: str) -> None:
        """So do parameters that it does not have, or that contradict each other."""
        (tmp_path / "bad.txt").write_text(text)
        file = f"--batching_parameters_file={tmp_path}/bad.txt"
        assert said in self.last_words(tmp_path, "--enable_batching", file)

    def last_words(self, folder: Path, *more: str) -> str:
        """What it says when it ends by itself, with the status of the original."""
        save_model(folder)
        command = [*COMMAND, "--port=0", *arguments(folder, *more)]
        end = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert end.returncode == 255
        return end.stderr

    def test_an_unknown_flag(self, tmp_path: Path) -> None:
        """It is named, and the server goes on, as the original does."""
        save_model(tmp_path)
        with running(tmp_path, "--new_flag=1") as server:
            assert ask(server).is_success
            assert "unknown argument: --new_flag=1" in server.log_head()


class TestBatches:
    def test_requests_share_a_batch(self, tmp_path: Path) -> None:
        """Eight requests at once are one batch of eight; comments in the file are none."""
        save_model(tmp_path)
        text = "# mine\nmax_batch_size { value: 8 }\nbatch_timeout_micros { value: 10000000 }\n"
        with running(tmp_path, batching=text) as server, ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: ask(server), range(8)))
            assert [answer.json() for answer in answers] == [{"outputs": [[2, 4, 6, 8]]}] * 8
            assert metric(server, "batching_session:wrapped_run_count") == 1
            assert metric(server, "batching_session:processed_batch_size_sum") == 8
            assert metric(server, 'request_count{model_name="double",status="OK"}') == 8

    def test_a_full_queue(self, tmp_path: Path) -> None:
        """Requests beyond the queue are refused with 503."""
        save_model(tmp_path, seconds=0.5)
        text = (
            "max_batch_size { value: 1 } max_enqueued_batches { value: 1 } "
            "num_batch_threads { value: 1 }"
        )
        with running(tmp_path, batching=text) as server, ThreadPoolExecutor(8) as pool:
            statuses = {answer.status_code for answer in pool.map(lambda _: ask(server), range(8))}
            assert statuses == {200, 503}
            assert metric(server, 'request_count{model_name="double",status="UNAVAILABLE"}')


class TestRequests:
    def test_other_paths(self, tmp_path: Path) -> None:
        """Unknown models and malformed requests are 404 with the original's words."""
        save_model(tmp_path)
        with (
            running(tmp_path) as server,
            httpx.Client(base_url=server.url("rest"), trust_env=False) as client,
        ):
            assert client.get("/v1/models/half").json() == {
                "error": "Servable not found for request: Latest(half)"
            }
            assert client.get(f"/v1/models/{MODEL}:guess").status_code == 404
            assert client.get(f"/v1/models/{MODEL}/versions/1").json() == {
                "model_version_status": [
                    {
                        "version": "1",
                        "state": "AVAILABLE",
                        "status": {"error_code": "OK", "error_message": ""},
                    }
                ]
            }
