"""Errors of the interface are problem details (RFC 9457), and its document names them."""

import json
from typing import Any

import httpx
import pytest

from tests.service.watched import waiting
from tuner.errors import StorageError
from tuner.service.service import Service


def told(response: httpx.Response) -> tuple[int, str, str, str]:
    assert response.headers["content-type"] == "application/problem+json"
    said = response.json()
    assert said["status"] == response.status_code
    return said["status"], said["title"], said["detail"], said["hint"]


def test_nothing_is_there(client: httpx.Client) -> None:
    assert told(client.get("/api/v1/nope")) == (
        404,
        "Not Found",
        "there is nothing at `/api/v1/nope`",
        "/api/v1/openapi.json lists what is",
    )


def test_it_cannot_be_done_there(client: httpx.Client) -> None:
    """What can be is said, of all routes of the address."""
    refused = client.delete("/api/v1/jobs")
    assert told(refused) == (
        405,
        "Method Not Allowed",
        "`DELETE` cannot be done here",
        "what can be done: GET, POST",
    )
    assert refused.headers["allow"] == "GET, POST"


def test_no_json(client: httpx.Client) -> None:
    headers = {"Content-Type": "application/json"}
    refused = client.post("/api/v1/jobs", content=b"\xff\xfe{", headers=headers)
    assert told(refused)[::2] == (422, "the body is not JSON in UTF-8")


def test_a_body_that_is_too_large(client: httpx.Client) -> None:
    """Said beforehand, or found out as it comes."""
    large = b" " * 1_100_000
    headers = {"Content-Type": "application/json"}
    at_once = client.post("/api/v1/jobs", content=large, headers=headers)
    piece_by_piece = client.post("/api/v1/jobs", content=iter([large]), headers=headers)
    assert (told(at_once)[0], told(piece_by_piece)[0]) == (413, 413)


def test_a_fault_of_the_service(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its log has all of it, the answer nothing."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret internals")

    monkeypatch.setattr("tuner.service.api.jobs.how_many", fail)
    assert told(client.get("/api/v1/jobs")) == (
        500,
        "Internal Server Error",
        "the service itself failed to answer this",
        "its log says why; please report it",
    )
    assert "GET /api/v1/jobs could not be answered" in caplog.text


def test_no_database(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StorageError("studies.db: is locked", hint="wait for it")

    monkeypatch.setattr("tuner.service.api.jobs.how_many", fail)
    assert told(client.get("/api/v1/jobs"))[::3] == (503, "wait for it")
    assert told(client.get("/api/v1/jobs"))[2] == "studies.db: is locked"


def test_numbers_that_no_column_holds(service: Service, client: httpx.Client) -> None:
    waiting(service)
    for query in ({"offset": 2**64}, {"limit": 0}, {"limit": 10**30}, {"by": "\0"}):
        assert told(client.get("/api/v1/jobs", params=query))[0] == 422, query
    assert client.get("/api/v1/jobs", params={"offset": 2**63 - 1}).json()["items"] == []


class TestDocument:
    @pytest.fixture
    def document(self, client: httpx.Client) -> Any:
        return json.loads(client.get("/api/v1/openapi.json").text)

    def test_each_operation(self, document: Any) -> None:
        """Has a name of its own, a summary and a tag; each parameter says what it is."""
        operations = [each for path in document["paths"].values() for each in path.values()]
        names = [each["operationId"] for each in operations]

        assert document["openapi"] == "3.1.0"
        assert len(set(names)) == len(names) > 20
        assert all(each["summary"] and each["tags"] for each in operations)
        parameters = [each for some in operations for each in some.get("parameters", [])]
        assert all(each["description"] for each in parameters)
        described = {each["name"] for each in document["tags"]}
        assert all(described >= set(each["tags"]) for each in operations)

    def test_its_problems(self, document: Any) -> None:
        """Each operation of the interface names those that it may be answered with."""
        assert document["components"]["schemas"]["Problem"]["required"] == ["title", "status"]
        for path, operations in document["paths"].items():
            if not path.startswith("/api/v1/"):
                continue
            for operation in operations.values():
                answers = operation["responses"]
                assert answers.keys() >= {"401", "403", "422", "429", "503"}, path
                assert answers["422"]["content"].keys() == {"application/problem+json"}, path
