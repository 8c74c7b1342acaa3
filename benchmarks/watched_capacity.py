"""Does it change what a study measures if many watch a job of the service meanwhile?

A study finds a winner for the bundled model of an accelerator. Then the winner's capacity is
measured on fresh starts, in turn alone and while `service_watchers`' load asks a service on the
same machine: 200 watchers of one job that tells three events a second, and 50 polls a second. The
watchers themselves run here, too, which those of a real service would not.

    python -m benchmarks.watched_capacity --pairs 8
"""

import argparse
import logging
import math
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from benchmarks import watcher_load
from benchmarks.landscapes.measure import Silent
from benchmarks.options import count, seconds
from benchmarks.regression_check import asked, repository
from benchmarks.service_watchers import STUDY, Writer, service
from benchmarks.tables import machine, spread, table
from tuner.records import StudyRecord
from tuner.study import job
from tuner.study.check import CheckPlan, check

_CONFIDENCE = 1.96
# Longer than a measurement takes; it is ended with it.
_LASTS_S = 600.0


@contextmanager
def watched(url: str, token: Path, options: argparse.Namespace) -> Iterator[None]:
    """The load for the length of the block."""
    words = [url, STUDY, "--token-file", str(token), "--seconds", str(_LASTS_S)]
    words += ["--watchers", str(options.watchers), "--polls", str(options.polls)]
    command = [sys.executable, "-m", "benchmarks.watcher_load", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as load:
        try:
            if load.stdout is None or load.stdout.readline() != b"joined\n":
                raise SystemExit("the load did not begin")
            yield
        finally:
            load.terminate()


def capacity(study: StudyRecord, wanted: job.Job) -> float:
    """Of the winner on one fresh start, in inferences per second."""
    found = check(job.prepare(wanted), study, CheckPlan(rounds=1), Silent())
    return statistics.mean(found.winner.change.now)


def report(alone: list[float], beside: list[float]) -> str:
    ratios = [math.log(b / a) for a, b in zip(alone, beside, strict=True)]
    mean, error = statistics.mean(ratios), statistics.stdev(ratios) / math.sqrt(len(ratios))
    low, high = (math.exp(mean + side * _CONFIDENCE * error) for side in (-1, 1))
    row = [
        spread(alone, 0),
        spread(beside, 0),
        f"{math.exp(mean):.4f}",
        f"{low:.4f} to {high:.4f}",
    ]
    return table(["alone, inf/s", "watched, inf/s", "ratio (paired)", "95 % interval"], [row])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=count, default=8)
    parser.add_argument("--budget-ms", type=seconds, default=100.0)
    parser.add_argument("--timeout", type=seconds, default=120.0, help="of the study")
    watcher_load.options(parser)
    options = parser.parse_args()
    logging.getLogger("optuna").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = repository(folder / "models", 1.0)
        wanted = asked(models, folder / "studies.db", options)
        study = job.run(job.prepare(wanted), Silent())
        alone: list[float] = []
        beside: list[float] = []
        database = str(folder / "service.db")
        with Writer(database), service(database, folder / "service") as (url, _):
            token = folder / "service" / "token"
            for number in range(options.pairs):
                # Each half of the pairs begins with the other one.
                for load in (False, True) if number % 2 == 0 else (True, False):
                    with watched(url, token, options) if load else nullcontext():
                        (beside if load else alone).append(capacity(study, wanted))
                print(f"pair {number + 1}: {alone[-1]:.0f} {beside[-1]:.0f}", file=sys.stderr)
    print(f"{machine()}.\n\n{report(alone, beside)}")


if __name__ == "__main__":
    main()
