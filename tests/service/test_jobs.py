"""/api/v1/jobs: what is asked for waits in the queue, and what can be asked of it then."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service.watched import brought, running, waiting
from tuner.service.api import plan
from tuner.service.service import Service
from tuner.store.jobs import Wanted, job_of
from tuner.store.queue import QueueState

OPTIONS = {"budget_ms": 50, "timeout": "60s"}
URL = "/api/v1/jobs"
UNUSABLE = [
    ('{"options": {"budget_ms": NaN}}', "body.options.budget_ms: Input should be a finite"),
    ('{"options": {"budget_ms": 1e999}}', "body.options.budget_ms: Input should be a finite"),
    ('{"options": {"budget_ms": -1}}', "budget"),
    ('{"options": {"nope": 1}}', "body.options.nope: Extra inputs are not permitted"),
    ('{"options": {"\\ud800": 1}}', "body.options"),
    ('{"options": {"model": "a\\u0000b"}}', "`a\\x00b` has characters that no text may have"),
    ('{"options": {"model": "\\udc00"}}', "`\\udc00` has characters that no text may have"),
    ('{"options": {}, "webhook": "file:///etc/passwd"}', "body.webhook"),
    ('{"options": ', "JSON decode error"),
    ("[" * 100_000, "the body is not JSON"),
]


def asked(client: httpx.Client, key: str | None = None, **request: Any) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post(URL, json={"options": OPTIONS, **request}, headers=headers)


def problem(response: httpx.Response) -> tuple[int, str, str]:
    """Its status, detail and hint; that it is one."""
    assert response.headers["content-type"] == "application/problem+json"
    said = response.json()
    assert said["status"] == response.status_code
    assert said["type"] == "about:blank"
    return said["status"], said["detail"], said["hint"]


class TestSubmitting:
    def test_a_job_that_was_submitted_waits(self, client: httpx.Client) -> None:
        """It has a number, a name, its options and a place; it is found by number and name."""
        made = asked(client, study="night")

        assert made.status_code == 201
        assert made.headers["location"] == f"{URL}/1"
        shown = client.get(made.headers["location"]).json()
        by_name = client.get(f"{URL}/night").json()
        # What is expected is expected from now on.
        assert shown | {"expected_start": None} == made.json() | {"expected_start": None}
        assert by_name["id"] == shown["id"] == 1
        assert (shown["state"], shown["place"], shown["status"]) == ("queued", 0, None)
        assert shown["options"] == {"budget_ms": 50.0, "timeout": "60s"}
        assert shown["expected_start"].endswith(":00Z")
        assert "log" not in shown

    def test_the_same_request_with_its_key(self, client: httpx.Client) -> None:
        """Is the same job; another one with that key is refused."""
        first, again = asked(client, key="a"), asked(client, key="a")
        other = asked(client, key="a", study="night")

        assert (first.status_code, again.status_code) == (201, 200)
        assert again.json()["id"] == first.json()["id"]
        assert problem(other) == (
            422,
            "the idempotency key `a` was used for another request",
            "use a new key for each job",
        )

    def test_a_name_that_is_taken(self, client: httpx.Client) -> None:
        asked(client, study="night")
        assert problem(asked(client, study="night")) == (
            422,
            "there is a study `night` in the queue already",
            "choose another name, or leave it out",
        )

    def test_names_that_cannot_be_those_of_a_folder(self, client: httpx.Client) -> None:
        for name in (".x", "-x", "../x", "a/b", "a b", "12", "x" * 101, "a\n", "é", "\0"):
            status, detail, _ = problem(asked(client, study=name))
            assert status == 422, name
            assert "body.study" in detail

    def test_what_cannot_be_used(self, client: httpx.Client) -> None:
        """Is refused in words, and nothing of it is kept."""
        for content, said in UNUSABLE:
            headers = {"Content-Type": "application/json"}
            status, detail, _ = problem(client.post(URL, content=content, headers=headers))
            assert status == 422, content[:60]
            assert said in detail, content[:60]
        assert client.get(URL).json()["total"] == 0

    def test_many_faults(self, client: httpx.Client) -> None:
        """A few of them are told."""
        options = {f"x{number}": 1 for number in range(100)}
        _, detail, _ = problem(client.post(URL, json={"options": options}))
        assert detail.endswith("; and 90 more")


class TestReading:
    def test_pages(self, service: Service, client: httpx.Client) -> None:
        """Filtered by state and by who asked."""
        jobs = [
            waiting(service, f"night-{each}", by="ada" if each else "bob") for each in range(4)
        ]
        brought(service, jobs[3], QueueState.CANCELLED)

        page = client.get(URL, params={"limit": 2, "offset": 1}).json()
        over = client.get(URL, params={"state": ["cancelled", "failed"]}).json()
        of_bob = client.get(URL, params={"by": "bob"}).json()

        assert (page["total"], page["limit"], page["offset"]) == (4, 2, 1)
        assert [each["study"] for each in page["items"]] == ["night-1", "night-2"]
        assert [each["place"] for each in page["items"]] == [1, 2]
        assert [each["study"] for each in over["items"]] == ["night-3"]
        assert [each["study"] for each in of_bob["items"]] == ["night-0"]

    def test_one_that_runs(self, service: Service, client: httpx.Client) -> None:
        """Its status is that of its study."""
        with running(service) as run:
            shown = client.get(f"{URL}/{run.job.id}").json()
            listed = client.get(URL).json()["items"]
        brought(service, run.job, QueueState.DONE)
        over = client.get(f"{URL}/{run.job.id}").json()

        assert (shown["state"], shown["place"]) == ("running", None)
        assert shown["status"]["state"] == "running"
        assert shown["status"]["study"] == "night"
        assert "log" not in shown["status"]
        assert listed[0]["status"] == shown["status"]
        assert over["status"]["state"] == "ended"
        assert client.get(URL).json()["items"][0]["status"] is None

    def test_its_changes(self, service: Service, client: httpx.Client) -> None:
        job = waiting(service)
        brought(service, job, QueueState.FAILED, why="it was killed")

        found = client.get(f"{URL}/{job.id}/changes").json()["items"]

        assert [(each["state"], each["why"], each["by"]) for each in found] == [
            ("queued", "", "ada"),
            ("failed", "it was killed", ""),
        ]
        assert client.get(f"{URL}/{job.id}/deliveries").json() == {"items": []}

    def test_one_that_there_is_not(self, client: httpx.Client) -> None:
        """Whatever its name is, and whatever is asked of it."""
        for key in ("7", "nobody", "9" * 30, "%00", "%F0", "-1", "1.0", "..%2F"):
            for what in ("", "/changes", "/log", "/deliveries", "/events"):
                assert problem(client.get(f"{URL}/{key}{what}"))[0] == 404, (key, what)

    def test_its_words(self, client: httpx.Client) -> None:
        assert problem(client.get(f"{URL}/7")) == (404, "there is no job `7`", "")


class TestLog:
    def test_its_end(self, service: Service, client: httpx.Client) -> None:
        """Without what would colour a terminal or move its cursor, and without secrets."""
        job = waiting(service)
        path = Path(job.log)
        path.parent.mkdir(parents=True)
        path.write_bytes(
            b"first\n\x1b[31mred\x1b[0m \x00at http://me:secret@host/\n50 %\r100 %\r\nlast \xff\n"
        )
        url = f"{URL}/{job.id}/log"

        found = client.get(url)

        assert found.headers["content-type"] == "text/plain; charset=utf-8"
        assert found.text == "first\nred at http://***@host/\n100 %\nlast \ufffd\n"
        assert client.get(url, params={"lines": 1}).text == "last \ufffd\n"
        assert client.get(url, params={"lines": 10_001}).status_code == 422

    def test_one_that_is_long(self, service: Service, client: httpx.Client) -> None:
        """Its end is read, from the beginning of a line on; of a line, the beginning is told."""
        job = waiting(service)
        path = Path(job.log)
        path.parent.mkdir(parents=True)
        path.write_text("".join(f"{number:06} {'x' * 80}\n" for number in range(20_000)))
        with path.open("a") as log:
            log.write("y" * 5000)

        lines = client.get(f"{URL}/{job.id}/log?lines=10000").text.splitlines()

        assert len(lines) == 10_000
        assert all(len(line) == 87 for line in lines[:-1])
        assert lines[-2].startswith("019999 ")
        assert lines[-1] == "y" * 2000 + "…"

    def test_one_that_there_is_not_yet(self, service: Service, client: httpx.Client) -> None:
        assert client.get(f"{URL}/{waiting(service).id}/log").text == ""


class TestAsking:
    def test_pause_continue_and_stop(self, service: Service, client: httpx.Client) -> None:
        """Its study is asked, and the job is in that state."""
        states, wanted = [], []
        with running(service) as run:
            for action in ("pause", "continue", "stop"):
                response = client.post(f"{URL}/night/{action}")
                record = job_of(service.storage, "night")
                states.append(response.json()["state"])
                wanted.append(record and record.wanted)
            client.post(f"{URL}/night/stop", json={"now": True})
            record = job_of(service.storage, "night")

        assert states == ["paused", "running", "stopping"]
        assert wanted == [Wanted.PAUSE, Wanted.NOTHING, Wanted.STOP]
        assert record is not None
        assert record.wanted is Wanted.STOP_NOW
        assert run.job.id == 1

    def test_cancel_and_move(self, service: Service, client: httpx.Client) -> None:
        for each in range(3):
            waiting(service, f"night-{each}")
        moved = client.post(f"{URL}/night-2/move", json={"place": 0}).json()
        cancelled = client.post(f"{URL}/night-0/cancel").json()
        left = client.get(URL, params={"state": "queued"}).json()["items"]

        assert moved["place"] == 0
        assert cancelled["state"] == "cancelled"
        assert [each["study"] for each in left] == ["night-2", "night-1"]

    def test_a_state_that_does_not_allow_it(self, service: Service, client: httpx.Client) -> None:
        """Is a conflict, with the words of the queue."""
        waiting(service)
        for action in ("pause", "continue", "stop"):
            status, detail, hint = problem(client.post(f"{URL}/night/{action}"))
            assert (status, hint) == (409, "cancel it, or move it to another place")
            assert "waits for its turn" in detail

    def test_a_place_that_there_is_not(self, service: Service, client: httpx.Client) -> None:
        waiting(service)
        for place in (-1, 10**30, 0.5, "0", None, True):
            moved = client.post(f"{URL}/night/move", json={"place": place})
            assert problem(moved)[0] == 422


class TestPlanning:
    """The command is replaced by another program that ends as it does."""

    @pytest.fixture
    def planned(self, client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> Any:
        def run(program: str, limit_s: float = 60.0) -> httpx.Response:
            answer = plan.answer
            monkeypatch.setattr(plan, "TIME_LIMIT_S", limit_s)
            monkeypatch.setattr(
                plan,
                "answer",
                lambda words, said: answer([words[0], "-c", program, *words[4:]], said),
            )
            return client.post(f"{URL}/plan", json={"options": OPTIONS | {"seed": 3}})

        return run

    def test_what_it_says(self, planned: Any) -> None:
        """Of the options, it is told those that it has."""
        found = planned("import json, sys; print(json.dumps({'words': sys.argv[1:]}))")
        assert found.json() == {
            "words": ["plan", "--budget-ms", "50", "--timeout", "60s", "--json"]
        }

    def test_what_cannot_be_used(self, planned: Any) -> None:
        said = "import sys; sys.stderr.write('a remark\\nerror: no\\nmodel\\nhint: name one\\n');"
        assert problem(planned(f"{said} sys.exit(2)")) == (422, "no\nmodel", "name one")

    def test_one_that_fails(self, planned: Any) -> None:
        said = "import sys; sys.stderr.write('error: the engine is gone\\n'); sys.exit(1)"
        assert problem(planned(said)) == (409, "the engine is gone", "")

    def test_one_that_takes_too_long(self, planned: Any) -> None:
        status, detail, _ = problem(planned("import time; time.sleep(60)", limit_s=0.1))
        assert (status, detail) == (409, "the plan was not made within 0 s")

    def test_two_at_once(self, client: httpx.Client) -> None:
        """One after the other: the machine is there for what is measured."""
        with plan.ALONE:
            refused = client.post(f"{URL}/plan", json={"options": OPTIONS})
        assert problem(refused) == (
            429,
            "another plan is being made",
            "ask again in a few seconds",
        )
        assert refused.headers["retry-after"] == "5"
