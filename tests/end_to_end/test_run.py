"""`tuner run` as a person would: a server in the foreground, until somebody ends it."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from runners.ports import choose_free_ports
from tests.end_to_end.command import TUNER, descendants, tuner
from tests.report import studies
from tests.store.test_storage import stored
from tuner.space import spec
from tuner.space.resolution import resolve

# It answers with what it was started with, and ends when it is told to.
SERVER = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Told(BaseHTTPRequestHandler):
    def do_POST(self):
        if self.path == "/end":
            os._exit(3)
        names = ("THREADS", "FURTHER")
        body = json.dumps({name: os.environ.get(name) for name in names}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

HTTPServer(("127.0.0.1", int(sys.argv[1])), Told).serve_forever()
"""
SPACE = """
server: command
serve:
  command: [PYTHON, server.py, "{port:http}"]
  reads: [server.py]
  request: {path: /}
parameters:
  threads: {type: int, low: 1, high: 4, default: 1, sets: {environment: [THREADS]}}
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A folder with the database of a study that found 4 threads the best."""
    (tmp_path / "server.py").write_text(SERVER)
    file = tmp_path / "told.yaml"
    file.write_text(SPACE.replace("PYTHON", sys.executable))
    space = resolve(spec.load_space(file), {}, file=file)
    trials = [
        studies.baseline(100.0, configuration=space.defaults),
        studies.trial(1, 400.0, configuration=space.activate({"threads": 4})),
    ]
    found = studies.study(
        trials,
        name="told",
        server="command",
        model="told",
        space=space,
        place={"runner": "process"},
        options={"space": str(file), "budget_ms": 50.0},
    )
    stored(tmp_path / "studies.db", found)
    return tmp_path


@contextmanager
def running(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, and the address that it prints once the server is ready."""
    with subprocess.Popen(
        [TUNER, "run", *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip().removeprefix("http: ")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), {"THREADS": "4", "FURTHER": None}),
        (
            ("--trial", "0", "--env", "FURTHER=more of it", "--env", "THREADS=2"),
            {"THREADS": "2", "FURTHER": "more of it"},
        ),
    ],
    ids=["winner", "trial"],
)
def test_it_serves_until_it_is_ended(
    study: Path, options: tuple[str, ...], told: dict[str, str | None]
) -> None:
    """With the configuration and the variables, at the port; afterwards nothing is left."""
    port = choose_free_ports(["http"])["http"]
    with running(study, "--port", f"http={port}", *options) as (process, url):
        assert url == f"http://127.0.0.1:{port}"
        assert httpx.post(url).json() == told
        left = descendants(process)
        process.send_signal(signal.SIGTERM if options else signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the model `told` has changed since the study\n" in said  # the record made one up
    assert '"POST / HTTP/1.1" 200' in said  # what the server logs
    assert not any(each.is_running() for each in left)


def test_a_server_that_ends_by_itself(study: Path) -> None:
    """The command ends as well, and says how the server did."""
    with running(study) as (process, url):
        with suppress(httpx.TransportError):
            httpx.post(f"{url}/end")
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.endswith("error: the server exited with code 3\n")


def test_as_json(study: Path) -> None:
    """Where it is, and what it serves."""
    with running(study, "--json") as (process, first):
        assert process.stdout is not None
        rest = "".join(iter(process.stdout.readline, "}\n"))
        process.terminate()
        process.communicate(timeout=60)
    said = json.loads(first + rest + "}")
    assert (said["study"], said["trial"], said["model"]) == ("told", 1, "told")
    assert list(said["urls"]) == ["http"]
    assert said["profile"] is None


def test_a_port_that_it_does_not_have(study: Path) -> None:
    """It is said which there are."""
    finished = tuner("run", "--port", "grpc=9", folder=study)

    assert finished.status == 2
    assert "error: the server has no port `grpc`\nhint: it has `http`\n" in finished.err
