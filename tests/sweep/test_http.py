"""The service of any HTTP requests."""

from pathlib import Path

import pytest

from tests.refusals import refused
from tuner.load.profile import Endpoint
from tuner.protocols.checks import JsonPathCheck
from tuner.sweep.http import HttpForm, http_service, read_bodies

ENDPOINT = Endpoint("127.0.0.1", 9)


def test_a_request_for_each_body() -> None:
    """The requests differ in their bodies alone; every 2xx is a success."""
    form = HttpForm(
        method="PUT",
        path="/a?b=c",
        headers={"X-Run": "7"},
        bodies=(b"one", b"two"),
        content_type="text/plain",
    )
    with http_service(ENDPOINT, form) as service:
        first, second = service.requests.payloads
        assert service.statistics() is None
    assert first.startswith(b"PUT /a?b=c HTTP/1.1\r\n")
    assert b"\r\nX-Run: 7\r\n" in first
    assert b"\r\nContent-Type: text/plain\r\n" in first
    assert second == first.removesuffix(b"one") + b"two"
    assert {200, 204, 299} <= service.requests.statuses
    assert not {199, 300, 404} & service.requests.statuses
    assert service.requests.check is None


def test_a_content_type_of_ones_own() -> None:
    """A header goes before the content type."""
    form = HttpForm(headers={"content-type": "a/b"}, content_type="text/plain")
    [payload] = http_service(ENDPOINT, form).requests.payloads
    assert payload.lower().count(b"content-type") == 1
    assert b"a/b" in payload


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("$.a", JsonPathCheck("$.a")),
        ('$.a="x=y"', JsonPathCheck("$.a", '"x=y"')),
        ("$[0]=1", JsonPathCheck("$[0]", "1")),
    ],
)
def test_a_json_path(text: str, check: JsonPathCheck) -> None:
    """What follows the first `=` is the value that is expected."""
    assert http_service(ENDPOINT, HttpForm(json_path=text)).requests.check == check


def test_bodies(tmp_path: Path) -> None:
    """Files are read as they are; one that cannot be is named."""
    (tmp_path / "a").write_bytes(b"\0\xff")
    assert read_bodies([tmp_path / "a"]) == (b"\0\xff",)
    with refused(f"`--body {tmp_path}` cannot be read: Is a directory", "give a file"):
        read_bodies([tmp_path / "a", tmp_path])
