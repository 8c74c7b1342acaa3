"""The gRPC connection against grpcio's server: requests end as those of grpcio's client do."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import grpc
import pytest

from tests.load.grpc.grpc_owner import KeepingCheck, connected, in_event_loop
from tuner.load.requests import GrpcCall

LIMITS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
ECHO = "/test.Service/Echo"


@dataclass
class Service:
    """Methods on plain bytes; `Wait` answers when it, or another call, has been `cancelled`."""

    port: int = 0
    stop: Callable[[float], object] = print
    metadata: dict[str, str | bytes] = field(default_factory=dict)
    waiting: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler | None:
        self.metadata = dict(handler_call_details.invocation_metadata or ())
        name = handler_call_details.method.rpartition("/")[2]
        if name in ("Count", "EndAfterTwo"):
            handler = self.count if name == "Count" else self.end_after_two
            return grpc.stream_stream_rpc_method_handler(handler)
        unary = {"Echo": self.echo, "Abort": self.abort, "Raise": self.fail, "Wait": self.wait}
        return grpc.unary_unary_rpc_method_handler(unary[name]) if name in unary else None

    def echo(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        return request

    def abort(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(list(grpc.StatusCode)[int(request)], "as you wish")
        return b""

    def fail(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        raise ValueError("as you wish")

    def wait(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        context.add_callback(self.cancelled.set)
        self.waiting.set()
        self.cancelled.wait(10)
        return request

    def count(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        """As many messages as a request says, the last of which is `0`."""
        context.add_callback(self.cancelled.set)
        for request in requests:
            for number in range(int(request) - 1, -1, -1):
                yield b"%d" % number

    def end_after_two(
        self, requests: Iterator[bytes], context: grpc.ServicerContext
    ) -> Iterator[bytes]:
        for _ in range(2):
            yield next(requests)


@dataclass(frozen=True)
class Countdown:
    """The rule of the `Count` method."""

    def ends(self, message: bytes) -> str | None:
        if message == b"13":
            return "unlucky"
        return "" if message == b"0" else None


COUNT = GrpcCall("/test.Service/Count", stream=Countdown())


@pytest.fixture
def service() -> Iterator[Service]:
    served = Service()
    with ThreadPoolExecutor(8) as pool:
        server = grpc.server(pool, options=LIMITS)
        server.add_generic_rpc_handlers((served,))
        served.port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        served.stop = server.stop
        yield served
        served.cancelled.set()
        server.stop(None).wait()


def theirs(service: Service, path: str, request: bytes) -> tuple[str, bytes]:
    """What grpcio's client makes of a request: the kind of failure, the message."""
    with grpc.insecure_channel(f"127.0.0.1:{service.port}", options=LIMITS) as channel:
        try:
            return "", channel.unary_unary(path)(request, timeout=10)
        except grpc.RpcError as error:
            return f"grpc_{error.code().name.lower()}", b""


async def ours(service: Service, path: str, request: bytes) -> tuple[str, bytes]:
    check = KeepingCheck()
    async with connected(service.port, GrpcCall(path), check=check) as (owner, connection):
        first = await owner.outcome(connection.lanes[0], request)
        assert await owner.outcome(connection.lanes[0], request) == first
        return first[1], check.last[2]


REQUESTS = {
    "nothing": (ECHO, b""),
    "a small message": (ECHO, b"hello"),
    "a message of one frame": (ECHO, bytes(16_384)),
    "a message beyond the first window": (ECHO, bytes(range(256)) * 300),
    "10 MB": (ECHO, bytes(range(256)) * 40_000),
    "an unknown method": ("/test.Service/Nothing", b""),
    "an exception": ("/test.Service/Raise", b""),
    **{f"status {n}": ("/test.Service/Abort", b"%d" % n) for n in range(1, 17)},
}


@pytest.mark.parametrize("name", REQUESTS)
@in_event_loop
async def test_requests_end_as_they_do_with_grpcio(name: str, service: Service) -> None:
    """The same message comes back, or the same status."""
    path, request = REQUESTS[name]
    reference = await asyncio.to_thread(theirs, service, path, request)
    assert await ours(service, path, request) == reference


@in_event_loop
async def test_many_streams_share_a_connection(service: Service) -> None:
    """Each lane gets its own answers, however many are under way."""
    check = KeepingCheck()
    call = GrpcCall(ECHO)
    async with connected(service.port, call, streams=50, check=check) as (owner, connection):
        assert len(connection.lanes) == 50
        for number, lane in enumerate(connection.lanes):
            lane.payload = number
            owner.send(lane, b"%d" % number)
        owner.again = [b"%d" % number for number in range(500)]
        ends = [await owner.told.get() for _ in range(550)]
        assert {each.kind for each in ends} == {""}
        assert connection.sender.last_stream == 2 * 550 - 1


@in_event_loop
async def test_a_check_sees_the_message(service: Service) -> None:
    """It gets the request's position in its set and the message, and its word is the outcome."""
    check = KeepingCheck("wrong_output")
    async with connected(service.port, GrpcCall(ECHO), check=check) as (owner, connection):
        lane = connection.lanes[0]
        lane.payload = 7
        assert await owner.outcome(lane, b"hello") == (True, "wrong_output")
    assert check.last == (7, b"", b"hello")


