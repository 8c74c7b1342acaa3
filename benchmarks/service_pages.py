"""How long the service takes to answer with 1,000 studies and 10,000 trials in its database.

    python -m benchmarks.service_pages --json FILE
    python -m benchmarks.service_pages --studies 100 --db FILE

Each address is asked twenty times over HTTP, one after the other; the median counts. No answer is
kept from one to the next. The database is made in a temporary folder, or at `--db` where there is
none yet: 1,000 studies of ten trials with ten load points each, and 1,000 jobs that ended.
"""

import argparse
import json
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from benchmarks.many_trials import many, study
from benchmarks.tables import machine, table
from tuner.cli.serve import job_options, limits, measure, words
from tuner.records import TrialRecord
from tuner.service.app import application
from tuner.service.command import OptimizeCommand
from tuner.service.server import Server
from tuner.service.service import Service
from tuner.service.settings import Settings
from tuner.space import spec
from tuner.space.resolution import resolve
from tuner.store.queue import QueueState, Submission, bring, submit
from tuner.store.rows import point_row, trial_row
from tuner.store.schema import tuner_load_points, tuner_trials
from tuner.store.storage import Storage
from tuner.study.given_space import space_path

_RUNS = 20
_TRIALS = 10
# What the issue asks for, in seconds.
ANSWER_S, PAGE_S = 0.1, 0.3
_STUDY = "/api/v1/studies/night-500"
ADDRESSES: Mapping[str, float] = {
    "/healthz": ANSWER_S,
    "/readyz": ANSWER_S,
    "/metrics": ANSWER_S,
    "/api/v1/openapi.json": ANSWER_S,
    "/api/v1/jobs": ANSWER_S,
    "/api/v1/jobs/1": ANSWER_S,
    "/api/v1/jobs/1/changes": ANSWER_S,
    "/api/v1/jobs/1/deliveries": ANSWER_S,
    "/api/v1/studies": ANSWER_S,
    "/api/v1/studies?limit=100": ANSWER_S,
    "/api/v1/studies?offset=900": ANSWER_S,
    "/api/v1/studies?state=running": ANSWER_S,
    "/api/v1/studies?state=unknown&limit=20": ANSWER_S,
    _STUDY: ANSWER_S,
    f"{_STUDY}?trials=false": ANSWER_S,
    f"{_STUDY}/trials": ANSWER_S,
    f"{_STUDY}/load-points": ANSWER_S,
    f"{_STUDY}/summary": ANSWER_S,
    f"{_STUDY}/pareto": ANSWER_S,
    f"{_STUDY}/best": ANSWER_S,
    f"{_STUDY}/best?budget_ms=20&percentile=95": ANSWER_S,
    f"{_STUDY}/capacity?demand=5000": ANSWER_S,
    f"{_STUDY}/capacity?demand=5000&budget_ms=20&budget_ms=40": ANSWER_S,
    f"{_STUDY}/effects": ANSWER_S,
    f"{_STUDY}/hints": ANSWER_S,
    f"{_STUDY}/report?format=md": ANSWER_S,
    f"{_STUDY}/report": ANSWER_S,
    f"{_STUDY}/exports": ANSWER_S,
    f"{_STUDY}/exports/config.pbtxt": ANSWER_S,
    "/api/v1/compare?study=night-500&study=night-501": ANSWER_S,
    "/api/v1/capacity?study=night-500&study=night-501&demand=5000": ANSWER_S,
    "/api/v1/spaces": ANSWER_S,
    "/api/v1/spaces/triton": ANSWER_S,
    "/api/v1/models": ANSWER_S,
    "/api/v1/machine/doctor": ANSWER_S,
    "/api/v1/machine/hardware": ANSWER_S,
    "/": PAGE_S,
    "/queue": PAGE_S,
    "/jobs/new": PAGE_S,
    "/jobs/1": PAGE_S,
    "/jobs/1/now": PAGE_S,
    "/studies": PAGE_S,
    "/studies?offset=900": PAGE_S,
    "/studies?name=night-9&state=unknown": PAGE_S,
    "/studies/night-500": PAGE_S,
    "/studies/night-500?budget-ms=20": PAGE_S,
    "/trials?study=night-500": PAGE_S,
    "/hints?study=night-500": PAGE_S,
    "/compare?study=night-500&study=night-501": PAGE_S,
    "/planner?study=night-500&demand=5000&price=0.5": PAGE_S,
    "/models": PAGE_S,
    "/machine": PAGE_S,
}
"""What is asked for, and the seconds that it may take."""


