"""/api/v1/events: all who watch are told all that happens, and nothing of it twice."""

import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import httpx
import pytest
from fastapi import FastAPI

from tests.report import studies
from tests.service.running import serving
from tests.service.watched import Message, brought, running, waiting, watching
from tuner.service.api import news
from tuner.service.api import watching as module
from tuner.service.service import Service
from tuner.store.events import EventKind
from tuner.store.queue import QueueState
from tuner.store.rows import point_document


@pytest.fixture(autouse=True)
def looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Often, so that no test waits for a second."""
    monkeypatch.setattr(module, "LOOK_S", 0.02)


def kinds(messages: list[Message]) -> list[str]:
    return [each.event for each in messages]


def test_all_that_a_job_does(service: Service, client: httpx.Client) -> None:
    """In its order, with the job's own states, and the stream ends after the job."""
    with running(service) as run:
        run.hold.record(
            EventKind.TRIAL_BEGAN,
            {"purpose": "baseline", "configuration": {"threads": 2}},
            trial=0,
        )
        run.hold.record(EventKind.PHASE_BEGAN, {"phase": "search"}, trial=0)
        point = point_document(studies.point(100, 0.02))
        run.hold.record(EventKind.POINT_MEASURED, {"point": point}, trial=0)
        run.hold.record(EventKind.SAID, {"text": "from postgresql://me:secret@host/db"})
        run.storage.save_trial("night", studies.baseline())
    brought(service, run.job, QueueState.DONE)
    with watching(client, "/api/v1/jobs/night/events") as stream:
        told = list(stream)

    # Its load point is with the trial by now, which ended long ago by its own clock.
    assert kinds(told) == [
        *("job_changed", "job_changed", "job_began", "trial_began", "phase_began", "said"),
        *("trial_ended", "job_ended", "job_changed"),
    ]
    by_kind = {each.event: each.data for each in told}
    assert by_kind["trial_began"].items() >= {"study": "night", "trial": 0}.items()
    assert by_kind["trial_began"]["configuration"] == {"threads": 2}
    assert by_kind["said"]["text"] == "from postgresql://***@host/db"
    assert by_kind["trial_ended"]["throughput"] == 152.0
    assert by_kind["trial_ended"]["study"] == "night"
    assert by_kind["job_changed"]["state"] == "done"
    assert by_kind["job_changed"]["job"] == run.job.id


def test_load_points_come_without_histogram(service: Service, client: httpx.Client) -> None:
    """It is large, and with the study."""
    with running(service) as run:
        point = point_document(studies.point(100, 0.02))
        run.hold.record(EventKind.POINT_MEASURED, {"point": point}, trial=0)
    brought(service, run.job, QueueState.FAILED, why="it was killed")
    with watching(client, f"/api/v1/jobs/{run.job.id}/events") as stream:
        told = {each.event: each.data for each in stream}

    assert told["point_measured"]["point"]["throughput"] == 100
    assert told["point_measured"]["point"].keys() == point.keys() - {
        "histogram",
        "first_response",
        "itl",
        "whole",
    }
    assert (told["job_changed"]["state"], told["job_changed"]["why"]) == (
        "failed",
        "it was killed",
    )


def test_one_that_comes_back(service: Service, client: httpx.Client) -> None:
    """Is told what it missed, then what comes; when all was told, there is no content."""
    with running(service) as run:
        for text in "abc":
            run.hold.record(EventKind.SAID, {"text": text})
        path = f"/api/v1/jobs/{run.job.id}/events"
        with watching(client, path) as stream:
            first = list(islice(stream, 4))
        for text in "de":
            run.hold.record(EventKind.SAID, {"text": text})
        with watching(client, path, last=first[-1].id) as stream:
            missed = list(islice(stream, 4))
            run.hold.record(EventKind.SAID, {"text": "f"})
            live = next(stream)
    brought(service, run.job, QueueState.DONE)
    with watching(client, path, last=live.id) as stream:
        rest = list(stream)
    over = client.get(path, headers={"Last-Event-ID": rest[-1].id})
    by_query = client.get(path, params={"after": rest[-1].id})

    told = [*first, *missed, live, *rest]
    assert [each.data["text"] for each in told if each.event == "said"] == list("abcdef")
    assert kinds(rest) == ["job_ended", "job_changed"]
    assert len({each.id for each in told}) == len(told)
    assert (over.status_code, over.content) == (204, b"")
    assert by_query.status_code == 204


