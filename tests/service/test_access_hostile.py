"""Hostile requests, against the real service over HTTP: nothing gets in, and nothing gets out."""

import contextlib
import http.client
import os
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.service import hostile_archives, hostile_names
from tests.service.hostile import REQUESTS
from tests.service.hostile_options import OPTIONS, job
from tests.service.hostile_request import SECRET, Row, Sent, World
from tests.service.running import running
from tests.service.test_models import UNUSABLE as UNUSABLE_MODELS
from tests.service.test_spaces import BAD as BAD_SPACES
from tests.service.test_submission import REFUSED_WEBHOOKS
from tuner.service.access import tokens
from tuner.service.access.access import Access
from tuner.service.access.principal import Role
from tuner.service.settings import Settings
from tuner.store.queue import queued_jobs
from tuner.store.storage import Storage

HOSTILE = (*REQUESTS, *OPTIONS)
_SPACES = {
    "command.yaml": "server: command\nparameters:\n  n: {type: int, default: 1, low: 1, high: 2, "
    "sets: {template: n}}\nserve:\n  command: [touch, /tmp/owned]\n  request: {path: /}\n",
    "preload.yaml": "extends: triton\nparameters:\n  x: {type: categorical, default: default, "
    "choices: [default, /tmp/evil.so], sets: {environment: LD_PRELOAD}}\n",
    "flag.yaml": "extends: triton\nparameters:\n  x: {type: int, default: 1, low: 1, high: 2, "
    "sets: {flag: --backend-directory}}\n",
    "text.yaml": "extends: triton\nparameters:\n  x: {type: categorical, default: python, "
    "choices: [python, custom], sets: {config: backend}}\n",
    "broken.yaml": "server: [\n",
    "extends.yaml": "extends: ../outside/secret.onnx\n",
}
_CONFIGURATIONS = {
    "python/scripted": ('backend: "python"', "1/model.py"),
    "library/native": ('backend: "native"', "1/libtriton_native.so"),
    "saved/graph": ('platform: "tensorflow_savedmodel"', "1/model.savedmodel/saved_model.pb"),
    "operations/more": (
        'backend: "onnxruntime" model_operations { op_library_filename: ["weights.bin"] }',
        "1/weights.bin",
    ),
    "leading/away": (
        'backend: "onnxruntime" parameters { key: "p" value { string_value: "/tmp/x" } }',
        "1/model.onnx",
    ),
    "good/resnet": ('backend: "onnxruntime"', "1/model.onnx"),
}


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def _put(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _files(folder: Path) -> Settings:
    """Models and spaces as somebody states them, and what lies beside them."""
    for name in ("model.onnx", "model.pt", "sub/model.onnx", "store/model.mar"):
        _put(folder / "models" / name)
    for name, (configuration, file) in _CONFIGURATIONS.items():
        _put(folder / "models" / name / "config.pbtxt", configuration)
        _put(folder / "models" / name / file)
    for name, text in _SPACES.items():
        _put(folder / "spaces" / name, text)
    _put(folder / "outside" / "secret.onnx", SECRET)
    (folder / "models/link.onnx").symlink_to(folder / "outside/secret.onnx")
    (folder / "models/linked").symlink_to(folder / "outside")
    os.mkfifo(folder / "models/pipe")
    return Settings(
        database=str(folder / "studies.db"),
        folder=folder / "service",
        models=(folder / "models",),
        spaces=(folder / "spaces",),
        images=("allowed:1",),
        remotes=("http://127.0.0.1:9000",),
        token_file=folder / "tokens",
    )


def _tokens(path: Path) -> dict[str, str]:
    said = {str(role): tokens.add(path, str(role), role) for role in Role}
    past = datetime.now(UTC) - timedelta(seconds=1)
    said["expired"] = tokens.add(path, "expired", Role.ADMIN, past)
    said["removed"] = tokens.add(path, "removed", Role.ADMIN)
    return said


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Access]]:
    """One service for all of them: they change nothing."""
    folder = tmp_path_factory.mktemp("hostile")
    settings = _files(folder)
    assert settings.token_file
    said = _tokens(settings.token_file)
    entries = {each.name: each for each in tokens.read(settings.token_file)}
    tokens.remove(settings.token_file, "removed")
    with Storage(settings.database, create=True) as storage, running(settings, storage) as app:
        access: Access = app.state.access
        sessions = {
            name: access.sessions.begun(entries[name]) for name in ("admin", "run", "read")
        }
        sessions["ended"] = access.sessions.begun(entries["admin"])
        csrf = {}
        for name, text in sessions.items():
            session = access.sessions.read(text)
            assert session
            csrf[name] = session.csrf_token
            if name == "ended":
                access.sessions.end(session)
        yield (
            World(
                port=access.settings.port,
                folder=settings.folder,
                outside=folder / "outside",
                tokens=said,
                cookie_name=access.cookie,
                sessions=sessions,
                csrf=csrf,
                entries=entries,
            ),
            access,
        )


