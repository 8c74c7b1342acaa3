"""Does the service keep to its OpenAPI document, whatever is sent to it? (schemathesis)

    pip install schemathesis
    python -m benchmarks.api_contract --examples 100

A service without a dispatcher (no job is run) with a study and jobs in several states is asked for
all that its document names, with valid data, with data that is not, and one call after another.
The streams of events are left out: they do not end. Ends with the status of schemathesis: 1 if an
answer was an error of the service, or was none that the document names.
"""

import argparse
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import uvicorn

from benchmarks.many_trials import many, study
from benchmarks.options import count, program
from tuner.cli.serve import job_options, limits, measure, words
from tuner.service.app import application
from tuner.service.command import OptimizeCommand
from tuner.service.jobs.submission import submitted
from tuner.service.server import Server
from tuner.service.service import Service
from tuner.service.settings import Settings
from tuner.space import spec
from tuner.space.resolution import resolve
from tuner.store.queue import QueueState, bring
from tuner.store.storage import Storage
from tuner.study.given_space import space_path

_TRIALS = 30
# The names and numbers of the examples in the document.
_STUDY = "resnet50-night"
_JOBS = 7
# A schema cannot say all that makes an option usable; and who fails too often with a wrong token
# has to wait, which is an answer (429) that the check of tokens does not know.
_NOT_CHECKED = ("positive_data_acceptance", "ignored_auth")
_MACHINE = ("cores", "memory_gib", "numa_nodes", "threads_per_core", "numactl", "gpus")


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, str]]:
    """The address of a service, and its token."""
    settings = Settings(database=str(folder / "studies.db"), folder=folder / "service")
    command = OptimizeCommand(job_options(), words, limits, measure)
    with (
        Storage(settings.database, create=True) as storage,
        socket.create_server(("127.0.0.1", 0)) as listening,
    ):
        port = listening.getsockname()[1]
        service = Service(replace(settings, port=port), storage, command)
        _fill(service)
        app = application(service)
        app.state.dispatcher = SimpleNamespace(is_well=True)
        server = Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            token = (settings.folder / "token").read_text().strip()
            yield f"http://127.0.0.1:{port}", token
        finally:
            server.should_exit = True
            thread.join()


def _fill(service: Service) -> None:
    for number in range(_JOBS):
        name = "" if number else _STUDY
        submitted(service, {"budget_ms": 50.0}, by="ada", study=name)
    states = (QueueState.DONE, QueueState.FAILED, QueueState.RUNNING)
    for number, state in enumerate(states, start=1):
        bring(service.storage, number, state, expected=[QueueState.QUEUED])
    file = space_path("triton")
    space = resolve(spec.load_space(file), dict.fromkeys(_MACHINE, 2), file=file)
    service.storage.create_study(replace(study(space), name=_STUDY))
    for trial in many(_TRIALS, space):
        service.storage.save_trial(_STUDY, trial)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--schemathesis", type=program, default="st", help="its program")
    parser.add_argument("--examples", type=count, default=100, help="most for each operation")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, served(Path(name)) as (url, token):
        words = [str(asked.schemathesis), "run", f"{url}/api/v1/openapi.json"]
        words += ["--header", f"Authorization: Bearer {token}", "--checks", "all"]
        words += ["--exclude-checks", ",".join(_NOT_CHECKED)]
        words += ["--mode", "all", "--exclude-path-regex", "/events$", "--no-color"]
        words += ["--max-examples", str(asked.examples), "--seed", str(asked.seed)]
        words += ["--request-timeout", "90", "--continue-on-failure"]
        status = subprocess.run(words, cwd=name, check=False).returncode
    sys.exit(status)


if __name__ == "__main__":
    main()
