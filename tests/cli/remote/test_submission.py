"""`tuner optimize --service`: what is submitted, and what waiting for it prints."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.command_line import Tuner, error
from tests.report import studies
from tests.service.watched import brought
from tuner.goals import SearchBudget
from tuner.service.service import Service
from tuner.store.events import EventKind
from tuner.store.ownership import held
from tuner.store.queue import QueuedJob, QueueState, queued_jobs
from tuner.store.storage import Storage

OPTIMIZE = ("optimize", "--budget-ms", "50", "--study", "night")
DEADLINE_S = 20.0


@contextmanager
def dispatched(service: Service, *, feasible: bool = True) -> Iterator[None]:
    """Whatever is submitted is run in no time: it finds a configuration, or none."""

    def run() -> None:
        job = _submitted(service)
        brought(service, job, QueueState.RUNNING)
        records = studies.small_study().trials
        if not feasible:
            records = (studies.infeasible(studies.baseline(), unloaded_s=0.2),)
        with Storage(service.settings.database) as storage:
            storage.create_study(studies.study(name=job.study))
            with held(storage, job.study, limits=SearchBudget().as_record()) as hold:
                for each in records:
                    begun = {
                        "purpose": each.purpose.value,
                        "configuration": dict(each.configuration),
                    }
                    hold.record(EventKind.TRIAL_BEGAN, begun, trial=each.number)
                    storage.save_trial(job.study, each)
        brought(service, job, QueueState.DONE)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join()


def _submitted(service: Service) -> QueuedJob:
    until = time.monotonic() + DEADLINE_S
    while time.monotonic() < until:
        if found := queued_jobs(service.storage):
            return found[0]
        time.sleep(0.01)
    raise TimeoutError


def test_a_job_is_submitted(tuner: Tuner, service: Service, url: str) -> None:
    """With the options that were said and no others; where it is, is printed."""
    said = tuner(
        *OPTIMIZE,
        *("--objective", "latency", "--objective", "memory", "--trials", "5"),
        *("--notify-url", "https://example.org/hook", "--service", url),
    )
    [job] = queued_jobs(service.storage)
    waits, page = said.out.splitlines()
    assert waits.startswith(f"job {job.id} (study night) waits: next, expected to begin at 20")
    assert page == f"its page: {url}/jobs/{job.id}"
    assert said.err == (
        f"look at it: tuner status night --watch --service {url}\n"
        f"end it:     tuner stop night --service {url}\n"
    )
    assert job.options == {"budget_ms": 50.0, "objective": ["latency", "memory"], "trials": 5}
    assert job.webhook == "https://example.org/hook"
    assert job.idempotency_key


def test_the_document_of_a_submission(tuner: Tuner, url: str) -> None:
    """It is the job, as the interface has it."""
    document = tuner(*OPTIMIZE, "--service", url, "--json").json
    assert (document["state"], document["place"], document["study"]) == ("queued", 0, "night")


def test_the_service_of_the_environment(
    tuner: Tuner, service: Service, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TUNER_SERVICE names it, and commands that are suggested need not."""
    monkeypatch.setenv("TUNER_SERVICE", url)
    assert "look at it: tuner status night --watch\n" in tuner(*OPTIMIZE).err
    assert len(queued_jobs(service.storage)) == 1
    assert tuner("status", "--service", "", "--db", "studies.db").status == 0


def test_waiting(tuner: Tuner, service: Service, url: str, folder: Path) -> None:
    """Progress on stderr, then what `optimize` prints, with the same files."""
    with dispatched(service):
        found = tuner(*OPTIMIZE, "--wait", "--service", url)
    assert found.status == 0, found.err
    lines = found.out.splitlines()
    assert lines[-2:] == [
        f"service: {url} (study night)",
        f"next: tuner best night --service {url}",
    ]
    assert "report.html: reports/night/report.html" in lines
    assert (folder / "reports" / "night" / "report.html").exists()
    assert "Pareto front" in found.out
    trials = [line for line in found.err.splitlines() if line.startswith("trial ")]
    assert len(trials) == len(studies.small_study().trials)
    first = found.err.partition("; its page: ")[0]
    assert re.fullmatch(r"job 1 \(study night\) (is \w+|waits: next, expected .*)", first)


def test_waiting_for_nothing_feasible(tuner: Tuner, service: Service, url: str) -> None:
    """Exit status 3 and the nearest one, also with a document."""
    with dispatched(service, feasible=False):
        found = tuner(*OPTIMIZE, "--wait", "--service", url, "--json")
    assert found.status == 3
    assert found.json["best"] is None
    assert "error: no configuration meets p99 <= 50 ms" in found.err