@dataclass(frozen=True)
class Asked:
    """An address with the median of its answers in seconds, and what the issue allows."""

    address: str
    median_s: float
    bound_s: float
    status: int
    size: int


def fill(storage: Storage, studies: int) -> None:
    """Write that many studies and jobs."""
    file = space_path("triton")
    bounds = {"cores": 64, "memory_gib": 8, "numa_nodes": 1, "threads_per_core": 1}
    space = resolve(spec.load_space(file), bounds | {"numactl": 0, "gpus": 0}, file=file)
    trials = list(many(_TRIALS * 7, space))
    for number in range(studies):
        begin = number % 7 * _TRIALS
        own = [replace(t, number=n) for n, t in enumerate(trials[begin : begin + _TRIALS])]
        first = replace(trials[0], throughput=400.0 + number)
        record = study(space)
        name, created_at = f"night-{number}", record.created_at + timedelta(hours=number)
        storage.create_study(replace(record, name=name, created_at=created_at))
        storage.write(partial(_insert, [first, *own[1:]]))
        job, _ = submit(
            storage,
            Submission(
                study=f"job-{number}",
                machine="bench",
                options={"budget_ms": 50.0},
                by="local",
                log="",
            ),
        )
        bring(storage, job.id, QueueState.DONE, expected=[QueueState.QUEUED])


def _insert(trials: Sequence[TrialRecord], connection: Any) -> None:
    """The trials of the newest study."""
    latest = connection.exec_driver_sql("SELECT max(id) FROM tuner_studies").scalar_one()
    for trial in trials:
        row = {**trial_row(trial), "study_id": latest}
        made = connection.execute(tuner_trials.insert().values(row))
        rows = [
            {**point_row(point), "position": position, "trial_id": made.inserted_primary_key[0]}
            for position, point in enumerate(trial.points)
        ]
        connection.execute(tuner_load_points.insert(), rows)


@contextmanager
def served(database: Path, folder: Path) -> Iterator[httpx.Client]:
    """A client of a service with this database; no job runs."""
    with (
        Storage(str(database), create=True) as storage,
        socket.create_server(("127.0.0.1", 0)) as listening,
    ):
        port = listening.getsockname()[1]
        settings = Settings(database=str(database), folder=folder, port=port)
        service = Service(
            settings, storage, OptimizeCommand(job_options(), words, limits, measure)
        )
        server = Server(uvicorn.Config(application(service, kept_s=0.0), log_level="warning"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        token = (folder / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        address = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=address, headers=headers, timeout=60) as client:
            yield client
        server.should_exit = True
        thread.join()


def asked(client: httpx.Client, address: str, bound_s: float, runs: int) -> Asked:
    """The median of so many answers."""
    spent, answer = [], client.get(address)
    for _ in range(runs):
        began = time.perf_counter()
        answer = client.get(address)
        spent.append(time.perf_counter() - began)
    median_s = statistics.median(spent)
    return Asked(address, median_s, bound_s, answer.status_code, len(answer.content))


def report(found: list[Asked]) -> str:
    rows = [
        [f"`{each.address}`", f"{1e3 * each.median_s:.1f}", f"{1e3 * each.bound_s:g}",
         f"{each.size / 1e3:.1f}", str(each.status)]
        for each in found
    ]  # fmt: skip
    late = [each.address for each in found if each.median_s > each.bound_s]
    said = f"Longer than wanted: {', '.join(late)}." if late else "All as wanted."
    headings = ["address", "median, ms", "wanted, ms", "kB", "status"]
    return f"{machine()}.\n\n{table(headings, rows)}\n\n{said}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--db", type=Path, help="a file for the database, made where it is not")
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=_RUNS)
    parser.add_argument("--json", type=Path, help="also write everything there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        database = options.db or Path(name, "studies.db")
        if not database.exists():
            with Storage(str(database), create=True) as storage:
                fill(storage, options.studies)
        with served(database, Path(name, "service")) as client:
            found = [asked(client, *each, options.runs) for each in ADDRESSES.items()]
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in found], indent=1))
    print(report(found))


if __name__ == "__main__":
    main()
