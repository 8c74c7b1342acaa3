"""The Tritons that other tests talk to: what those tests take for granted of their models.

That each of them answers rightly, over every protocol and with TLS, is seen by the tests of
`tuner measure`, which compare its answers.
"""

import signal
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import psutil
import pytest
from tritonclient import grpc as triton_grpc
from tritonclient.utils import InferenceServerException

from tests.runner_tests.waiting import wait_until_gone
from tests.servers import triton
from tests.servers.triton import TritonServer

Array = npt.NDArray[Any]


@pytest.fixture
def client(triton_server: TritonServer) -> Iterator[triton_grpc.InferenceServerClient]:
    client = triton_grpc.InferenceServerClient(triton_server.grpc_target)
    try:
        yield client
    finally:
        client.close()


def test_a_triton_that_crashed_is_followed_by_another() -> None:
    """The tests after a crash have a server; without one, it is always the same."""
    with triton.living() as living:
        first = living()
        assert living() == first

        psutil.Process(first.pid).send_signal(signal.SIGSEGV)
        wait_until_gone([first.pid])

        assert living().pid != first.pid
        assert not psutil.pid_exists(first.pid)
        assert httpx.get(f"{living().http_url}/v2/health/live").is_success


def tensor(name: str, values: Array, datatype: str) -> triton_grpc.InferInput:
    return triton_grpc.InferInput(name, values.shape, datatype).set_data_from_numpy(values)


def test_slow(client: triton_grpc.InferenceServerClient) -> None:
    """A response takes as long as its request says."""
    delay_s = np.array([0.01], dtype=np.float32)
    before = client.get_inference_statistics("slow").model_stats[0].inference_stats
    client.infer("slow", [tensor("DELAY", delay_s, "FP32")])
    after = client.get_inference_statistics("slow").model_stats[0].inference_stats

    assert after.compute_infer.ns - before.compute_infer.ns >= 10_000_000


class TestSequences:
    def step(
        self, client: triton_grpc.InferenceServerClient, sequence: int, edge: str = ""
    ) -> None:
        client.infer(
            "accumulate",
            [tensor("INPUT", np.array([1], np.int32), "INT32")],
            sequence_id=sequence,
            sequence_start=edge == "start",
            sequence_end=edge == "end",
        )

    def test_no_start(self, client: triton_grpc.InferenceServerClient) -> None:
        """A step of a sequence that was not started is refused, and so is one after the end."""
        self.step(client, 103, "start")
        self.step(client, 103, "end")

        with pytest.raises(InferenceServerException, match="must specify the START flag"):
            self.step(client, 103)
        with pytest.raises(InferenceServerException, match="must specify the START flag"):
            self.step(client, 104)

    def test_two_starts(self, client: triton_grpc.InferenceServerClient) -> None:
        """A start of a sequence that has not ended is refused, and so is the rest of it."""
        self.step(client, 105, "start")

        with pytest.raises(InferenceServerException, match="105 was started again before its end"):
            self.step(client, 105, "start")
        with pytest.raises(InferenceServerException, match="105 was not started"):
            self.step(client, 105, "end")