def test_a_plan(tuner: Tuner, url: str) -> None:
    """It is made there, and printed as here."""
    words = ("plan", "--budget-ms", "50", "--space", "triton")
    assert tuner(*words, "--service", url) == tuner(*words)


def test_a_refusal_of_the_service(tuner: Tuner, url: str) -> None:
    """It has the text and the hint of the service."""
    refused = tuner(*OPTIMIZE, "--runner", "docker", "--image", "x:1", "--service", url)
    assert refused.status == 2
    assert refused.err.startswith("error: `image`: `x:1` is none that jobs may use\nhint: ")


REFUSED = [
    (["--detach"], "`--detach` means nothing to `--service`", "leave it out"),
    (["--notify", "mail"], "`--notify` means nothing to `--service`", "leave it out"),
    (["--db", "x.db"], "`--db` means nothing to `--service`", "leave it out"),
    (["--output", "x"], "`--output` means nothing without `--wait`", "give both"),
    (["--body", "here"], "`--body here` is a file of this machine", "give the name"),
    (["--dataset", "here"], "`--dataset here` is a file of this machine", "give the name"),
    (["--space", "here"], "`--space here` is a file of this machine", "give the name"),
]


def test_what_cannot_be_submitted(tuner: Tuner, url: str, folder: Path) -> None:
    """What the service would not heed, or could not read, is refused here."""
    (folder / "here").write_text("{}")
    for words, message, hint in REFUSED:
        refused = tuner(*OPTIMIZE, *words, "--service", url)
        assert (refused.status, refused.out) == (2, "")
        said, _, to_do = refused.err.partition("\nhint: ")
        assert said.startswith(f"error: {message}")
        assert to_do.startswith(hint)


class TestConnection:
    @pytest.mark.parametrize(
        "address",
        ["tuner", "ftp://tuner", "http://me:pw@host", "http://", "http://xn--a", "http://a#b"],
    )
    def test_what_is_no_address(self, tuner: Tuner, address: str) -> None:
        """It is said without the password in it."""
        refused = tuner("status", "--service", address)
        shown = address.replace("me:pw", "***")
        assert refused == error(
            f"`--service` must be an address, but got `{shown}`",
            "for example: http://127.0.0.1:8900",
        )

    def test_nobody_is_there(self, tuner: Tuner) -> None:
        """It is said at once, with what starts a service."""
        refused = tuner("status", "--service", "http://127.0.0.1:9")
        assert refused.status == 1
        assert refused.err.startswith("error: no service answers at http://127.0.0.1:9: ")
        assert refused.err.endswith("hint: start one there: `tuner serve`\n")

    def test_without_a_token(
        self, tuner: Tuner, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The hint says where it is, and it is nowhere in what is printed."""
        monkeypatch.setenv("TUNER_SERVICE_TOKEN", "not-the-token-of-this-service")
        refused = tuner("status", "--service", url)
        assert refused.status == 2
        assert "`tuner-service/token`" in refused.err
        assert "not-the-token" not in refused.err

    def test_a_token_that_is_none(self, tuner: Tuner, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is not sent, and not shown."""
        for text in ("two\nlines", "gehe\u00edm"):
            monkeypatch.setenv("TUNER_SERVICE_TOKEN", text)
            assert tuner("status", "--service", "http://127.0.0.1:9") == error(
                "TUNER_SERVICE_TOKEN has what no token has",
                "one line of letters and digits is expected",
            )

    def test_a_command_that_asks_a_database(
        self, tuner: Tuner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It says so, whether a service was named for it or for all commands."""
        refused = tuner("effects", "--service", "http://127.0.0.1:9")
        assert refused.status == 2
        assert "No such option: --service. This command asks a database (--db)" in refused.err
        monkeypatch.setenv("TUNER_SERVICE", "http://127.0.0.1:9")
        assert tuner("effects", "--db", "a.db").err.splitlines()[0] == (
            "TUNER_SERVICE means nothing to this command: its database is `a.db`"
        )

    def test_the_token_of_a_service_in_this_folder(
        self,
        tuner: Tuner,
        client: httpx.Client,
        service: Service,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """It needs no variable."""
        monkeypatch.delenv("TUNER_SERVICE_TOKEN", raising=False)
        (folder / "tuner-service").symlink_to(service.settings.folder)
        found = tuner("status", "--service", str(client.base_url))
        assert (found.status, found.out) == (0, "no study yet\n")

    def test_a_certificate_file_that_is_none(
        self, tuner: Tuner, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is named."""
        (folder / "ca.pem").write_text("no certificate")
        monkeypatch.setenv("TUNER_SERVICE_CA", "ca.pem")
        refused = tuner("status", "--service", "http://127.0.0.1:9")
        assert refused.status == 2
        assert refused.err.startswith("error: TUNER_SERVICE_CA=ca.pem: ")
