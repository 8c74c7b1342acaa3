"""Webhooks are told of each change of their job, in its order, signed, and again where in vain."""

import hashlib
import hmac
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.report import studies
from tests.runner_tests.waiting import wait_until
from tests.service.queued import asked
from tuner.errors import StorageError
from tuner.service.jobs import webhooks
from tuner.service.jobs.states import brought
from tuner.service.jobs.webhooks import Webhooks, pause_s, signing_key
from tuner.service.service import Service
from tuner.store.deliveries import MOST_ATTEMPTS, Pending, deliveries, tell
from tuner.store.queue import QueueChange, QueuedJob, QueueState


class Receiver(BaseHTTPRequestHandler):
    """Keeps what it is told, once it has refused as often as it is to."""

    refuses: int
    told: list[tuple[dict[str, str], bytes]]

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if type(self).refuses:
            type(self).refuses -= 1
            self.send_error(503)
            return
        headers = {name.lower(): each for name, each in self.headers.items()}
        self.told.append((headers, content))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextmanager
def receiver(refuses: int = 0) -> Iterator[tuple[str, type[Receiver]]]:
    kind = type("Told", (Receiver,), {"refuses": refuses, "told": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hooks?key=s3cret", kind
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "_POLL_S", 0.01)
    monkeypatch.setattr(webhooks, "_FIRST_PAUSE_S", 0.0)


def bodies(told: type[Receiver]) -> list[dict[str, Any]]:
    return [json.loads(content) for _, content in told.told]


def run(service: Service, job: QueuedJob, *ends: QueueState) -> None:
    for state in (QueueState.RUNNING, *ends):
        brought(service.storage, job, state)


def test_each_change_is_told(service: Service) -> None:
    """In its order, signed, with a number that stays, and with the result of what is done."""
    service.storage.create_study(studies.study(name="other"))
    with receiver(refuses=2) as (url, told):
        job = asked(service, "night", webhook=url)
        asked(service, "quiet")
        service.storage.create_study(studies.study(name="night"))
        service.storage.save_trial("night", studies.baseline())
        run(service, job, QueueState.DONE)
        with Webhooks(service):
            wait_until(lambda: len(told.told) == 3)
            wait_until(lambda: len(deliveries(service.storage, job.id)) == 5)
    key = (service.settings.folder / "webhook-key").read_text().strip().encode()

    assert [each["state"] for each in bodies(told)] == ["queued", "running", "done"]
    assert bodies(told)[0] == {
        "job": job.id,
        "study": "night",
        "state": "queued",
        "why": "",
        "by": "ann",
        "at": job.submitted_at.isoformat(timespec="milliseconds"),
        "change": 1,
        "result": None,
    }
    result = bodies(told)[2]["result"]
    assert result["throughput"] == pytest.approx(152.0)
    assert result["unit"] == "inferences/s"
    assert result["configuration"] == dict(studies.DEFAULTS)
    for headers, content in told.told:
        signed = hmac.new(key, content, hashlib.sha256).hexdigest()
        assert headers["x-tuner-signature"] == f"sha256={signed}"
        assert headers["x-tuner-delivery"] == str(json.loads(content)["change"])
        assert headers["content-type"] == "application/json"
    kept = deliveries(service.storage, job.id)
    assert [(each.attempt, each.status, each.error) for each in kept[:3]] == [
        (1, 503, "it answered 503"),
        (2, 503, "it answered 503"),
        (3, 204, ""),
    ]


def test_what_was_not_told_is_told_by_the_next_service(service: Service) -> None:
    """However that ended; what was told is not told again."""
    with receiver() as (url, told):
        job = asked(service, "night", webhook=url)
        with Webhooks(service):
            wait_until(lambda: len(deliveries(service.storage, job.id)) == 1)
        run(service, job)
        with Webhooks(service):
            wait_until(lambda: len(deliveries(service.storage, job.id)) == 2)

    assert [each["state"] for each in bodies(told)] == ["queued", "running"]


def test_who_does_not_answer_is_given_up(service: Service) -> None:
    """After some attempts; then the next change has its turn."""
    with receiver(refuses=MOST_ATTEMPTS) as (url, told):
        job = asked(service, "night", webhook=url)
        run(service, job)
        with Webhooks(service):
            wait_until(lambda: told.told)

    assert [each["state"] for each in bodies(told)] == ["running"]


def test_a_receiver_that_hangs_holds_nobody_up(service: Service) -> None:
    """Others are told, and the service can end."""
    hangs, met = threading.Event(), threading.Event()

    class Hangs(Receiver):
        def do_POST(self) -> None:
            met.set()
            hangs.wait()

    with receiver() as (url, told), ThreadingHTTPServer(("127.0.0.1", 0), Hangs) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        asked(service, "slow", webhook=f"http://127.0.0.1:{server.server_port}/")
        asked(service, "night", webhook=url)
        with Webhooks(service):
            wait_until(lambda: met.is_set() and told.told)
        hangs.set()
        server.shutdown()
        thread.join()

    assert [each["study"] for each in bodies(told)] == ["night"]


def test_a_database_that_is_away(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said, and tried again."""
    broken = {"times": 1}

    def breaks(*arguments: Any, **wishes: Any) -> None:
        if broken["times"]:
            broken["times"] -= 1
            raise StorageError("it is locked")
        tell(*arguments, **wishes)

    monkeypatch.setattr(webhooks, "tell", breaks)
    with receiver() as (url, told), caplog.at_level(logging.WARNING):
        job = asked(service, "night", webhook=url)
        with Webhooks(service):
            wait_until(lambda: deliveries(service.storage, job.id))

    assert [each["change"] for each in bodies(told)] == [1, 1]  # it can be told from its number
    assert [each.getMessage() for each in caplog.records] == [
        "webhooks cannot be told: it is locked"
    ]


def test_the_pauses() -> None:
    """They grow, up to five minutes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(webhooks, "_FIRST_PAUSE_S", 1.0)
        assert [pause_s(each) for each in range(1, 8)] == [1, 3, 9, 27, 81, 243, 300]


def test_the_key(service: Service) -> None:
    """It is made once, and nobody else can read it."""
    key = signing_key(service.settings)
    path = service.settings.folder / "webhook-key"

    assert signing_key(service.settings) == key
    assert len(key) == 64
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("tried_s_ago", "due"), [(100.0, False), (301.0, True), (-7200.0, True)])
def test_when_it_is_told_again(
    *, tried_s_ago: float, due: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its pause; at once where the clock was set back, which would be a long one."""
    monkeypatch.setattr(webhooks, "_FIRST_PAUSE_S", 1.0)
    now = datetime.now(UTC)
    change = QueueChange(id=1, job=1, at=now, state=QueueState.RUNNING, why="", by="")
    tried_at = now - timedelta(seconds=tried_s_ago)
    assert webhooks._is_due(Pending(change=change, attempts=8, tried_at=tried_at)) is due
