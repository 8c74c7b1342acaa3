"""No command shows a user, a password, a header or a token, whatever it refuses."""

import sqlite3
from pathlib import Path

import pytest

from tests.command_line import Tuner
from tests.report import studies
from tuner.analysis import standings
from tuner.cli.best import measure_command
from tuner.cli.optimize import next_command
from tuner.errors import StorageError
from tuner.goals import Objective
from tuner.store.faults import translated

SECRETS = ("alice", "s3cret")
WHERE = "alice:s3cret@127.0.0.1"
CLOSED = "127.0.0.1:9"  # the port "discard", where nobody listens

URLS = [
    *(f"{scheme}://{WHERE}:9" for scheme in ("http", "https", "grpc", "grpcs", "ftp")),
    *(f"{WHERE}:9", f"http://{WHERE}:port", f"http://{WHERE}:9/v2?token=s3cret"),
    *(f"http://:s3cret@{CLOSED}", f"http://alice@{CLOSED}", f"http://{CLOSED}?token=s3cret"),
    *(f"http://alice:s3 cret@{CLOSED}", f"http://alice:s3@cret@{CLOSED}"),
    f"http://alice:s3`cret@{CLOSED}",
]
DATABASES = [
    *(f"postgresql://{WHERE}/name", f"oracul://{WHERE}/name", f"postgresql://{WHERE}:x/name"),
    *(f"mysql+pymysql://{WHERE}/name?password=s3cret", f"sqlite://{WHERE}/studies.db"),
    *(f"{WHERE}/studies.db", "postgresql+psycopg://alice:s3 cret@host:x/name"),
]
HEADERS = [
    *("s3cret", "Authorization Bearer s3cret", "alice s3cret: x", "X-Key: s3cr\u00e9t s3cret"),
    *(": s3cret", "X-Key: s3cret\nmore"),
]
STUDIES = [
    *(("optimize", "--budget-ms", "50"), ("report",), ("pareto",), ("best",), ("effects",)),
    *(("studies", "list"), ("studies", "show"), ("studies", "export", "--format", "csv")),
]
FILE = f"http://{WHERE}/file"
MEASURE = ("measure", f"http://{CLOSED}", "-m", "x")
GRPC = ("measure", f"grpc://{CLOSED}", "-m", "x")
PLAN = ("plan", "--budget-ms", "50")

COMMANDS = [
    *(("measure", url, "-m", "x", *more) for url in URLS for more in ((), ("-i", "grpc"))),
    *(("measure", url, "-m", "x", "--no-verify") for url in URLS),
    *((*PLAN, "--runner", "remote", "--url", url) for url in URLS),
    *(("optimize", "--budget-ms", "50", "--runner", "remote", "--url", url) for url in URLS[:2]),
    *((*PLAN, "--url", url) for url in URLS[:2]),
    *((*MEASURE, "--service-kind", "http", "--metrics-url", f"ftp://{WHERE}/x") for _ in "1"),
    *((*MEASURE, "--service-kind", "http", "--metrics-url", f"http://{WHERE}:x") for _ in "1"),
    *((*MEASURE, "-H", header) for header in HEADERS),
    *((*MEASURE, "-H", "X-Key: s3cret", "--service-kind", k) for k in ("triton", "tfserving")),
    *((*GRPC, "-H", "X-Key: s3cret", "--service-kind", k) for k in ("triton", "tfserving")),
    (*GRPC, "-H", "x-key-bin: s3cret"),
    (*MEASURE, "--service-kind", "http", "-H", "Content-Length: s3cret"),
    (*MEASURE, "--service-kind", "http", "--path", "x?key=s3cret"),
    # What a shell makes of a header without quotation marks.
    (*MEASURE, "-H", "Authorization:", "Bearer", "s3cret"),
    (*MEASURE[:2], f"http://{WHERE}"),
    (f"http://{WHERE}",),
    ("studies", f"http://{WHERE}"),
    *((*command, "--db", url) for command in STUDIES for url in DATABASES),
    (*PLAN, FILE),
    *((*PLAN, option, FILE) for option in ("--model-repository", "--space", "--body", "--model")),
    *((*PLAN, option, FILE) for option in ("--shape", "--input", "--variant", "--timeout")),
    *((*PLAN, option, FILE) for option in ("--until", "--input-data", "--server", "--trials")),
    *((*PLAN, "--runner", "docker", "--image", "x", o, FILE) for o in ("--mount", "--memory")),
    *((*PLAN, "--runner", "remote", "--url", "http://h", o, FILE) for o in ("--port",)),
    *(("spaces", word, FILE) for word in ("show", "check", "table")),
    ("repository", FILE, "--output", "o"),
]


def is_kept(*texts: str) -> bool:
    return not any(secret in text for text in texts for secret in SECRETS)


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda words: " ".join(words)[:80])
def test_what_is_refused(tuner: Tuner, folder: Path, arguments: tuple[str, ...]) -> None:
    """A refusal names the option and what was expected, and not who asks with what."""
    result = tuner(*arguments)
    assert result.status in (1, 2)
    assert "rror" in result.err
    assert "Traceback" not in result.err
    assert is_kept(result.out, result.err)
    assert all(is_kept(str(path)) for path in folder.iterdir())


@pytest.mark.parametrize("place", ["environment: {KEY: [s3cret]}", "environment: {KEY: 1234567}"])
def test_a_space_file(tuner: Tuner, folder: Path, place: str) -> None:
    """A variable or a header of the wrong type is named, not shown."""
    head = "server: command\nparameters: {a: {type: boolean, default: true, sets: {flag: -a}}}\n"
    for text in (
        f"serve: {{command: [x], request: {{path: /}}, {place}}}\n",
        "serve: {command: [x], request: {path: /, headers: {X-Key: 1234567}}}\n",
    ):
        (folder / "a.yaml").write_text(head + text)
        result = tuner("spaces", "check", "a.yaml")
        assert result.status == 2
        assert "a text was expected, but got ***" in result.err
        assert "1234567" not in result.err


def test_a_header_that_cannot_be_sent(tuner: Tuner, folder: Path) -> None:
    """A header of a space file is refused by its name."""
    (folder / "a.yaml").write_text(
        "server: command\n"
        "parameters: {a: {type: boolean, default: true, sets: {flag: -a}}}\n"
        'serve: {command: [x], request: {path: /, headers: {X-Key: "s3cret\\n"}}}\n'
    )
    result = tuner("plan", "--budget-ms", "50", "--space", "a.yaml")
    assert "requests cannot have the header `X-Key: ***`" in result.err
    assert is_kept(result.err)


def test_commands_that_are_suggested() -> None:
    """A command to go on with has the database without who asks for it."""
    study, database = studies.study(), "postgresql://alice:s3cret@host/name"
    suggested = (
        next_command(study, standings.standings(study), database),
        measure_command(study, study.budget, Objective.THROUGHPUT, database),
    )
    for command in suggested:
        assert command.endswith("--db 'postgresql://***@host/name'")
        assert is_kept(command)


def test_what_a_driver_says() -> None:
    """Drivers name the user in their messages; ours do not."""
    said = 'password authentication failed for user "alice" (s3cret), not malice'
    with (
        pytest.raises(StorageError) as caught,
        translated("postgresql://alice:s3cret@host/name?sslpassword=s3cret"),
    ):
        raise sqlite3.OperationalError(said)
    assert caught.value.message == (
        "postgresql://***@host/name?sslpassword=***: password authentication failed for user "
        '"***" (***), not malice'
    )
