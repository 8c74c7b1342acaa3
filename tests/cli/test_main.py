"""The command line: what it refuses, in which words and with which status; help and plans."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tuner as package
from tests.command_line import Result, Tuner, commands, error
from tests.report import studies
from tests.store.test_storage import stored
from tuner import demo

MAIN = "from tuner.cli.main import main"
WITHOUT_TRITON = f"import sys; sys.modules['pytriton'] = None; {MAIN}; main()"
SWITCH = "{type: boolean, default: true, sets: {flag: --n}}"


def command(*words: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({} if path is None else {"PATH": path})}
    return subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=60,
    )


# What is said of each option, word for word: test_options.
BAD = [
    *(("--budget-ms", limit) for limit in ("0", "nan", "inf")),
    ("--percentile", "100"),
    ("--timeout", "soon"),
    ("--until", "25:00"),
    ("--shape", "3,224"),
]
BAD_FOR_OPTIMIZE = [
    ("--engine-cpus", "all"),
    ("--server-cpus", "3-1"),
    ("--start-timeout", "0s"),
]


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [
        *(("plan", *each) for each in BAD),
        *(("optimize", *each) for each in (*BAD, *BAD_FOR_OPTIMIZE)),
    ],
)
def test_bad_options(tuner: Tuner, folder: Path, command: str, option: str, value: str) -> None:
    """An option that cannot be used is named, with status 2, and nothing is started or written."""
    budget = [] if option == "--budget-ms" else ["--budget-ms", "50"]

    result = tuner(command, *budget, option, value)

    assert (result.status, result.out) == (2, "")
    assert result.err.startswith(f"error: `{option}` must be ")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("command", ["plan", "optimize"])
@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        (
            ("--model", "resnet50"),
            f"{demo.REPOSITORY}: has no model `resnet50` with a config.pbtxt",
            "models here: accelerator, encoder",
        ),
        (
            ("--input-data", "missing.json"),
            "missing.json: there is no such file or folder",
            "`--input-data` is `random`, `zero`, a JSON file, or a folder with a file per input",
        ),
        (
            ("--model-repository", "missing"),
            "missing: a model repository was expected, but there is no such folder",
            "a model repository is a folder with one folder for each model",
        ),
        (
            ("--space", "missing.yaml"),
            "missing.yaml: cannot be read: No such file or directory",
            "`tuner spaces list` shows the built-in spaces",
        ),
    ],
)
def test_what_is_not_there(
    tuner: Tuner, folder: Path, command: str, options: tuple[str, ...], message: str, hint: str
) -> None:
    """A model, a folder or a file that is not there is named, and nothing is written."""
    assert tuner(command, "--budget-ms", "50", *options) == error(message, hint)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "usage", "message"),
    [
        (
            ["optimize", "--budget-ms", "50", "--seed", "-1"],
            "optimize",
            "Invalid value for '--seed': Input should be greater than or equal to 0",
        ),
        *(
            (
                ["plan", "--budget-ms", "50", option, str(least - 1)],
                "plan",
                f"Invalid value for '{option}': Input should be greater than or equal to {least}",
            )
            for option, least in {"--trials": 1, "--finalists": 1, "--confirmations": 0}.items()
        ),
        (
            ["measure", "localhost", "--batch", "0"],
            "measure",
            "Invalid value for '-b' / '--batch': Input should be greater than or equal to 1",
        ),
        (
            ["plan", "--budget-ms", "fast"],
            "plan",
            "Invalid value for '--budget-ms': Input should be a valid number",
        ),
        (["plan", "--budget", "50"], "plan", "No such option: --budget"),
        (["measure", "--model", "m"], "measure", "Missing argument 'url'."),
        (["studies", "export"], "studies export", "Missing option '--format'."),
        (["best", "--format", "xml"], "best", "Invalid value for '--format'"),
        (["spaces", "show"], "spaces show", "Missing argument 'space'."),
        (["optimise"], "", "No such command 'optimise'."),
    ],
)
def test_misused_commands(tuner: Tuner, arguments: list[str], usage: str, message: str) -> None:
    """A missing or unknown option or command is named, under the command's name, status 2."""
    result = tuner(*arguments)

    assert (result.status, result.out) == (2, "")
    assert result.err.startswith(f"Usage: tuner {usage}".rstrip())
    assert f"\nError: {message}" in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("parameters: [", ""),
        ("extends: triton\nsurprise: 1\n", "surprise: there is no such key"),
        (
            f"server: torchserv\nparameters:\n  n: {SWITCH}\n",
            "is for the server `torchserv`, but only `triton`, `torchserve`, `tensorflow_serving`",
        ),
    ],
)
def test_space_files_that_cannot_be_used(
    tuner: Tuner, folder: Path, content: str, message: str
) -> None:
    """A fault in a space file names the file and the place; nothing is started."""
    (folder / "space.yaml").write_text(content)

    planned = tuner("plan", "--budget-ms", "50", "--space", "space.yaml")

    assert (planned.status, planned.out) == (2, "")
    assert planned.err.startswith("error: space.yaml: ")
    assert message in planned.err


