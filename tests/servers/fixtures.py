"""The servers as fixtures: each is started when a test first asks for it, once in a session."""

from collections.abc import Callable, Iterator

import pytest

from tests.servers import certificates as certificate_files
from tests.servers import docker, llama_cpp, tls, torchserve, triton
from tests.servers import tensorflow_serving as tensorflow
from tests.servers.certificates import Certificates
from tests.servers.llama_cpp import LlamaServer
from tests.servers.tensorflow_serving import TensorFlowServing
from tests.servers.tls import TlsProxy
from tests.servers.torchserve import TorchServe
from tests.servers.triton import GrpcTls, TritonServer


def _require(missing: str) -> None:
    if missing:
        pytest.skip(missing)


@pytest.fixture(scope="session", autouse=True)
def no_abandoned_folders() -> Iterator[None]:
    """Tests that kill a Triton, or let it crash, leave nothing in /tmp either."""
    yield
    triton.remove_abandoned_folders()


@pytest.fixture(scope="session")
def certificates() -> Iterator[Certificates]:
    _require(certificate_files.missing())
    with certificate_files.issued() as issued:
        yield issued


@pytest.fixture(scope="session")
def living_triton() -> Iterator[Callable[[], TritonServer]]:
    _require(triton.missing())
    with triton.living() as living:
        yield living


@pytest.fixture
def triton_server(living_triton: Callable[[], TritonServer]) -> TritonServer:
    """All models of `triton.MODELS`, over HTTP, gRPC and with metrics; one for all tests."""
    return living_triton()


@pytest.fixture(scope="session")
def triton_tls(certificates: Certificates) -> Iterator[TritonServer]:
    """The model `echo`; TLS on gRPC."""
    _require(triton.missing())
    with triton.serving(["echo"], grpc_tls=GrpcTls(certificates)) as server:
        yield server


@pytest.fixture(scope="session")
def triton_mutual_tls(certificates: Certificates) -> Iterator[TritonServer]:
    """The model `echo`; TLS on gRPC, for clients with a certificate only."""
    _require(triton.missing())
    with triton.serving(["echo"], grpc_tls=GrpcTls(certificates, mutual=True)) as server:
        yield server


@pytest.fixture
def tls_proxy(triton_server: TritonServer, certificates: Certificates) -> Iterator[TlsProxy]:
    """nginx before `triton_server`."""
    _require(tls.missing())
    with tls.proxying(triton_server, certificates) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def torchserve_server() -> Iterator[TorchServe]:
    """Inference over HTTP and gRPC, management, metrics."""
    _require(torchserve.missing())
    with torchserve.serving() as server:
        yield server


@pytest.fixture(scope="session")
def torchserve_socket() -> Iterator[TorchServe]:
    """The same with inference over HTTP on a Unix socket."""
    _require(torchserve.missing())
    with torchserve.serving(unix_socket=True) as server:
        yield server


@pytest.fixture(scope="session")
def tensorflow_serving() -> Iterator[TensorFlowServing]:
    with tensorflow.serving() as server:
        yield server


@pytest.fixture(scope="session")
def llama_server() -> Iterator[LlamaServer]:
    """A tiny model on four slots, with metrics, on one thread; one for all tests."""
    _require(llama_cpp.missing())
    with llama_cpp.serving() as server:
        yield server


@pytest.fixture(scope="session")
def docker_image() -> Iterator[str]:
    """An image of empty folders on a real engine; `docker.mounts()` fills them."""
    _require(docker.missing())
    with docker.imported() as image:
        yield image
