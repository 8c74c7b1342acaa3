"""V2 servers that answer every request in one way, over real HTTP and real gRPC."""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer
from ssl import SSLContext
from typing import Any

import grpc
from tritonclient.grpc import service_pb2

Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def misbehaving(answer: Answer, *, tls: SSLContext | None = None) -> Iterator[str]:
    """The URL of a server that gives `answer` to every request."""
    with ThreadingHTTPServer(("127.0.0.1", 0), answering(answer)) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        with serving(server):
            yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"


@contextmanager
def serving(server: BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


def answering(answer: Answer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    return Handler


def says(body: bytes, *, status: int = 200) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def closes(_handler: BaseHTTPRequestHandler) -> None:
    """Say nothing at all."""


@contextmanager
def answering_grpc(
    methods: Mapping[str, Callable[[Any, Any], Any]], *, address: str = "127.0.0.1:0"
) -> Iterator[int]:
    """The port of a server whose V2 service has these methods, and no others."""
    handlers = {name: _handler(name, method) for name, method in methods.items()}
    with serving_grpc("inference.GRPCInferenceService", handlers, address) as port:
        yield port


@contextmanager
def serving_grpc(
    service: str, handlers: Mapping[str, Any], address: str, credentials: Any = None
) -> Iterator[int]:
    """The port of a server of one service; with credentials it speaks TLS."""
    with ThreadPoolExecutor() as pool:
        server = grpc.server(pool)
        server.add_registered_method_handlers(service, handlers)
        if credentials:
            port = server.add_secure_port(address, credentials)
        else:
            port = server.add_insecure_port(address)
        server.start()
        try:
            yield port
        finally:
            server.stop(None).wait()


def _handler(name: str, method: Callable[[Any, Any], Any]) -> Any:
    return grpc.unary_unary_rpc_method_handler(
        method,
        request_deserializer=getattr(service_pb2, f"{name}Request").FromString,
        response_serializer=lambda answer: answer.SerializeToString(),
    )
