"""Commands about studies say of a service what they say of a database."""

import shlex
from dataclasses import replace
from pathlib import Path

from tests.command_line import Result, Tuner
from tests.report import studies
from tests.store.test_storage import write
from tuner.records import StudyRecord
from tuner.service.service import Service

SAME = [
    "studies show",
    "studies show night",
    "studies show night --json",
    "pareto night",
    "pareto night --json",
    "report night --format md",
    "report night",
    "report night --json",
    "best night",
    "best night --json",
    "best night --format yaml",
    "best night --format docker-run --image server:1",
    "best night --budget-ms 20",
    "best night --budget-ms 20 --percentile 95 --json",
    "best night --objective memory --min-throughput 100",
    "best night --budget-ms 0.1",
    "best night --min-throughput 5",
    "best night --image server:1",
    "studies show nothing",
]


def _unnamed(said: Result, url: str) -> Result:
    """Without the service in the commands of hints."""
    return replace(said, err=said.err.replace(f" --service {url}`", "`"))


def test_a_service_says_the_same(tuner: Tuner, night: StudyRecord, url: str) -> None:
    """On stdout and on stderr, with the same exit status; hints name the service."""
    assert night.name == "night"
    for command in SAME:
        here = tuner(*shlex.split(command))
        there = tuner(*shlex.split(command), "--service", url)
        assert _unnamed(there, url) == here, command


def test_the_files_of_a_report_are_the_same(
    tuner: Tuner, folder: Path, night: StudyRecord, url: str
) -> None:
    """Byte for byte, the winner's configuration among them."""
    tuner("report", night.name, "--output", "here")
    tuner("report", night.name, "--output", "there", "--service", url)
    here, there = (
        {path.name: path.read_bytes() for path in (folder / name / "night").iterdir()}
        for name in ("here", "there")
    )
    assert there == here
    assert "report.html" in here
    assert len(here) > 1


def test_a_list_of_studies(tuner: Tuner, night: StudyRecord, url: str) -> None:
    """The table is the same; the document says also what becomes of each."""
    here, of_database = tuner.both("studies", "list")
    there = tuner("studies", "list", "--service", url)
    document = tuner("studies", "list", "--service", url, "--json").json
    assert there.out == here
    assert [each.pop("state") for each in document] == ["unknown"]
    assert document == of_database


def test_a_service_without_studies(tuner: Tuner, url: str) -> None:
    """The newest one is none."""
    shown = tuner("studies", "show", "--service", url)
    assert (shown.status, shown.err.splitlines()[0]) == (2, "error: there is no study yet")


def test_nothing_feasible(tuner: Tuner, service: Service, url: str) -> None:
    """Exit status 3, with what comes nearest."""
    slow = studies.infeasible(studies.baseline(), unloaded_s=0.2)
    record = studies.study([slow], name="slow")
    write(service.settings.database, [record])
    for words in (["best", "slow"], ["best", "slow", "--json"]):
        here, there = tuner(*words), tuner(*words, "--service", url)
        assert _unnamed(there, url) == here
        assert there.status == 3


def test_tiers_are_asked_of_a_database(tuner: Tuner, night: StudyRecord, url: str) -> None:
    """The interface answers for one budget."""
    refused = tuner("best", night.name, "--tiers", "p99<=20,p99<=50", "--service", url)
    assert (refused.status, refused.err.splitlines()[0]) == (
        2,
        "error: `--tiers` cannot be asked of a service",
    )
