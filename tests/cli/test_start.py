"""What a command does not need, it does not load: start-up is told by modules, not by a clock."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.report import studies
from tests.store.test_storage import stored

# Libraries that are slow to import, from the most to the least often needed.
SLOW = (
    *("numpy", "sqlalchemy", "httpx", "psutil", "yaml", "jinja2", "pandas", "plotly", "optuna"),
    *("alembic", "docker", "prometheus_client", "grpc", "tritonclient", "google.protobuf"),
)
NOWHERE = "http://127.0.0.1:9"
RUN = """import sys
from tuner.cli.main import main
sys.argv[1:] = {arguments!r}
try:
    main()
finally:
    print(*sys.modules, sep="\\n", file=sys.stderr)
"""


def loaded(code: str, folder: Path) -> set[str]:
    """Which of the slow libraries a program loads."""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder
    )
    modules = set(ended.stderr.splitlines())
    assert "tuner.errors" in modules, ended.stderr
    return modules & set(SLOW)


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (["--help"], ""),
        (["optimize", "--help"], ""),
        (["measure", "--help"], ""),
        (["report", "--help"], ""),
        (["studies", "list"], "numpy sqlalchemy"),
        (["capacity", "--demand", "9"], "numpy sqlalchemy yaml"),
        (["studies", "export", "--format", "csv"], "numpy sqlalchemy pandas"),
        (["best", "--tiers", "p99=50"], "numpy sqlalchemy yaml"),
        (["pareto"], "numpy sqlalchemy"),
        (["best"], "numpy sqlalchemy yaml"),
        (["best", "--budget-ms", "20"], "numpy sqlalchemy yaml"),
        (["hardware"], "numpy psutil yaml"),
        (["measure", NOWHERE, "-m", "m"], "numpy httpx psutil"),
        (["measure", NOWHERE, "--service-kind", "tfserving", "-m", "m"],
         "numpy httpx psutil"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "needs",
)  # fmt: skip
def test_a_command(tmp_path: Path, arguments: list[str], needed: str) -> None:
    """Help needs nothing but the options; a command what it works with."""
    stored(tmp_path / "studies.db", studies.small_study())

    assert loaded(RUN.format(arguments=arguments), tmp_path) == set(needed.split())


def test_the_load_engine(tmp_path: Path) -> None:
    """The process that sends has no client of the server's control plane, and no options."""
    code = "import sys, tuner.load.engine; print(*sys.modules, sep='\\n', file=sys.stderr)"

    assert loaded(code, tmp_path) == {"numpy"}


@pytest.mark.parametrize("arguments", [["serve"], ["tokens", "list", "--token-file", "tokens"]])
def test_a_service_without_its_extra(tmp_path: Path, arguments: list[str]) -> None:
    """Without a web server there is no service: what brings one is said, and nothing is made."""
    code = f"import sys\nsys.modules['fastapi'] = None\n{RUN.format(arguments=arguments)}"

    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )

    assert ended.returncode == 1
    assert ended.stderr.startswith(
        "error: the command needs the package fastapi, which is not installed\n"
        "hint: pip install 'serving-tuner[service]'\n"
    )
    assert not list(tmp_path.iterdir())
