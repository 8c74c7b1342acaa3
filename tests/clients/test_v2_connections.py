"""How the control plane is reached: custom headers, Unix sockets, TLS; over HTTP and gRPC."""

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from ssl import CERT_REQUIRED, PROTOCOL_TLS_SERVER, SSLContext
from typing import Any

import grpc
import pytest

from tests.clients.v2_calls import endpoint_of, ready
from tests.refusals import refused
from tests.servers.certificates import Certificates
from tests.targets.answering import answering, answering_grpc, misbehaving, says, serving
from tuner.clients.v2_address import V2Address
from tuner.clients.v2_http import V2Client
from tuner.errors import InputError, ServerError
from tuner.load.profile import Endpoint, TlsSettings
from tuner.protocols.v2 import V2Protocol

TLS_HINT = (
    "check that the server speaks TLS there, and that the CA file holds what its certificate "
    "was signed with"
)
both = pytest.mark.parametrize("protocol", V2Protocol)


class TestHeaders:
    def test_http(self) -> None:
        """Custom headers go with every request."""
        seen: list[str | None] = []

        def answer(handler: BaseHTTPRequestHandler) -> None:
            seen.append(handler.headers["Authorization"])
            says(b"")(handler)

        with misbehaving(answer) as url:
            address = V2Address(endpoint_of(url), headers={"Authorization": "Bearer x"})
            with address.control() as control:
                control.ready("m")
                control.load("m", "{}")
        assert seen == ["Bearer x", "Bearer x"]

    def test_grpc(self) -> None:
        """They are metadata there, whose names are in lower case."""
        seen: list[str | None] = []

        def answer(_request: Any, context: Any) -> Any:
            seen.append(dict(context.invocation_metadata()).get("authorization"))
            return ready(_request, context)

        with answering_grpc({"ModelReady": answer}) as port:
            headers = {"Authorization": "Bearer x"}
            address = V2Address(Endpoint("127.0.0.1", port), V2Protocol.GRPC, headers)
            with address.control() as control:
                assert control.ready("m")
        assert seen == ["Bearer x"]


class TestUnixSocket:
    def test_http(self, tmp_path: Path) -> None:
        """A server on a Unix socket is asked there; host and port are only named to it."""
        seen: list[str | None] = []

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.client_address = ("", 0)
            seen.append(handler.headers["Host"])
            says(b"")(handler)

        path = tmp_path / "socket"
        with (
            ThreadingUnixStreamServer(str(path), answering(answer)) as server,
            serving(server),
            V2Address(Endpoint("server", 8000, unix_socket=path)).control() as control,
        ):
            assert control.ready("m")
        assert seen == ["server:8000"]

    def test_grpc(self, tmp_path: Path) -> None:
        """Over gRPC, too."""
        path = tmp_path / "socket"
        address = V2Address(Endpoint("server", 80, unix_socket=path), V2Protocol.GRPC)
        with (
            answering_grpc({"ModelReady": ready}, address=f"unix:{path}"),
            address.control() as control,
        ):
            assert control.ready("m")

    # httpcore does not close a Unix socket that could not be connected.
    @pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
    def test_nobody_listens_http(self, tmp_path: Path) -> None:
        """The message names the socket."""
        path = tmp_path / "socket"
        with V2Address(Endpoint("server", 80, unix_socket=path)).control() as control:
            with pytest.raises(ServerError) as caught:
                control.ready("m")
            message = str(caught.value)
            del caught
            gc.collect()  # the warning must come here
        assert message == f"no answer from unix:{path}: [Errno 2] No such file or directory"

    def test_nobody_listens_grpc(self, tmp_path: Path) -> None:
        """The same over gRPC."""
        path = tmp_path / "socket"
        address = V2Address(Endpoint("server", 80, unix_socket=path), V2Protocol.GRPC)
        with address.control() as control, pytest.raises(ServerError) as caught:
            control.ready("m")
        assert str(caught.value).startswith(
            f"unix:{path} is unavailable: failed to connect to all addresses"
        )


@contextmanager
def tls_server(
    protocol: V2Protocol, certificates: Certificates, *, mutual: bool = False
) -> Iterator[int]:
    """The port of a server that says that every model is ready."""
    if protocol is V2Protocol.HTTP:
        context = http_credentials(certificates, mutual=mutual)
        with misbehaving(says(b""), tls=context) as url:
            yield endpoint_of(url).port
    else:
        credentials = grpc_credentials(certificates, mutual=mutual)
        with answering_grpc({"ModelReady": ready}, credentials=credentials) as port:
            yield port


