"""The Tritons that other tests talk to, with and without TLS: each really serves its models."""

import os
import queue
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import httpx
import numpy as np
import numpy.typing as npt
import psutil
import pytest
from tritonclient import grpc as triton_grpc
from tritonclient.utils import InferenceServerException, shared_memory

from tests.runner_tests.waiting import wait_until
from tests.servers import triton
from tests.servers.certificates import Certificates
from tests.servers.tls import TlsProxy
from tests.servers.triton import TritonServer, echoes

RAMP = np.arange(16, dtype=np.float32)
Array = npt.NDArray[Any]


@contextmanager
def grpc_client(target: str, **options: Any) -> Iterator[triton_grpc.InferenceServerClient]:
    client = triton_grpc.InferenceServerClient(target, **options)
    try:
        yield client
    finally:
        client.close()


@pytest.fixture
def client(triton_server: TritonServer) -> Iterator[triton_grpc.InferenceServerClient]:
    with grpc_client(triton_server.grpc_target) as client:
        yield client


def test_a_triton_that_crashed_is_followed_by_another() -> None:
    """The tests after a crash have a server; without one, it is always the same."""
    with triton.living() as living:
        first = living()
        assert living() == first

        process = psutil.Process(first.pid)
        process.send_signal(signal.SIGSEGV)
        wait_until(lambda: process.status() == psutil.STATUS_ZOMBIE)

        assert living().pid != first.pid
        assert not psutil.pid_exists(first.pid)
        assert httpx.get(f"{living().http_url}/v2/health/live").is_success


def tensor(name: str, values: Array, datatype: str) -> triton_grpc.InferInput:
    return triton_grpc.InferInput(name, values.shape, datatype).set_data_from_numpy(values)


def echo(client: triton_grpc.InferenceServerClient) -> Array:
    output: Array = client.infer("echo", [tensor("INPUT", RAMP, "FP32")]).as_numpy("OUTPUT")
    return output


class TestTriton:
    def test_http(self, triton_server: TritonServer) -> None:
        """Its HTTP port answers."""
        with httpx.Client(base_url=triton_server.http_url) as client:
            assert echoes(client)

    def test_metrics(self, triton_server: TritonServer) -> None:
        """Its metrics count the inferences of each model."""
        text = httpx.get(triton_server.metrics_url).text

        assert 'nv_inference_request_success{model="echo",version="1"}' in text

    def test_process(self, triton_server: TritonServer) -> None:
        """Its process is known: the server, with one stub for each model."""
        process = psutil.Process(triton_server.pid)

        assert process.name() == "tritonserver"
        assert len(process.children(recursive=True)) >= len(triton.MODELS)

    def test_echo(self, client: triton_grpc.InferenceServerClient) -> None:
        """Sixteen numbers come back as they are."""
        assert echo(client).tolist() == RAMP.tolist()

    def test_add_sub(self, client: triton_grpc.InferenceServerClient) -> None:
        """perf_analyzer's manual: ones give a difference of 0 and a sum of 2, in any batch."""
        ones = np.ones((3, 4, 4), dtype=np.int32)
        result = client.infer(
            "add_sub", [tensor("INPUT0", ones, "INT32"), tensor("INPUT1", ones, "INT32")]
        )

        assert (result.as_numpy("OUTPUT0") == 0 * ones).all()
        assert (result.as_numpy("OUTPUT1") == 2 * ones).all()

    def test_strings(self, client: triton_grpc.InferenceServerClient) -> None:
        """A string comes back as it is."""
        text = np.array(["größer".encode()], dtype=np.object_)

        result = client.infer("strings", [tensor("INPUT", text, "BYTES")])

        assert result.as_numpy("OUTPUT").tolist() == ["größer".encode()]

    @pytest.mark.parametrize("shape", [(1, 2, 8), (2, 8, 2), (8, 1, 1)])
    def test_variable(
        self, client: triton_grpc.InferenceServerClient, shape: tuple[int, ...]
    ) -> None:
        """Matrices of any size are summed, each of a batch by itself."""
        result = client.infer("variable", [tensor("INPUT", np.ones(shape, np.int32), "INT32")])

        assert result.as_numpy("OUTPUT").tolist() == [[shape[1] * shape[2]]] * shape[0]

    def test_slow(self, client: triton_grpc.InferenceServerClient) -> None:
        """A response takes as long as its request says."""
        delay_s = np.array([0.01], dtype=np.float32)
        before = client.get_inference_statistics("slow").model_stats[0].inference_stats
        client.infer("slow", [tensor("DELAY", delay_s, "FP32")])
        after = client.get_inference_statistics("slow").model_stats[0].inference_stats

        assert after.compute_infer.ns - before.compute_infer.ns >= 10_000_000

    def test_shared_memory(self, client: triton_grpc.InferenceServerClient) -> None:
        """Inputs and outputs may lie in system shared memory."""
        key = f"/test-servers-{os.getpid()}"
        region = shared_memory.create_shared_memory_region("ramp", key, 2 * RAMP.nbytes)
        try:
            shared_memory.set_shared_memory_region(region, [RAMP])
            client.register_system_shared_memory("ramp", key, 2 * RAMP.nbytes)
            given = triton_grpc.InferInput("INPUT", RAMP.shape, "FP32")
            given.set_shared_memory("ramp", RAMP.nbytes)
            wanted = triton_grpc.InferRequestedOutput("OUTPUT")
            wanted.set_shared_memory("ramp", RAMP.nbytes, offset=RAMP.nbytes)
            client.infer("echo", [given], outputs=[wanted])
            wait_until(lambda: is_forgotten(client, "ramp"))
            both = shared_memory.get_contents_as_numpy(region, np.float32, [32])

            assert both.tolist() == [*RAMP, *RAMP]
        finally:
            shared_memory.destroy_shared_memory_region(region)