def _asked(world: World, sent: Sent) -> _Answer:
    """The answer to exactly these bytes; a client would refuse to send some of them."""
    pairs = list(sent.headers)
    if not any(name == "Host" for name, _ in pairs):
        pairs.insert(0, ("Host", world.host))
    pairs = [(name, value) for name, value in pairs if value != "\0none"]
    if sent.body:
        pairs.append(("Content-Length", str(len(sent.body))))
    lines = [f"{sent.method} {sent.path} HTTP/1.1", *(f"{n}: {v}" for n, v in pairs)]
    head = "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1")
    with socket.create_connection(("127.0.0.1", world.port), timeout=20) as connection:
        # It may be refused before it was sent.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(head + sent.body)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return _Answer(answer.status, answer.headers, answer.read())


def _names(rows: tuple[Row, ...]) -> list[str]:
    return [name for name, _, _ in rows]


@pytest.mark.parametrize("kind", sorted({name.partition(":")[0] for name in _names(HOSTILE)}))
def test_it_does_not_get_in_and_nothing_gets_out(served: tuple[World, Access], kind: str) -> None:
    """It is refused for its reason; no file, token, key or cookie is in the answer."""
    world, access = served
    for name, made, expected in HOSTILE:
        if name.partition(":")[0] != kind:
            continue
        # Each stands for itself: it is not refused for what was before.
        access.requests._failures.clear()
        access.logins._failures.clear()

        answer = _asked(world, made(world))

        assert answer.status in expected, (name, answer.body[:300])
        assert "set-cookie" not in answer.headers, name
        assert "server" not in answer.headers, name
        told = answer.body + str(answer.headers).encode()
        for secret in (SECRET, "root:x:", *world.tokens.values(), *world.sessions.values()):
            # What was said in a request may be said of it.
            assert secret.encode() not in told, name
        assert queued_jobs(access.storage) == (), name


def test_there_are_as_many_of_them_as_are_promised() -> None:
    """Each has a name of its own, and docs/service_access.md says how many there are."""
    assert len(set(_names(HOSTILE))) == len(HOSTILE)
    kinds = Counter(name.partition(":")[0] for name in _names(HOSTILE))
    numbers = {
        "tokens and identities": kinds["token"] + kinds["identity"],
        "cookies": kinds["cookie"],
        "logins": kinds["login"],
        "roles and forged requests of a browser": kinds["role"] + kinds["csrf"],
        "paths around the login": kinds["path"],
        "names of the host": kinds["host"],
        "options that name files": kinds["file"],
        "other options of jobs": kinds["option"],
        "archives": len(hostile_archives.HOSTILE),
        "models, and names of them": len(UNUSABLE_MODELS),
        "texts of search spaces": len(BAD_SPACES),
        "webhooks": len(REFUSED_WEBHOOKS),
        "names with scripts": len(hostile_names.NAMES),
    }
    page = (Path(__file__).parents[2] / "docs/service_access.md").read_text()
    for kind, number in {**numbers, "all": sum(numbers.values())}.items():
        assert f"| {kind} | {number} |" in page, (kind, number)
    assert sum(numbers.values()) >= 500


def test_what_is_allowed_is_let_in(served: tuple[World, Access]) -> None:
    """The same with what the service was started with: the table refuses for its reasons."""
    world, _ = served
    for role in Role:
        headers = (("Authorization", f"bearer {world.tokens[str(role)]}"),)
        assert _asked(world, Sent(headers=headers)).status == 200
        headers = (("Cookie", f"{world.cookie_name}={world.sessions[str(role)]}"),)
        assert _asked(world, Sent(headers=headers)).status == 200
    reader = ("Authorization", f"Bearer {world.tokens['read']}")
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1", "127.9.9.9", "[::1]:8900", "localhost."):
        assert _asked(world, Sent(headers=(("Host", host), reader))).status == 200
    assert (
        b"no file or folder that jobs may use"
        in _asked(world, job(world, model_file="nowhere.onnx")).body
    )