def test_nothing_is_lost_between_what_was_and_what_is(
    service: Service, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Watchers that come while events are written, from anywhere, are all told each one once."""
    monkeypatch.setattr(news, "_PAGE", 3)
    number = 60
    with running(service) as run, ThreadPoolExecutor(8) as pool:
        path = f"/api/v1/jobs/{run.job.id}/events"
        may_write = threading.Semaphore(0)

        def follow(_: int) -> list[str]:
            told: list[str] = []
            last: str | None = None
            while len(told) < number:  # comes back after every few
                with watching(client, path, last=last) as stream:
                    for message in islice(stream, 7):
                        last = message.id
                        told += [message.data["text"]] if message.event == "said" else []
                may_write.release()
                if len(told) == number:
                    break
            return told

        followers = pool.map(follow, range(6))
        for each in range(number):
            may_write.acquire(timeout=0.05)
            run.hold.record(EventKind.SAID, {"text": str(each)})
        found = list(followers)

    assert found == [[str(each) for each in range(number)]] * 6


def test_one_look_for_all(
    service: Service, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many watch: each event is read once more, not once more for each of them."""
    reads: list[object] = []
    read = news.news

    def counted(*arguments: object) -> object:
        reads.append(arguments)
        return read(*arguments)  # type: ignore[arg-type]

    with running(service) as run:
        path = f"/api/v1/jobs/{run.job.id}/events"
        streams = [watching(client, path) for _ in range(10)]
        opened = [each.__enter__() for each in streams]
        for stream in opened:
            list(islice(stream, 3))
        monkeypatch.setattr(module, "LOOK_S", 0.3)
        monkeypatch.setattr(module, "news", counted)
        run.hold.record(EventKind.SAID, {"text": "a"})
        told = [next(stream).data["text"] for stream in opened]
        looks = len(reads)
        for each in streams:
            each.__exit__(None, None, None)

    assert told == ["a"] * 10
    assert looks < 5


def test_all_jobs_from_now_on(service: Service, client: httpx.Client) -> None:
    """What was before is told to whoever asks for it."""
    first = waiting(service, "first")
    with watching(client, "/api/v1/events") as stream:
        _has_joined(service, client)
        second = waiting(service, "second", by="bob")
        news_of_second = next(stream)
    with watching(client, "/api/v1/events?after=0-0") as stream:
        both = [each.data["study"] for each in islice(stream, 2)]

    assert (news_of_second.event, news_of_second.data["job"]) == ("job_changed", second.id)
    assert (
        news_of_second.data.items() >= {"study": "second", "state": "queued", "by": "bob"}.items()
    )
    assert both == ["first", "second"]
    assert first.id != second.id


def _has_joined(service: Service, client: httpx.Client) -> None:
    """Metrics say how many watch."""
    del service
    while "tuner_event_watchers 1.0" not in client.get("/metrics").text:
        pass


def test_one_that_does_not_read(
    service: Service,
    client: httpx.Client,
    listening: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Is told no more, and no watcher any more; the others are told all."""
    monkeypatch.setattr(module, "_MOST_WAITING_BYTES", 50_000)
    text = "x" * 200_000
    with running(service) as run, socket.socket() as slow:
        path = f"/api/v1/jobs/{run.job.id}/events"
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(listening.getsockname())
        asked = (f"GET {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: {token(client)}")
        slow.sendall(("\r\n".join(asked) + "\r\n\r\n").encode())
        with watching(client, path) as stream:
            list(islice(stream, 3))
            written = 0
            while watchers(client) == 2:
                run.hold.record(EventKind.SAID, {"text": f"{written} {text}"})
                assert next(stream).data["text"].startswith(f"{written} ")
                written += 1
    assert 2 < written < 500


def test_too_many(service: Service, client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Are asked to come later."""
    monkeypatch.setattr(module, "MOST_WATCHERS", 1)
    with running(service), watching(client, "/api/v1/jobs/night/events"):
        refused = client.get("/api/v1/jobs/night/events")
    assert refused.status_code == 503
    assert refused.json()["detail"] == "1 watch already"
    assert refused.headers["retry-after"] == "10"


def test_an_id_that_is_none(client: httpx.Client) -> None:
    for last in ("7", "a-b", "1-2-3", "9" * 30 + "-1"):
        refused = client.get("/api/v1/events", headers={"Last-Event-ID": last})
        assert refused.status_code == 422, last


def test_the_service_ends_although_somebody_watches(
    service: Service, client: httpx.Client, app: FastAPI
) -> None:
    """And the stream ends well: who watches comes back later."""
    with running(service), socket.create_server(("127.0.0.1", 0)) as listening:
        client.base_url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with (
            serving(app, listening) as server,
            watching(client, "/api/v1/jobs/night/events") as stream,
        ):
            list(islice(stream, 3))
            server.should_exit = True
            assert list(stream) == []


def token(client: httpx.Client) -> str:
    return client.headers["Authorization"]


def watchers(client: httpx.Client) -> int:
    """How many the service knows of."""
    (line,) = re.findall(r"^tuner_event_watchers (.*)$", client.get("/metrics").text, re.MULTILINE)
    return int(float(line))