def is_forgotten(client: triton_grpc.InferenceServerClient, region: str) -> bool:
    """Unregister it; Triton still uses a region for a moment after its last answer."""
    try:
        client.unregister_system_shared_memory(region)
    except InferenceServerException:
        return False
    return True


class TestSequences:
    def step(
        self, client: triton_grpc.InferenceServerClient, sequence: int, value: int, edge: str = ""
    ) -> tuple[int, int]:
        result = client.infer(
            "accumulate",
            [tensor("INPUT", np.array([value], np.int32), "INT32")],
            sequence_id=sequence,
            sequence_start=edge == "start",
            sequence_end=edge == "end",
        )
        return result.as_numpy("OUTPUT").item(), result.as_numpy("STEP").item()

    def test_steps(self, client: triton_grpc.InferenceServerClient) -> None:
        """Two sequences at once: each has its own sum and its own number of steps."""
        assert self.step(client, 101, 1, "start") == (1, 1)
        assert self.step(client, 102, 10, "start") == (10, 1)
        assert self.step(client, 101, 2) == (3, 2)
        assert self.step(client, 102, 20, "end") == (30, 2)
        assert self.step(client, 101, 3, "end") == (6, 3)

    def test_no_start(self, client: triton_grpc.InferenceServerClient) -> None:
        """A step of a sequence that was not started is refused, and so is one after the end."""
        self.step(client, 103, 1, "start")
        self.step(client, 103, 1, "end")

        with pytest.raises(InferenceServerException, match="must specify the START flag"):
            self.step(client, 103, 1)
        with pytest.raises(InferenceServerException, match="must specify the START flag"):
            self.step(client, 104, 1)

    def test_two_starts(self, client: triton_grpc.InferenceServerClient) -> None:
        """A start of a sequence that has not ended is refused, and so is the rest of it."""
        self.step(client, 105, 1, "start")

        with pytest.raises(InferenceServerException, match="105 was started again before its end"):
            self.step(client, 105, 1, "start")
        with pytest.raises(InferenceServerException, match="105 was not started"):
            self.step(client, 105, 1, "end")


def repeated(client: triton_grpc.InferenceServerClient, count: int) -> list[int]:
    """Until the empty one that is the last."""
    arrived: queue.Queue[tuple[Any, Exception | None]] = queue.Queue()
    numbers: list[int] = []
    client.start_stream(lambda result, error: arrived.put((result, error)))
    try:
        inputs = [tensor("IN", np.array([count], np.int32), "INT32")]
        client.async_stream_infer("repeat", inputs, enable_empty_final_response=True)
        while True:
            result, error = arrived.get(timeout=10)
            if error:
                raise error
            if result.get_response().parameters["triton_final_response"].bool_param:
                return numbers
            numbers.append(result.as_numpy("OUT").item())
    finally:
        client.stop_stream()


class TestDecoupled:
    @pytest.mark.parametrize("count", [0, 1, 5])
    def test_repeat(self, client: triton_grpc.InferenceServerClient, count: int) -> None:
        """A request has as many responses as it asks for, none too."""
        assert repeated(client, count) == list(range(count))

    def test_too_many(self, client: triton_grpc.InferenceServerClient) -> None:
        """A request for very many responses, such as a random number, is refused."""
        with pytest.raises(InferenceServerException, match="IN may be at most 10000"):
            repeated(client, 10_001)