def test_a_built_in_space_by_its_name(tuner: Tuner) -> None:
    """A space that no model gets by itself is chosen by its name."""
    plan = tuner("plan", "--budget-ms", "50", "--space", "triton_cache", "--json")

    assert plan.status == 0, plan.err
    names = {parameter["name"] for parameter in plan.json["space"]["parameters"]}
    assert {"cache", "response_cache", "dynamic_batching"} <= names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--db", "://"], "`://` is not a database URL"),
        (["--db", "."], ".: cannot be opened"),
        (["--db", "no/where.db"], "no/where.db: cannot be opened"),
        (["--db", "text.db"], "text.db: is not an SQLite database"),
    ],
)
def test_database_faults_come_before_any_start(
    tuner: Tuner, folder: Path, options: list[str], message: str
) -> None:
    """A database that cannot be used ends `optimize` before a server was started."""
    (folder / "text.db").write_text("text\n" * 1000)

    result = tuner("optimize", "--budget-ms", "50", *options)

    assert result.status == (2 if "URL" in message else 1)
    assert result.out == ""
    assert f"\nerror: {message}\nhint: " in result.err
    assert (folder / "text.db").read_text() == "text\n" * 1000


def test_a_changed_study_is_not_continued(tuner: Tuner, folder: Path) -> None:
    """The name of a study with another model is refused with status 2, before any start."""
    stored(folder / "studies.db", studies.small_study())

    result = tuner("optimize", "--budget-ms", "20", "--study", "encoder-p99-50ms")

    assert (result.status, result.out) == (2, "")
    assert (
        "\nerror: study `encoder-p99-50ms` cannot be continued: its latency budget changed "
        "from p99 <= 50 ms to p99 <= 20 ms\n"
    ) in result.err


def test_without_triton(folder: Path) -> None:
    """Without a Triton anywhere, the way to get one is said, with status 1 and no traceback."""
    ended = command("-c", WITHOUT_TRITON, "optimize", "--budget-ms", "50", path=str(folder))

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.splitlines()[1:] == [
        "error: Triton is not installed: neither `tritonserver` on PATH nor the wheel was found",
        "hint: pip install 'serving-tuner[triton]'",
    ]


def test_a_reader_that_goes_away(folder: Path) -> None:
    """`tuner spaces show triton | head -1` ends quietly."""
    with subprocess.Popen(
        [sys.executable, "-m", "tuner", "spaces", "show", "triton", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as shown:
        assert shown.stdout is not None
        assert shown.stderr is not None
        shown.stdout.close()
        assert b"Traceback" not in shown.stderr.read()


def test_version(tuner: Tuner) -> None:
    """`--version` prints the package's version."""
    assert tuner("--version") == Result(0, f"tuner {package.__version__}\n", "")


@pytest.mark.parametrize("words", commands())
def test_every_command_has_help(tuner: Tuner, words: tuple[str, ...]) -> None:
    """Every command says what it does, and what each of its options is for."""
    result = tuner(*words, "--help")

    assert (result.status, result.err) == (0, "")
    usage, _, sentence, *_ = result.out.splitlines()
    assert usage.startswith(" ".join(("Usage: tuner", *words)))
    assert sentence.strip()
    assert [p.name for p in commands()[words].params if not p.help] == []


def test_help_shows_options_by_what_they_are_about(tuner: Tuner) -> None:
    """Whoever has dozens of options to choose from finds them in groups."""
    lines = tuner("optimize", "--help").out.splitlines()
    titles = [line[:-1] for line in lines if line[-1:] == ":" and line[0] != " "]

    assert titles == [
        *("Arguments", "Latency budget and time", "Model", "Search", "Load", "The prompts"),
        *("Where the server runs", "Fleet", "Study and results", "Service", "Options", "Examples"),
    ]


@pytest.mark.parametrize("width", [40, 80, 130])
def test_tables_break_no_name(width: int) -> None:
    """A table in a pipe is as wide as `COLUMNS` says, or as its names need."""
    environment = {**os.environ, "COLUMNS": str(width)}
    ended = subprocess.run(
        [sys.executable, "-m", "tuner", "spaces", "show", "triton"],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    lines = ended.stdout.splitlines()

    for name in ("max_queue_delay_microseconds", "OPENBLAS_NUM_THREADS"):
        assert any(name in line.split() for line in lines)
    assert "dynamic_batching.max_queue_delay_microseconds" in ended.stdout
    rule = next(line for line in lines if set(line) == {" ", "─"})
    assert (len(rule) <= width) == (width == 130)


@pytest.mark.parametrize("words", [(), ("studies",), ("spaces",)])
def test_groups_without_a_command_show_help(tuner: Tuner, words: tuple[str, ...]) -> None:
    """Whoever types too little sees what there is."""
    result = tuner(*words)

    assert result.status == 2
    assert "Commands:" in result.out + result.err
