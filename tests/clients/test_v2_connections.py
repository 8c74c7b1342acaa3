"""How the control plane is reached: custom headers, Unix sockets, TLS; over HTTP and gRPC."""

import gc
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Any

import pytest

from tests.clients.v2_calls import endpoint_of, ready
from tests.servers.certificates import Certificates
from tests.targets.answering import answering, answering_grpc, misbehaving, says, serving
from tuner.clients.v2_address import V2Address
from tuner.clients.v2_http import V2Client
from tuner.errors import InputError, ServerError
from tuner.load.profile import Endpoint, TlsSettings
from tuner.protocols.v2 import V2Protocol


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


class TestTls:
    """What is verified, and as whom, is proved with real servers in test_measure_tls."""

    def test_https_url(self, certificates: Certificates) -> None:
        """An https:// URL says the same as an endpoint with TLS."""
        tls = SSLContext(PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificates.server_certificate, certificates.server_key)
        with (
            misbehaving(says(b""), tls=tls) as url,
            V2Client(url) as client,
            pytest.raises(ServerError, match="CERTIFICATE_VERIFY_FAILED"),
        ):
            client.ready("m")

    @pytest.mark.parametrize("protocol", V2Protocol)
    def test_unusable_file(self, protocol: V2Protocol, tmp_path: Path) -> None:
        """A file that cannot be read is told at once."""
        tls = TlsSettings(tmp_path / "ca.pem")
        with pytest.raises(InputError, match=r"certificates cannot be used: .*No such file"):
            V2Address(Endpoint("127.0.0.1", 1, tls), protocol).control()
