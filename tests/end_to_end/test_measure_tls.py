"""`tuner measure` over TLS and Unix sockets: nginx before a real Triton, and Triton's own TLS.

nginx ends a connection after 1000 requests, also while others are on their way. `LONG` sees many
of these ends, once for each protocol; `RECONNECTING` is the shortest load that sees one.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.measuring import Measure
from tests.servers import tensorflow_serving as tensorflow
from tests.servers.certificates import Certificates
from tests.servers.tensorflow_serving import TensorFlowServing
from tests.servers.tls import TlsProxy
from tests.servers.triton import TritonServer

REQUESTS, MORE_THAN_A_CONNECTION = 10_000, 1_200
LONG = ("--concurrency", "8", "--request-count", str(REQUESTS), "--duration", "60s")
RECONNECTING = ("--request-count", str(MORE_THAN_A_CONNECTION), "--duration", "60s")
TLS_HINT = (
    "check that the server speaks TLS there, and that the CA file holds what its certificate "
    "was signed with"
)


def trusted(certificates: Certificates) -> tuple[str, ...]:
    return ("--ca-file", str(certificates.ca_certificate))


def identified(certificates: Certificates) -> tuple[str, ...]:
    return (
        *trusted(certificates),
        *("--client-certificate", str(certificates.client_certificate)),
        *("--client-key", str(certificates.client_key)),
    )


def url_of(proxy: TlsProxy, scheme: str, *, mutual: bool = False) -> str:
    ports = {
        ("https", False): proxy.https_port,
        ("https", True): proxy.https_mutual_port,
        ("grpcs", False): proxy.grpcs_port,
        ("grpcs", True): proxy.grpcs_mutual_port,
    }
    return f"{scheme}://localhost:{ports[scheme, mutual]}"


@pytest.fixture(scope="module")
def tensorflow_tls(certificates: Certificates) -> Iterator[TensorFlowServing]:
    with tensorflow.serving(certificates) as server:
        yield server


@pytest.mark.parametrize("scheme", ["https", "grpcs"])
class TestThroughAProxy:
    def test_a_verified_server(self, measure: Measure, tls_proxy: TlsProxy, scheme: str) -> None:
        """A server that the CA file vouches for is measured; its ends of connections are none."""
        options = trusted(tls_proxy.certificates)
        [point] = measure(url_of(tls_proxy, scheme), "-m", "echo", *options, *LONG)
        assert point["requests"] == REQUESTS

    def test_a_client_with_a_certificate(
        self, measure: Measure, tls_proxy: TlsProxy, scheme: str
    ) -> None:
        """Where the server asks for it, the client proves itself, on every new connection."""
        url = url_of(tls_proxy, scheme, mutual=True)
        [point] = measure(url, "-m", "echo", *identified(tls_proxy.certificates), *RECONNECTING)
        assert point["requests"] == MORE_THAN_A_CONNECTION

    def test_a_client_without_its_certificate(
        self, measure: Measure, tls_proxy: TlsProxy, scheme: str
    ) -> None:
        """What nginx says of a client without a certificate is in the error."""
        url = url_of(tls_proxy, scheme, mutual=True)
        options = ("-m", "echo", *trusted(tls_proxy.certificates))
        message, _ = measure.refusal(url, *options, status=1)
        if scheme == "https":
            assert message.startswith(
                "the server does not have the model `echo` ready: "
                f"{url}/v2/models/echo answered 400: <html> <head>"
            )
            assert "No required SSL certificate was sent" in message
        else:
            assert message == (
                f"{url}/ModelReady answered INTERNAL: Received http2 header with status: 400"
            )

    def test_an_unknown_authority(
        self, measure: Measure, tls_proxy: TlsProxy, scheme: str
    ) -> None:
        """Verification is on: a certificate that nobody vouches for is refused, status 1."""
        url = url_of(tls_proxy, scheme)
        message, hint = measure.refusal(url, "-m", "echo", status=1)
        verdict = "no answer from" if scheme == "https" else ""
        assert message.startswith(f"{verdict} {url}".strip())
        assert "CERTIFICATE_VERIFY_FAILED" in message
        assert hint == TLS_HINT

    def test_another_name(self, measure: Measure, tls_proxy: TlsProxy, scheme: str) -> None:
        """The certificate must be for the host, or for the name that was given in its place."""
        url = url_of(tls_proxy, scheme)
        options = ("-m", "echo", *trusted(tls_proxy.certificates), "--server-name")
        measure(url.replace("localhost", "127.0.0.1"), *options, "localhost")
        message, hint = measure.refusal(url, *options, "elsewhere.example", status=1)
        assert url in message
        assert hint == TLS_HINT


def test_no_verification_over_http(measure: Measure, tls_proxy: TlsProxy) -> None:
    """Verification can be turned off."""
    [point] = measure(url_of(tls_proxy, "https"), "-m", "echo", "--no-verify")
    assert point["requests"] >= 64


def test_no_verification_over_grpc(measure: Measure, tls_proxy: TlsProxy) -> None:
    """gRPC always verifies, and what helps is said."""
    assert measure.refusal(url_of(tls_proxy, "grpcs"), "-m", "echo", "--no-verify") == (
        "over gRPC the server's certificate is always verified, but verification is to be off",
        "give the server's own certificate as the CA file",
    )


def test_tls_of_the_engine_alone(measure: Measure, tls_proxy: TlsProxy) -> None:
    """Without a control plane it is the load engine that finds the certificate unknown."""
    url = url_of(tls_proxy, "https")
    options = ("--service-kind", "http", "--path", "/v2/health/ready")
    measure(url, *options, *trusted(tls_proxy.certificates))
    message, hint = measure.refusal(url, *options, status=1)
    assert message.startswith("no request of the warm-up was answered well: tls_failed (")
    assert hint == "check the CA file, and whether the server wants a certificate of the client"


def test_tritons_own_tls(measure: Measure, triton_tls: TritonServer) -> None:
    """Triton's gRPC port may speak TLS itself."""
    url = f"grpcs://{triton_tls.grpc_target}"
    message, hint = measure.refusal(url, "-m", "echo", status=1)
    assert message.startswith(f"{url} is unavailable: ")
    assert hint == TLS_HINT


