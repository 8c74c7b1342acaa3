"""What `--help` shows as an example works: whole commands, and values of options."""

import re
import shlex
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import Tuner, commands
from tests.exports.deployable import built_in
from tests.report import studies
from tests.store.test_storage import stored
from tests.targets import model_files as files
from tuner.goals import SearchBudget
from tuner.service.access import tokens
from tuner.service.access.principal import Role
from tuner.store.ownership import held
from tuner.store.storage import Storage

CLOSED = "127.0.0.1:9"
SHORT = ("--duration", "0.2s", "--warm-up", "0.1s")
SPACE = """
server: command
serve: {command: [python, server.py], request: {path: /}}
parameters:
  n: {type: int, low: 1, high: 2, default: 1, sets: {template: n}}
"""
LEAVES = [words for words, each in commands().items() if not hasattr(each, "commands")]
# What needs a server, a study that runs, or a quiet machine.
ASKING = [("pause",), ("continue",), ("stop",)]
OTHERWISE = [
    *ASKING,
    *(
        ("optimize",),
        ("measure",),
        ("jobs",),
        ("resume",),
        ("retry",),
        ("attach",),
        ("doctor",),
        ("fleet", "status"),
        ("fleet", "doctor"),
        ("run",),
        ("check",),
        ("serve",),
    ),
]
# What only `optimize` takes, and not `plan`, or what needs others.
_OF_STUDIES = re.compile(
    r" --(?:study|db|output|warm-start|seed|service|fleet) \S+| --(?:detach|wait)"
)


class Cat(BaseHTTPRequestHandler):
    """Finds a cat in everything."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "16")
        self.end_headers()
        self.wfile.write(b'{"label": "cat"}')

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return files.three_forms(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def cat() -> Iterator[str]:
    """Where a server answers that every picture is one of a cat."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Cat) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(autouse=True)
def _files(made: Path, folder: Path) -> None:
    """What the examples name."""
    (folder / "model.onnx").symlink_to(made / "mlp.onnx")
    (folder / "model.pt").symlink_to(made / "mlp.pt")
    (folder / "server.yaml").write_text(SPACE)
    (folder / "request.json").write_text("{}")
    tokens.add(folder / "tokens", "ci", Role.RUN)
    (folder / "day.csv").write_text("time,requests per second\n08:00,1200\n20:00,300\n")
    night = replace(studies.night(), name="night", space=built_in("triton"))
    earlier = replace(night, name="earlier", created_at=studies.BEGAN.replace(year=2025))
    stored(folder / "studies.db", night, earlier)


def shown(tuner: Tuner, words: tuple[str, ...]) -> list[str]:
    """The examples in the help of a command."""
    text = tuner(*words, "--help").out.partition("\nExamples:\n")[2]
    lines = text.replace("\\\n", "").splitlines()
    return [line.strip().partition(" > ")[0] for line in lines]


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_every_command_has_examples(tuner: Tuner, words: tuple[str, ...]) -> None:
    """They are commands, and stand in the help as they are typed."""
    examples = shown(tuner, words)
    assert examples
    assert all(each.startswith(f"tuner {' '.join(words)}") for each in examples)


@pytest.mark.parametrize("words", [each for each in LEAVES if each not in OTHERWISE], ids=" ".join)
def test_examples_are_run(tuner: Tuner, words: tuple[str, ...]) -> None:
    """Where the files that they name are there, all of them succeed."""
    for example in shown(tuner, words):
        result = tuner(*shlex.split(example)[1:])
        assert result.status == 0, (example, result.err)


def test_examples_of_asking_are_run(tuner: Tuner) -> None:
    """Of a study that runs, here in this process."""
    with (
        Storage("studies.db") as storage,
        held(storage, "night", limits=SearchBudget().as_record()),
    ):
        for words in ASKING:
            for example in shown(tuner, words):
                result = tuner(*shlex.split(example)[1:])
                assert result.status == 0, (example, result.err)
    [example] = shown(tuner, ("attach",))
    assert tuner(*shlex.split(example)[1:]).status == 0


