"""A study in the background: looked at, paused, killed, resumed and ended from other terminals."""

import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.end_to_end.command import begin, tuner, wait_until
from tests.end_to_end.quick_server import AT_ONCE
from tuner.store.storage import Storage

# A latency budget that this server meets while other tests run; a proof takes at least 200 limits.
BUDGET = ("--budget-ms", "60", "--percentile", "90")
SPACE = f"""
server: command
serve:
  command: [{sys.executable}, server.py, "{{port:http}}", "{{{{ n }}}}"]
  ready: /
  request: {{path: /}}
parameters:
  n: {{type: int, low: 1, high: 9, default: 1, sets: {{template: n}}}}
"""
ASKED = (
    *("optimize", "--space", "mine.yaml", *BUDGET, "--seed", "3"),
    *("--study", "night", "--timeout", "10m", "--finalists", "1"),
)


def status(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = tuner("status", "night", "--json", folder=folder).json
    return found


def trials(folder: Path) -> int:
    """How many have ended; a command that asks so again and again disturbs what is measured."""
    with Storage(str(folder / "studies.db")) as storage:
        return len(storage.study("night").trials)


def pid(folder: Path) -> int:
    """Of the tuner that runs the study."""
    found = re.fullmatch(r"process (\d+) on \S+", status(folder)["owner"])
    assert found is not None
    return int(found[1])


def servers(tuner_pid: int) -> list[str]:
    children = psutil.Process(tuner_pid).children(recursive=True)
    return [child.name() for child in children if "server.py" in child.cmdline()]


@pytest.fixture(autouse=True)
def own_server(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(AT_ONCE)
    (tmp_path / "mine.yaml").write_text(SPACE)


def test_a_night(tmp_path: Path) -> None:
    """Whatever happens, the study goes on with what it has, and ends with finals and a report."""
    begun = tuner(*ASKED, "--confirmations", "1", "--detach", folder=tmp_path)
    assert begun.status == 0, begun.err
    assert begun.out.startswith("study night runs in the background (process ")
    assert "its output: reports/night/tuner.log" in begun.out
    first = pid(tmp_path)
    wait_until(lambda: trials(tmp_path) >= 1, "the first trial")

    refused = tuner(*ASKED, folder=tmp_path)
    assert refused.status == 1
    assert f"study `night` is run by process {first} on " in refused.err

    assert tuner("pause", folder=tmp_path).status == 0
    wait_until(lambda: status(tmp_path)["state"] == "paused", "the pause")
    wait_until(lambda: servers(first) == [], "the server's end")
    assert tuner("continue", "night", folder=tmp_path).status == 0
    wait_until(lambda: servers(first) != [], "a server")
    assert status(tmp_path)["state"] == "running"

    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not psutil.pid_exists(first), "the tuner's end")
    gone = status(tmp_path)
    assert (gone["state"], gone["doing"]) == ("gone", "")
    assert gone["why"] == "its tuner was killed; `tuner resume night` goes on with it"
    assert tuner("stop", "night", folder=tmp_path).status == 2

    resumed = tuner("resume", "night", "--detach", "--json", folder=tmp_path)
    assert resumed.status == 0, resumed.err
    assert resumed.json["owner"] != gone["owner"]
    wait_until(lambda: trials(tmp_path) > gone["trials"]["searched"], "another trial")
    watching = begin("attach", "night", folder=tmp_path)
    assert tuner("stop", folder=tmp_path).status == 0
    _, shown = watching.communicate(timeout=120)

    ended = status(tmp_path)
    assert watching.returncode == 0, shown
    assert "the tuner before was killed; another one went on" in shown
    assert re.search(r"^trial 0 \(baseline\): ", shown, re.MULTILINE)
    assert (ended["state"], ended["why"]) == ("ended", "it was asked to stop")
    assert ended["trials"]["finals"] >= 1
    # Whether the only final met its budget beside other tests is not this test's matter.
    winner = {"serve.sh"} if tuner("best", "night", folder=tmp_path).status == 0 else set()
    written = {"tuner.log", "report.html"} | winner
    reports = tmp_path / "reports" / "night"
    wait_until(lambda: {each.name for each in reports.iterdir()} == written, "the report")


NIGHT = """
first: {space: mine.yaml, budget-ms: 60, percentile: 90, trials: 1, confirmations: 0}
broken: {space: nothing.yaml, budget-ms: 60}
last: {space: mine.yaml, budget-ms: 60, percentile: 90, trials: 1, confirmations: 0, share: 2}
"""


def test_several_studies(tmp_path: Path, postgres: str) -> None:
    """In a PostgreSQL: one fails, the others are run; asked again, what has ended stays so."""
    (tmp_path / "night.yaml").write_text(NIGHT)

    asked = ("jobs", "night.yaml", "--db", postgres, "--json")

    done = tuner(*asked, "--timeout", "4m", folder=tmp_path)
    again = tuner(*asked, folder=tmp_path)

    assert (done.status, again.status) == (1, 1)
    assert [(each["study"], each["state"]) for each in done.json] == [
        ("first", "ended"),
        ("last", "ended"),
    ]
    assert all(each["best"] > 0 for each in done.json)
    assert "error: broken: nothing.yaml: " in done.err
    assert done.err.endswith("error: these studies failed: broken\n")
    assert "study first has ended already" in again.err
    assert [each["trials"] for each in again.json] == [each["trials"] for each in done.json]
    assert not (tmp_path / "studies.db").exists()
