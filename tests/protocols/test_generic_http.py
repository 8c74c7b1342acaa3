"""Any HTTP request, and the content of its response."""

import gzip
import zlib
from http.server import BaseHTTPRequestHandler
from io import BytesIO

import pytest

from tests.refusals import refused
from tuner.load.profile import Endpoint
from tuner.protocols import content, generic_http

ENDPOINT = Endpoint("127.0.0.1", 8000)
GZIPPED = gzip.compress(b"content", mtime=0)  # without the time: it names a test


class Understood(BaseHTTPRequestHandler):
    """A request as the standard library's server understands it."""

    def __init__(self, request: bytes) -> None:
        self.rfile = BytesIO(request)
        self.raw_requestline = self.rfile.readline()
        assert self.parse_request()

    def parts(self) -> tuple[str, str, dict[str, str], bytes]:
        headers = {name.lower(): value for name, value in self.headers.items()}
        return self.command, self.path, headers, self.rfile.read()


def test_a_server_understands_the_request() -> None:
    """Method, path with its query, headers and body arrive as they were given."""
    put = generic_http.prepare(
        ENDPOINT,
        "/a%20b?c=1",
        method="PUT",
        headers={"X-Key": "a: b", "host": "model.example"},
        body=b"\0\xff",
    )
    assert Understood(put).parts() == (
        "PUT",
        "/a%20b?c=1",
        {"host": "model.example", "x-key": "a: b", "content-length": "2"},
        b"\0\xff",
    )
    get = generic_http.prepare(ENDPOINT, "/", method="GET")
    headers = {"host": ENDPOINT.authority, "content-length": "0"}
    assert Understood(get).parts() == ("GET", "/", headers, b"")


def test_any_status_of_200_to_299_is_a_success() -> None:
    """Unless the user names statuses."""
    assert sorted(generic_http.SUCCESS_STATUSES) == list(range(200, 300))


@pytest.mark.parametrize("method", ["HEAD", "CONNECT", "get", "", "G T"])
def test_a_method_whose_answer_has_a_body(method: str) -> None:
    """Of others, the end of the answer could not be seen."""
    with refused(
        f"requests cannot have the method `{method}`",
        "for example `GET`, `POST` or `PUT`; not `HEAD` and `CONNECT`",
    ):
        generic_http.prepare(ENDPOINT, "/", method=method)


@pytest.mark.parametrize("path", ["", "a", "/a b", "/ä", "/a\r\nb", "/a\n"])
def test_a_path_is_one_word_of_ascii(path: str) -> None:
    """What is more would be another request."""
    with refused(
        f"requests cannot have the path `{path}`",
        "it begins with `/`; write blanks and other special characters as %20 and so on",
    ):
        generic_http.prepare(ENDPOINT, path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("", "x"), ("a b", "x"), ("ä", "x"), ("a", "ä"), ("a", "b\r\nc: d"), ("a", "b\n")],
)
def test_a_header_is_one_line_of_ascii(name: str, value: str) -> None:
    """What is more would be another header."""
    with refused(
        f"requests cannot have the header `{name if name == 'a' else '***'}: ***`",
        "a name of letters, digits and `-`; a value of one line, in ASCII",
    ):
        generic_http.prepare(ENDPOINT, "/", headers={name: value})


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding"])
def test_framing_is_not_for_the_user(name: str) -> None:
    """Where a request ends is known without being told."""
    with refused(
        f"requests cannot have a header `{name}` of their own", "it is set as it must be"
    ):
        generic_http.prepare(ENDPOINT, "/", headers={name: "1"})


def test_a_header_is_found_in_a_head() -> None:
    """In whatever case; and only as a header."""
    head = b"HTTP/1.1 200 x-a: no\r\nX-b: x-a: no\r\nX-A:  Yes \r\n\r\n"
    assert content.header(head, "x-A") == "yes"
    assert content.header(head, "x-c") == ""


def test_content_is_decoded() -> None:
    """gzip and deflate (which is zlib's format), or nothing at all."""
    for coding, body in (
        (b"gzip", GZIPPED),
        (b"X-Gzip", GZIPPED),
        (b"deflate", zlib.compress(b"content")),
        (b"identity", b"content"),
    ):
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: " + coding + b"\r\n\r\n"
        assert content.decoded(head, body) == b"content"
    assert content.decoded(b"HTTP/1.1 200 OK\r\n\r\n", b"content") == b"content"


@pytest.mark.parametrize(
    ("coding", "body", "complaint"),
    [
        (b"br", b"", "a response in the content coding `br`"),
        (b"gzip", b"oops", "a response that is not gzip: "),
        (
            b"gzip",
            GZIPPED[:-1],
            "a gzip response that is cut short, or of over 100 ",
        ),
        (b"deflate", zlib.compress(bytes(101)), "a deflate response .* of over 100 bytes"),
    ],
)
def test_content_that_cannot_be_decoded_is_refused(
    coding: bytes, body: bytes, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few bytes cannot make us fill the memory."""
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: " + coding + b"\r\n\r\n"
    monkeypatch.setattr(content, "_MOST_BYTES", 100)
    with pytest.raises(ValueError, match=complaint):
        content.decoded(head, body)
