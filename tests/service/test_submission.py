"""What somebody asks for, and what of it is kept."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from tests.service.queued import WAITS, asked, end, environment, now, stand_in
from tests.store.raw import rows
from tuner.clients import webhook as hooks
from tuner.errors import InputError, TunerError
from tuner.service.api.documents import JobDocument
from tuner.service.jobs import control, submission
from tuner.service.jobs.dispatcher import Dispatcher
from tuner.service.jobs.submission import submitted
from tuner.service.service import Service
from tuner.store.queue import queued_jobs

SECRET = "s3cret-of-the-header"  # noqa: S105
REFUSED_WEBHOOKS = [
    "ftp://host/", "file:///etc/passwd", "http://", "//host/", "http://169.254.169.254/",
    "http://user@169.254.169.254/", "http://100.100.100.200/", "http://[fd00:ec2::254]/",
    "http://[::ffff:169.254.169.254]/", "http://[::ffff:a9fe:a9fe]/", "http://[fe80::1]/",
    "http://[64:ff9b::a9fe:a9fe]/", "http://[2002:a9fe:a9fe::]/", "http://[::a9fe:a9fe]/",
    "http://[fe80::1%25eth0]/", "http://0251.0376.0251.0376/",
]  # fmt: skip
HEADERS = ["X-Key: s3cret-of-the-header", "X-Other: 2"]


def test_headers_are_secrets(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their values are in a file of the service's own, which the job's process is told of."""
    stand_in(monkeypatch, WAITS)
    job = asked(service, "night", options={"header": HEADERS})
    kept = service.settings.folder / "secrets" / str(job.id)
    at_work = Dispatcher(service)
    words = at_work._words(job)
    at_work.turn()
    begun = now(service, job)
    seen = environment(begun.process)
    end(begun)

    assert job.options["header"] == ["X-Key: ...", "X-Other: ..."]
    assert kept.read_text().splitlines() == HEADERS
    assert kept.stat().st_mode & 0o777 == 0o600
    assert words[words.index("--header") + 1] == f"@{kept}"
    assert words.count("--header") == 1
    assert SECRET not in str(rows(service.settings.database))
    assert not any(SECRET.encode() in each for each in seen)


@pytest.mark.parametrize("header", ["@/etc/passwd", "@secrets/1", "X-Key"])
def test_headers_are_no_files(header: str, service: Service) -> None:
    """Those of the service's machine are not for whoever asks it."""
    with pytest.raises(InputError, match="header`"):
        asked(service, "night", options={"header": [header]})
    assert queued_jobs(service.storage) == ()


def test_a_request_with_headers_is_repeated(service: Service) -> None:
    """It is the same job."""
    wishes = {"by": "ann", "key": "k"}
    first = submitted(service, {"budget_ms": 50.0, "header": HEADERS}, **wishes)
    again = submitted(service, {"budget_ms": 50.0, "header": HEADERS}, **wishes)
    assert (first[0].id, first[1], again[1]) == (again[0].id, True, False)


REFUSED = ("../../etc/passwd", "a/b", "-x", "77", ".hidden", "a b", "<b>", "a" * 101, "ä", "a\n")


def test_names_that_are_refused(service: Service) -> None:
    """They stand in paths and in URLs."""
    for name in REFUSED:
        with pytest.raises(InputError) as caught:
            asked(service, name)
        assert caught.value.message == f"`{name[:100]}` cannot be the name of a job's study"
        assert caught.value.hint == (
            "use up to 100 letters, digits, `.`, `_` and `-`, and not digits alone"
        )


@pytest.mark.parametrize("name", ["night", "2026-11-30", "resnet50_v1.5", "7b"])
def test_names_that_are_taken(name: str, service: Service) -> None:
    """Also with numbers in them."""
    assert asked(service, name).study == name


def test_names_that_are_made_up(service: Service) -> None:
    """Each has its own."""
    first, second = asked(service, ""), asked(service, "")
    assert first.study != second.study
    assert first.study.startswith("job-2")


def test_a_file_that_looks_like_an_option(service: Service) -> None:
    """It stays a file: else whoever asks could run a program here."""
    found = service.command.words({"budget_ms": 50.0, "model_file": "--notify=/bin/false"})
    assert found == ["--budget-ms", "50", "./--notify=/bin/false"]


def test_webhooks_that_are_refused(service: Service) -> None:
    """Before the job waits."""
    for webhook in REFUSED_WEBHOOKS:
        with pytest.raises(InputError):
            asked(service, "night", webhook=webhook)
    assert queued_jobs(service.storage) == ()


@pytest.mark.parametrize("host", ["2852039166", "0xa9fea9fe", "169.254.1"])
def test_other_ways_to_write_an_address(host: str) -> None:
    """What the system makes of it is looked at when it is told."""
    with pytest.raises(InputError, match="clouds keep the secrets of a machine"):
        asyncio.run(hooks.post_once(f"http://{host}/", b"{}", {}))


def test_webhooks_are_secrets(service: Service) -> None:
    """Whoever has the path of a chat's one writes there: others see its host."""
    for webhook, shown in (
        ("https://me:pass@chat.example:8443/T1/s3cret?x=y", "https://chat.example:8443/***"),
        ("http://127.0.0.1/", "http://127.0.0.1"),
        ("", ""),
    ):
        job = asked(service, "", webhook=webhook)
        assert (job.webhook, JobDocument.of(job).webhook) == (webhook, shown)


def test_a_queue_has_an_end(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks at it has all of it read."""
    monkeypatch.setattr(submission, "MOST_WAITING", 2)
    first, _ = asked(service, "first"), asked(service, "second")
    with pytest.raises(TunerError, match="2 jobs wait already"):
        asked(service, "third")
    control.cancel(service, first.id, by="ann")
    assert asked(service, "third").study == "third"


def test_what_jobs_may_use_is_asked_again(service: Service, tmp_path: Path) -> None:
    """When its turn comes: the service may have been started with less meanwhile."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models/a.onnx").touch()
    more = replace(service, settings=replace(service.settings, models=(tmp_path / "models",)))
    job = asked(more, "night", options={"model_file": "a.onnx"})
    assert str(tmp_path / "models/a.onnx") in Dispatcher(more)._words(job)
    with pytest.raises(InputError, match="is no file or folder that jobs may use"):
        Dispatcher(service)._words(job)