def test_examples_of_a_search_are_planned(tuner: Tuner) -> None:
    """What would be searched is read and checked, up to where a server would start."""
    command = commands()["optimize",]
    for example in shown(tuner, ("optimize",)):
        arguments = shlex.split(example)[2:]
        command.make_context("optimize", list(arguments))
        plan = _OF_STUDIES.sub("", example).replace("tuner optimize", "plan", 1)
        result = tuner(*shlex.split(plan))
        assert result.status == 0, (example, result.err)


def test_examples_of_measuring(tuner: Tuner, cat: str) -> None:
    """With a server, they measure; without one, no option is to blame."""
    for example in shown(tuner, ("measure",)):
        is_http = "--service-kind http" in example
        there = re.sub(r"127\.0\.0\.1:800\d", cat if is_http else CLOSED, example)
        result = tuner(*shlex.split(there)[1:], *SHORT)
        assert result.status == (0 if is_http else 1), (example, result.err)
        assert is_http or CLOSED in result.err


def values(help_text: str) -> list[str]:
    """The values that the help of an option ends with: `Time: 90s, 3m.`, `such as 07:00`."""
    found = re.search(r"(?:: |such as )((?:\S+, (?:or )?)*\S+?)\.?$", help_text)
    listed = re.split(r", (?:or )?", found[1].rstrip(")")) if found else []
    return [each for each in listed if re.search(r"[\d$]", each)]


OPTIONS = [
    (name, option, value)
    for name in ("plan", "optimize", "measure")
    for parameter in commands()[name,].params
    for option in [max(getattr(parameter, "opts", [""]), key=len)]
    for value in values(getattr(parameter, "help", None) or "")
]
# What an option needs beside it.
BESIDE: dict[str, tuple[str, ...]] = {
    "--input": ("model.pt",),
    "--port": ("--runner", "remote", "--url", f"http://{CLOSED}", "--server", "torchserve"),
    **dict.fromkeys(
        ("--memory", "--shm-size", "--gpus", "--ulimit", "--user"),
        ("--runner", "docker", "--image", "triton"),
    ),
    "--json-path": ("--service-kind", "http"),
}
# The same of a measurement, where it is something else.
BESIDE_MEASURE: dict[str, tuple[str, ...]] = {
    "--input": (),  # here it is of a server
    **dict.fromkeys(("--prompt-tokens", "--extra"), ("--service-kind", "openai")),
    "--think-time": ("--service-kind", "openai", "--sessions"),
}


def test_values_are_found() -> None:
    """The test below would prove nothing without them."""
    found: dict[str, list[Any]] = {}
    for name, option, value in OPTIONS:
        found.setdefault(f"{name} {option}", []).append(value)
    assert found["plan --timeout"] == ["90s", "3m", "2h"]
    assert found["plan --until"] == ["07:00"]
    assert found["measure --json-path"] == ["$.label", '$.label="cat"']
    assert found["measure --stability"] == ["10%"]
    assert len(found) > 20


@pytest.mark.parametrize(("name", "option", "value"), OPTIONS)
def test_values_are_taken(tuner: Tuner, cat: str, name: str, option: str, value: str) -> None:
    """Whatever else is wrong: the option takes the value that its help has."""
    beside = BESIDE.get(option, ())
    if name == "measure":
        where = cat if option == "--json-path" else CLOSED
        beside = BESIDE_MEASURE.get(option, beside)
        result = tuner("measure", f"http://{where}", "-m", "m", option, value, *beside, *SHORT[2:])
        there_are_less = f"`{option}` names CPU" in result.err  # than a machine may have
        assert result.status in (0, 1) or there_are_less, result.err
        return
    commands()[name,].make_context(name, ["--budget-ms", "50", option, value, *beside])
    if name == "optimize":  # what `plan` has not; processors may be more than there are here
        assert option in ("--engine-cpus", "--server-cpus") or ("plan", option, value) in OPTIONS
        return
    result = tuner("plan", "--budget-ms", "50", option, value, *beside)
    assert f"`{option}` must be" not in result.err, result.err
    assert f"Invalid value for '{option}'" not in result.err
