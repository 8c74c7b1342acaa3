"""What is secret arrives at the server, and stands in nothing that a command leaves behind."""

import json
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from tests.end_to_end.command import EASY, Finished, tuner

SECRETS = (
    "s3cret-of-the-person",
    "s3cret-of-the-file",
    "s3cret-of-the-header",
    "s3cret-of-the-request",
    "s3cret-of-the-url",
)
HOOK = "s3cret-of-the-hook"
SERVER = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    body = ""

    def do_GET(self):
        told = [os.environ["HF_TOKEN"], os.environ["API_KEY"], self.headers["X-Key"], self.body]
        told.append(self.path.partition("token=")[2])
        right = self.path == "/health" or all(told)
        if self.path != "/health":
            with open(sys.argv[2], "w") as seen:
                json.dump(told, seen)
        self.send_response(200 if right else 401)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"42")

    def do_POST(self):
        self.body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["key"]
        self.do_GET()

    def log_message(self, *_):
        pass

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a server, and the file that describes it."""
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "server.py").write_text(SERVER)
    serve = {
        "command": [sys.executable, "server.py", "{port:http}", "{{ '' }}", "seen.json"],
        "environment": {"API_KEY": SECRETS[1]},
        "ready": "/health",
        "request": {
            "path": f"/predict?token={SECRETS[4]}",
            "body_files": ["request.json"],
            "headers": {"X-Key": SECRETS[2]},
        },
    }
    (folder / "request.json").write_text(json.dumps({"key": SECRETS[3]}))
    arenas = {"type": "int", "low": 1, "high": 2, "default": 1, "sets": {"environment": "ARENAS"}}
    space = {"server": "command", "serve": serve, "parameters": {"arenas": arenas}}
    (folder / "mine.yaml").write_text(json.dumps(space))
    return folder


class Hook(BaseHTTPRequestHandler):
    """Is told how studies ended, at addresses of which `paths` are kept."""

    paths: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.paths.append(self.path)
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def hook() -> Iterator[str]:
    """The address of a server that is told how a study ended; its path is a secret."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/{HOOK}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def optimized(folder: Path, hook: str) -> Finished:
    short = ("--trials", "1", "--confirmations", "0", "--timeout", "90s")
    arguments = ("optimize", "--space", "mine.yaml", *EASY, *short)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TOKEN", SECRETS[0])
        return tuner(*arguments, "--study", "kept", "--notify-url", hook, folder=folder)


def test_the_server_has_them(optimized: Finished, folder: Path) -> None:
    """The person's variable, the file's own, header, body and query reach the server."""
    assert optimized.status == 0, optimized.err
    assert Hook.paths == [f"/{HOOK}"]
    assert json.loads((folder / "seen.json").read_text()) == list(SECRETS)


def test_nothing_keeps_them(optimized: Finished, folder: Path) -> None:
    """They are in no output, in no report, in no script, and not in the database."""
    commands = "report --json", "best", "best --json", "studies show --json", "status --json"
    outputs = [optimized, *(tuner(*each.split(), folder=folder) for each in commands)]
    written = [folder / "studies.db", *(folder / "reports").rglob("*.*")]
    assert {path.name for path in written} >= {"studies.db", "report.html", "serve.sh"}
    for secret in (*SECRETS, HOOK):
        assert not any(secret in each.out + each.err for each in outputs)
        assert not any(secret.encode() in path.read_bytes() for path in written)


def test_the_script_asks_for_them(optimized: Finished, folder: Path) -> None:
    """What is handed over takes the secret from whoever runs it."""
    assert optimized.status == 0
    script = (folder / "reports" / "kept" / "serve.sh").read_text()
    assert ': "${API_KEY:?a secret, which is not stored}"\nexport API_KEY\n' in script