def http_credentials(certificates: Certificates, *, mutual: bool) -> SSLContext:
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server_certificate, certificates.server_key)
    if mutual:
        context.load_verify_locations(certificates.ca_certificate)
        context.verify_mode = CERT_REQUIRED
    return context


def grpc_credentials(certificates: Certificates, *, mutual: bool) -> Any:
    pair = certificates.server_key.read_bytes(), certificates.server_certificate.read_bytes()
    clients = certificates.ca_certificate.read_bytes() if mutual else None
    return grpc.ssl_server_credentials([pair], clients, mutual)


class TestTls:
    @both
    def test_verified(self, protocol: V2Protocol, certificates: Certificates) -> None:
        """The server's certificate is believed if the CA file holds who signed it."""
        tls = TlsSettings(certificates.ca_certificate)
        with tls_server(protocol, certificates) as port:
            assert is_ready(port, tls, protocol)

    @pytest.mark.parametrize(
        ("protocol", "message"),
        [
            ("http", "no answer from https://127.0.0.1:{port}: .*CERTIFICATE_VERIFY_FAILED.*"),
            ("grpc", "grpcs://127.0.0.1:{port} is unavailable: .*CERTIFICATE_VERIFY_FAILED.*"),
        ],
    )
    def test_not_believed(self, protocol: str, message: str, certificates: Certificates) -> None:
        """By default only what the system believes is believed."""
        spoken = V2Protocol(protocol)
        with tls_server(spoken, certificates) as port, pytest.raises(ServerError) as caught:
            is_ready(port, TlsSettings(), spoken)
        assert re.fullmatch(message.format(port=port), str(caught.value))
        assert caught.value.hint == TLS_HINT

    def test_https_url(self, certificates: Certificates) -> None:
        """An https:// URL says the same as an endpoint with TLS."""
        with (
            tls_server(V2Protocol.HTTP, certificates) as port,
            V2Client(f"https://127.0.0.1:{port}") as client,
            pytest.raises(ServerError, match="CERTIFICATE_VERIFY_FAILED"),
        ):
            client.ready("m")

    def test_not_verified(self, certificates: Certificates) -> None:
        """Without verification any certificate will do over HTTP."""
        with tls_server(V2Protocol.HTTP, certificates) as port:
            assert is_ready(port, TlsSettings(verify=False))

    def test_always_verified(self) -> None:
        """Over gRPC there is no way to do without."""
        endpoint = Endpoint("127.0.0.1", 1, TlsSettings(verify=False))
        message = (
            "over gRPC the server's certificate is always verified, but verification is to be off"
        )
        with refused(message, "give the server's own certificate as the CA file"):
            V2Address(endpoint, V2Protocol.GRPC).control()

    @both
    def test_server_name(self, protocol: V2Protocol, certificates: Certificates) -> None:
        """The certificate must be for the host, or for the name that is given in its place."""
        tls = TlsSettings(certificates.ca_certificate, server_name="other")
        with tls_server(protocol, certificates) as port:
            with pytest.raises(ServerError):
                is_ready(port, tls, protocol)
            assert is_ready(port, replace(tls, server_name="localhost"), protocol)

    @both
    def test_client_certificate(self, protocol: V2Protocol, certificates: Certificates) -> None:
        """A server that wants to know its clients is shown the client's certificate."""
        unknown = TlsSettings(certificates.ca_certificate)
        known = replace(
            unknown, certificate=certificates.client_certificate, key=certificates.client_key
        )
        with tls_server(protocol, certificates, mutual=True) as port:
            assert is_ready(port, known, protocol)
            with pytest.raises(ServerError):
                is_ready(port, unknown, protocol)

    @both
    def test_unusable_file(self, protocol: V2Protocol, tmp_path: Path) -> None:
        """A file that cannot be read is told at once."""
        tls = TlsSettings(tmp_path / "ca.pem")
        with pytest.raises(InputError, match=r"certificates cannot be used: .*No such file"):
            V2Address(Endpoint("127.0.0.1", 1, tls), protocol).control()


def is_ready(port: int, tls: TlsSettings, protocol: V2Protocol = V2Protocol.HTTP) -> bool:
    with V2Address(Endpoint("127.0.0.1", port, tls), protocol).control() as control:
        return control.ready("m")