def credentials(
    certificates: Certificates, *, identified: bool = False
) -> grpc.ChannelCredentials:
    key = certificates.client_key.read_bytes() if identified else None
    chain = certificates.client_certificate.read_bytes() if identified else None
    return grpc.ssl_channel_credentials(certificates.ca_certificate.read_bytes(), key, chain)


class TestTritonTls:
    def test_one_way(self, triton_tls: TritonServer, certificates: Certificates) -> None:
        """A client that trusts the authority is served; one without TLS is not."""
        with grpc_client(triton_tls.grpc_target, creds=credentials(certificates)) as client:
            assert echo(client).tolist() == RAMP.tolist()
        with (
            grpc_client(triton_tls.grpc_target) as client,
            pytest.raises(InferenceServerException, match="UNAVAILABLE"),
        ):
            echo(client)

    def test_mutual(self, triton_mutual_tls: TritonServer, certificates: Certificates) -> None:
        """A client with a certificate is served; one without is not."""
        target = triton_mutual_tls.grpc_target
        with grpc_client(target, creds=credentials(certificates, identified=True)) as client:
            assert echo(client).tolist() == RAMP.tolist()
        with (
            grpc_client(target, creds=credentials(certificates)) as client,
            pytest.raises(InferenceServerException, match="UNAVAILABLE"),
        ):
            echo(client)


class TestTlsProxy:
    def test_https(self, tls_proxy: TlsProxy) -> None:
        """HTTPS by name and by address."""
        context = tls_proxy.certificates.client_context()
        for host in ("localhost", "127.0.0.1"):
            url = f"https://{host}:{tls_proxy.https_port}"
            with httpx.Client(base_url=url, verify=context) as client:
                assert echoes(client)

    def test_stranger(self, tls_proxy: TlsProxy) -> None:
        """A client that trusts the usual authorities alone does not trust this server."""
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"https://localhost:{tls_proxy.https_port}")

    def test_mutual_https(self, tls_proxy: TlsProxy) -> None:
        """Clients with a certificate are served; others get status 400."""
        url = f"https://localhost:{tls_proxy.https_mutual_port}"
        context = tls_proxy.certificates.client_context(identified=True)
        with httpx.Client(base_url=url, verify=context) as client:
            assert echoes(client)
        refused = httpx.get(url, verify=tls_proxy.certificates.client_context())

        assert (refused.status_code, refused.reason_phrase) == (400, "Bad Request")
        assert "No required SSL certificate was sent" in refused.text

    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_http_socket(self, tls_proxy: TlsProxy, scheme: str) -> None:
        """HTTP and HTTPS on Unix sockets."""
        path = tls_proxy.http_socket if scheme == "http" else tls_proxy.https_socket
        context = tls_proxy.certificates.client_context()
        transport = httpx.HTTPTransport(uds=str(path), verify=context)
        with httpx.Client(base_url=f"{scheme}://localhost", transport=transport) as client:
            assert echoes(client)

    def test_grpc(self, tls_proxy: TlsProxy) -> None:
        """gRPC over TLS, unary and streaming."""
        target = f"localhost:{tls_proxy.grpcs_port}"
        with grpc_client(target, creds=credentials(tls_proxy.certificates)) as client:
            assert echo(client).tolist() == RAMP.tolist()
            assert repeated(client, 3) == [0, 1, 2]

    def test_mutual_grpc(self, tls_proxy: TlsProxy) -> None:
        """gRPC clients with a certificate are served, others are not."""
        target = f"localhost:{tls_proxy.grpcs_mutual_port}"
        identified = credentials(tls_proxy.certificates, identified=True)
        with grpc_client(target, creds=identified) as client:
            assert echo(client).tolist() == RAMP.tolist()
        with (
            grpc_client(target, creds=credentials(tls_proxy.certificates)) as client,
            pytest.raises(InferenceServerException, match="400"),
        ):
            echo(client)

    def test_grpc_socket(self, tls_proxy: TlsProxy) -> None:
        """gRPC on Unix sockets, without and with TLS."""
        name = [("grpc.default_authority", "localhost")]
        with grpc_client(f"unix:{tls_proxy.grpc_socket}", channel_args=name) as client:
            assert echo(client).tolist() == RAMP.tolist()
        creds = credentials(tls_proxy.certificates)
        with grpc_client(
            f"unix:{tls_proxy.grpcs_socket}", creds=creds, channel_args=name
        ) as client:
            assert echo(client).tolist() == RAMP.tolist()
