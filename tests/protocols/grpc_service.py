"""A gRPC server of one method, on plain bytes."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc


@contextmanager
def serving_method(
    path: str, answer: Callable[[bytes, grpc.ServicerContext], bytes]
) -> Iterator[str]:
    """The address where `answer` answers the calls of the method `path`, `/SERVICE/METHOD`."""
    service, method = path[1:].split("/")
    handler = grpc.method_handlers_generic_handler(
        service, {method: grpc.unary_unary_rpc_method_handler(answer)}
    )
    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool, handlers=[handler])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()
