"""`tuner measure --service-kind http`: requests of any kind, to real servers."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.measuring import Measure
from tests.servers.triton import TritonServer

KIND = ("--service-kind", "http")


@dataclass
class Seen:
    """What the server was sent; every second request to /every-second is one too many."""

    url: str
    requests: list[tuple[str, str, str, bytes]] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    seen: Seen

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = f"{self.headers['X-Run']} {self.headers['Content-Type']}"
        self.seen.requests.append((self.command, self.path, headers, body))
        found = self.path != "/every-second" or len(self.seen.requests) % 2
        answer = b'{"result": [{"label": "cat"}]}'
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_PUT = do_GET  # noqa: N815 - their names there

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Seen]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as http:
        seen = Seen(f"http://127.0.0.1:{http.server_address[1]}")
        http.RequestHandlerClass = type("Handler", (_Handler,), {"seen": seen})
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield seen
        finally:
            http.shutdown()
            thread.join()


def test_get(measure: Measure, server: Seen) -> None:
    """Without a body, requests are GET; the path has its query."""
    measure(server.url, *KIND, "--path", "/labels?top=1", "-H", "X-Run: 7")
    assert {each[:2] for each in server.requests} == {("GET", "/labels?top=1")}
    assert {each[2].split()[0] for each in server.requests} == {"7"}


def test_post_bodies_in_turn(measure: Measure, server: Seen, tmp_path: Path) -> None:
    """With bodies, requests are POST, or what one likes, and carry one after the other."""
    bodies = [tmp_path / "a", tmp_path / "b"]
    for path in bodies:
        path.write_text(path.name * 3)
    options = [word for path in bodies for word in ("--body", str(path))]
    measure(server.url, *KIND, *options, "--content-type", "text/plain")
    assert {each[0] for each in server.requests} == {"POST"}
    assert {each[2].split()[1] for each in server.requests} == {"text/plain"}
    assert [each[3] for each in server.requests[-64:]] == [b"aaa", b"bbb"] * 32

    measure(server.url, *KIND, *options, "--method", "PUT")
    assert {each[0] for each in server.requests[-64:]} == {"PUT"}


@pytest.mark.parametrize("path", ["$.result[0].label", '$.result[0].label="cat"', "$"])
def test_a_json_path(measure: Measure, server: Seen, path: str) -> None:
    """Success may be judged by what is at a path of the answer."""
    [point] = measure(server.url, *KIND, "--json-path", path)
    assert point["requests"] == 64


@pytest.mark.parametrize("path", ["$.label", '$.result[0].label="dog"', "$.result[1]"])
def test_a_json_path_that_is_not_there(measure: Measure, server: Seen, path: str) -> None:
    """An answer without it is wrong; if all are, that is said."""
    message, hint = measure.refusal(server.url, *KIND, "--json-path", path, status=1)
    assert message.startswith("no request of the warm-up was answered well: wrong_output (")
    assert hint == "compare the server's answers with the validation data, or the JSON path"


def test_statuses_are_counted(measure: Measure, server: Seen) -> None:
    """A status that is none of success is a failed request, by its number."""
    [point] = measure.points(server.url, *KIND, "--path", "/every-second")
    assert point["errors"] == {"http_404": 32}
    assert point["requests"] == 64


def test_nothing_but_404(measure: Measure, triton_server: TritonServer) -> None:
    """A path that is never there is refused with what came."""
    message, hint = measure.refusal(triton_server.http_url, *KIND, "--path", "/nowhere", status=1)
    assert message.startswith("no request of the warm-up was answered well: http_404 (")
    assert hint == "check URL, protocol and model, and see the server's log"


def test_a_real_server(measure: Measure, triton_server: TritonServer) -> None:
    """The model's name is a label here, not a part of the request."""
    options = ("-m", "add_sub", "--path", "/v2/models/add_sub", "--json-path", '$.name="add_sub"')
    [point] = measure(triton_server.http_url, *KIND, *options)
    assert point["server"]["process"]["name"] == "tritonserver"


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        (
            ("--method", "HEAD"),
            "requests cannot have the method `HEAD`",
            "for example `GET`, `POST` or `PUT`; not `HEAD` and `CONNECT`",
        ),
        (
            ("--path", "labels"),
            "requests cannot have the path `labels`",
            "it begins with `/`; write blanks and other special characters as %20 and so on",
        ),
        (
            ("--json-path", "label"),
            "`label` is no path into JSON",
            "for example `$.result[0].label`",
        ),
        (
            ("--json-path", "$.label=cat"),
            "the value expected at `$.label` must be JSON, but it is `cat`",
            'strings need quotation marks: `"cat"`',
        ),
        (
            ("--body", "nowhere"),
            "`--body nowhere` cannot be read: No such file or directory",
            "give a file",
        ),
    ],
    ids=["method", "path", "JSON path", "value", "body"],
)
def test_requests_that_cannot_be_sent(
    measure: Measure, server: Seen, options: tuple[str, ...], message: str, hint: str
) -> None:
    """What cannot be sent is refused before anything was."""
    assert measure.refusal(server.url, *KIND, *options) == (message, hint)
    assert server.requests == []


def test_over_grpc(measure: Measure) -> None:
    """gRPC is not spoken in requests of any kind."""
    assert measure.refusal("grpc://127.0.0.1:8001", *KIND) == (
        "`--service-kind http` is spoken over HTTP",
        "give an http:// or https:// URL",
    )