@in_event_loop
async def test_metadata_arrives(service: Service) -> None:
    """Under `-bin` keys it is bytes; grpcio decodes them."""
    call = GrpcCall(ECHO, {"x-tenant": "a, b", "x-trace-bin": "\xfc"})
    async with connected(service.port, call) as (owner, connection):
        assert await owner.outcome(connection.lanes[0]) == (True, "")
    assert service.metadata["x-tenant"] == "a, b"
    assert service.metadata["x-trace-bin"] == "\xfc".encode()
    assert service.metadata["user-agent"] == "serving-tuner"


@in_event_loop
async def test_the_server_hears_of_a_cancelled_request(service: Service) -> None:
    """A timeout frees the server; the connection carries the next request."""
    call = GrpcCall("/test.Service/Wait")
    async with connected(service.port, call) as (owner, connection):
        lane = connection.lanes[0]
        owner.send(lane, b"")
        assert await asyncio.to_thread(service.waiting.wait, 10)
        lane.cancel("timeout")
        assert await owner.next(lane) == (True, "timeout")
        assert await asyncio.to_thread(service.cancelled.wait, 10)
        assert await owner.outcome(lane) == (True, "")


@in_event_loop
async def test_the_time_of_an_answer_in_pieces_is_kept(service: Service) -> None:
    """`first_bytes_s` is when the first of several pieces came, and 0 when there was one."""
    async with connected(service.port, GrpcCall(ECHO)) as (owner, connection):
        small, large = connection.lanes
        assert await owner.outcome(small, b"x") == (True, "")
        began_s = time.monotonic()
        assert await owner.outcome(large, bytes(5_000_000)) == (True, "")
        assert began_s < large.first_bytes_s < time.monotonic()
        assert small.first_bytes_s == 0.0


@in_event_loop
async def test_a_stream_carries_all_requests_of_a_lane(service: Service) -> None:
    """Each request ends with the answer that the rule says ends it."""
    check = KeepingCheck()
    async with connected(service.port, COUNT, check=check) as (owner, connection):
        for request in (b"1", b"3", b"1", b"12"):
            for lane in connection.lanes:
                assert await owner.outcome(lane, request) == (True, "")
        assert await owner.outcome(connection.lanes[0], b"20") == (True, "unlucky")
        assert connection.sender.last_stream == 3
        assert check.last == (0, b"", b"0")


@in_event_loop
async def test_large_requests_go_through_a_stream(service: Service) -> None:
    """Flow control is that of unary calls."""
    call = GrpcCall("/test.Service/EndAfterTwo", stream=AnyAnswer())
    async with connected(service.port, call) as (owner, connection):
        for _ in range(2):
            assert await owner.outcome(connection.lanes[0], bytes(5_000_000)) == (True, "")


class AnyAnswer:
    """Each request has one answer."""

    def ends(self, message: bytes) -> str | None:
        return ""


@in_event_loop
async def test_a_stream_that_the_server_ends_is_opened_again(service: Service) -> None:
    """An end between requests is no fault."""
    call = GrpcCall("/test.Service/EndAfterTwo", stream=AnyAnswer())
    async with connected(service.port, call, streams=1) as (owner, connection):
        lane = connection.lanes[0]
        for number in range(1, 4):
            assert await owner.outcome(lane, b"x") == (True, "")
            assert await owner.outcome(lane, b"x") == (True, "")
            while connection.streams:
                await asyncio.sleep(0.001)
            assert connection.sender.last_stream == 2 * number - 1
        assert owner.told.empty()


@in_event_loop
async def test_cancelling_ends_the_stream(service: Service) -> None:
    """What the stream still had to say is not taken for the next request's answer."""
    check = KeepingCheck()
    async with connected(service.port, COUNT, streams=1, check=check) as (owner, connection):
        lane = connection.lanes[0]
        assert await owner.outcome(lane, b"1") == (True, "")
        lane.cancel("timeout")
        assert owner.told.empty()
        owner.send(lane, b"1000000")
        lane.cancel("timeout")
        assert await owner.next(lane) == (True, "timeout")
        assert await owner.outcome(lane, b"2") == (True, "")
        assert await asyncio.to_thread(service.cancelled.wait, 10)


@in_event_loop
async def test_a_server_that_stops_politely_loses_nothing(service: Service) -> None:
    """grpcio's GOAWAY: what is in flight is answered, and then the connection closes."""
    call = GrpcCall("/test.Service/Wait")
    async with connected(service.port, call) as (owner, connection):
        busy, idle = connection.lanes
        owner.send(busy, b"")
        assert await asyncio.to_thread(service.waiting.wait, 10)
        service.stop(10)
        assert (await owner.told.get()) == (idle, False, "goaway")
        service.cancelled.set()
        assert await owner.next(busy) == (True, "")
        assert not busy.usable
        assert connection.is_closing()
