"""Answers that are asked for often: kept for a moment, never for others, never after a change."""

from pathlib import Path

import httpx
import pytest

from tests.service.watched import brought, waiting
from tuner.service.service import Service
from tuner.store.queue import QueueState

URL = "/api/v1/jobs"


@pytest.fixture
def kept_s() -> float:
    """Longer than any test takes."""
    return 600.0


def test_an_answer_is_kept(service: Service, client: httpx.Client) -> None:
    """What others write to the database is seen later; another query is another answer."""
    first = client.get(URL)
    waiting(service)

    assert client.get(URL).json() == first.json()
    assert client.get(URL, params={"limit": 5}).json()["total"] == 1


def test_who_changes_something_sees_it(service: Service, client: httpx.Client) -> None:
    job = waiting(service)
    url = f"{URL}/{job.id}"
    before = client.get(url).json()["state"]
    client.post(f"{url}/cancel")

    assert (before, client.get(url).json()["state"]) == ("queued", "cancelled")


def test_it_is_for_those_who_were_let_in(service: Service, client: httpx.Client) -> None:
    """A stranger is told nothing of what others have just been told."""
    job = waiting(service)
    assert client.get(f"{URL}/{job.id}").status_code == 200
    strange = httpx.get(f"{client.base_url}{URL}/{job.id}")
    assert strange.status_code == 401


def test_what_has_not_changed_is_not_sent_again(service: Service, client: httpx.Client) -> None:
    waiting(service)
    first = client.get(URL)
    tag = first.headers["etag"]
    same = client.get(URL, headers={"If-None-Match": f'"other", W/{tag}'})
    client.post(f"{URL}/1/cancel")
    other = client.get(URL, headers={"If-None-Match": tag})

    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert first.headers["cache-control"] == "private, no-cache"
    assert (other.status_code, other.headers["etag"] != tag) == (200, True)


def test_errors_are_not_kept(service: Service, client: httpx.Client) -> None:
    missing = client.get(f"{URL}/night")
    waiting(service)

    assert missing.status_code == 404
    assert client.get(f"{URL}/night").status_code == 200


def test_one_that_is_large(service: Service, client: httpx.Client) -> None:
    """It is sent as it comes, and kept nowhere."""
    job = waiting(service)
    log = Path(job.log)
    log.parent.mkdir(parents=True)
    log.write_text("x" * 99 + "\n")
    small = client.get(f"{URL}/{job.id}/log?lines=10000")
    log.write_text(("x" * 99 + "\n") * 9000)
    large = [client.get(f"{URL}/{job.id}/log?lines=9000") for _ in range(2)]
    log.write_text("")

    assert "etag" in small.headers
    assert [len(each.text) for each in large] == [900_000] * 2
    assert "etag" not in large[0].headers
    assert client.get(f"{URL}/{job.id}/log?lines=9000").text == ""
    assert client.get(f"{URL}/{job.id}/log?lines=10000").text == small.text


def test_streams_are_not_held_back(service: Service, client: httpx.Client) -> None:
    """Two who watch the same are told at once."""
    job = waiting(service)
    brought(service, job, QueueState.CANCELLED)
    url = f"{URL}/{job.id}/events"
    with client.stream("GET", url) as first, client.stream("GET", url) as second:
        told = [next(each.iter_lines()) for each in (second, first)]

    assert told == ["id: 0-0"] * 2