def test_tritons_own_tls_verified(
    measure: Measure, triton_tls: TritonServer, certificates: Certificates
) -> None:
    """It is verified as any other."""
    url = f"grpcs://{triton_tls.grpc_target}"
    [point] = measure(url, "-m", "echo", "--concurrency", "8", *trusted(certificates))
    assert point["requests"] >= 64
    [point] = measure(url, "-m", "echo", "--streaming", *trusted(certificates))
    assert point["requests"] >= 64


def test_tritons_own_mutual_tls(
    measure: Measure, triton_mutual_tls: TritonServer, certificates: Certificates
) -> None:
    """It may want the client's certificate."""
    url = f"grpcs://{triton_mutual_tls.grpc_target}"
    measure(url, "-m", "echo", *identified(certificates))
    message, hint = measure.refusal(url, "-m", "echo", *trusted(certificates), status=1)
    assert message.startswith(f"{url} is unavailable: ")
    assert hint == TLS_HINT


@pytest.mark.parametrize("scheme", ["https", "grpcs"])
def test_tensorflow_serving(
    measure: Measure, tensorflow_tls: TensorFlowServing, certificates: Certificates, scheme: str
) -> None:
    """TensorFlow Serving is verified, and called by another name, as Triton is."""
    port = tensorflow_tls.rest_port if scheme == "https" else tensorflow_tls.grpc_port
    url = f"{scheme}://localhost:{port}"
    options = ("--service-kind", "tfserving", "-m", tensorflow.MODEL)
    measure(url, *options, *trusted(certificates), "--server-name", "localhost")
    message, _ = measure.refusal(url, *options, status=1)
    assert message.startswith(f"no answer from {url}/")
    assert "CERTIFICATE_VERIFY_FAILED" in message
    elsewhere = (*trusted(certificates), "--server-name", "elsewhere.example")
    message, _ = measure.refusal(url, *options, *elsewhere, status=1)
    assert message.startswith(f"no answer from {url}/")


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
def test_unix_sockets(
    measure: Measure, tls_proxy: TlsProxy, protocol: str, *, secure: bool
) -> None:
    """A Unix socket takes the place of host and port; nobody knows which process is behind it."""
    sockets: dict[tuple[str, bool], Path] = {
        ("http", False): tls_proxy.http_socket,
        ("http", True): tls_proxy.https_socket,
        ("grpc", False): tls_proxy.grpc_socket,
        ("grpc", True): tls_proxy.grpcs_socket,
    }
    url = f"{protocol}{'s' * secure}://localhost"
    options = trusted(tls_proxy.certificates) if secure else ()
    socket = str(sockets[protocol, secure])
    [point] = measure(url, "-m", "echo", "--unix-socket", socket, *options, *RECONNECTING)
    assert point["server"]["process"] is None
    assert point["server"]["inferences"] == MORE_THAN_A_CONNECTION


def test_a_socket_that_is_not_there(measure: Measure) -> None:
    """A socket that is none is named."""
    options = ("-m", "echo", "--unix-socket", "nowhere.sock")
    assert measure.refusal("http://localhost", *options) == (
        "`--unix-socket nowhere.sock` is no socket",
        "check that the server listens on it",
    )
