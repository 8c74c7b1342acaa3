"""Does `tuner check` find a slower server, and is it silent where nothing has changed?

A study finds and confirms a winner for the bundled model of an accelerator, which sleeps for as
long as a batch takes: how fast it is, two numbers of its code say. Then the winner is checked
again and again, in turn on that model and on a copy of it in which each batch takes `--slowdown`
longer. A check is right if it calls the copy worse, and the model itself not.

What the winner loses is more than the slowdown says where the latency budget is tight, and
1 - 1 / (1 + slowdown) where it is not: each row has what was measured.

    python -m benchmarks.regression_check --runs 10 --json FILE
"""

import argparse
import json
import logging
import math
import re
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.landscapes.measure import Silent
from benchmarks.options import count, seconds
from benchmarks.tables import machine, spread, table
from tuner import demo
from tuner.goals import LatencyBudget, SearchBudget
from tuner.records import StudyRecord
from tuner.study import job
from tuner.study.check import CheckOutcome, CheckPlan, check

_MODEL = "accelerator"
_CONSTANTS = re.compile(r"^FIXED_S, EACH_S = ([\d.]+), ([\d.]+)$", re.MULTILINE)
_WANTED = {"unchanged": CheckOutcome.AS_GOOD, "slower": CheckOutcome.WORSE}


@dataclass(frozen=True)
class Run:
    """One check: on what, how it ended, now over then, what it took."""

    planted: str
    outcome: str
    ratio: float
    rounds: int
    spent_s: float
    then: Sequence[float]
    now: Sequence[float]

    @property
    def is_right(self) -> bool:
        """No alarm without a loss, and one with it."""
        alarm = self.outcome == CheckOutcome.WORSE
        return alarm == (_WANTED[self.planted] is CheckOutcome.WORSE)


def repository(folder: Path, factor: float) -> Path:
    """A folder with a copy of the model, of which each batch takes `factor` times as long."""
    shutil.copytree(demo.REPOSITORY / _MODEL, folder / _MODEL)
    file = folder / _MODEL / "1" / "model.py"
    changed, places = _CONSTANTS.subn(
        lambda found: "FIXED_S, EACH_S = {:g}, {:g}".format(
            *(factor * float(number) for number in found.groups())
        ),
        file.read_text(),
    )
    if places != 1:
        raise SystemExit(f"{file}: its two numbers were not found")
    file.write_text(changed)
    return folder


def asked(models: Path, database: Path, arguments: argparse.Namespace) -> job.Job:
    return job.Job(
        budget=LatencyBudget(99, arguments.budget_ms / 1e3),
        repository=models,
        model=_MODEL,
        database=str(database),
        study="regression",
        search_budget=SearchBudget(timeout_s=arguments.timeout),
    )


def checked(study: StudyRecord, wanted: job.Job, planted: str, plan: CheckPlan) -> Run:
    found = check(job.prepare(wanted), study, plan, Silent())
    ratio = found.winner.change.ratio
    return Run(
        planted=planted,
        outcome=found.outcome.value,
        ratio=ratio.estimate if ratio else math.nan,
        rounds=found.rounds,
        spent_s=found.spent_s,
        then=[round(each, 1) for each in found.winner.change.then],
        now=[round(each, 1) for each in found.winner.change.now],
    )


def report(runs: Sequence[Run]) -> str:
    rows = []
    for planted in _WANTED:
        own = [run for run in runs if run.planted == planted]
        outcomes = [sum(run.outcome == each for run in own) for each in CheckOutcome]
        rows.append(
            [
                planted,
                *map(str, outcomes),
                f"{sum(run.is_right for run in own)} of {len(own)}",
                spread([run.ratio for run in own], 3),
                f"{statistics.mean(run.rounds for run in own):.1f}",
                f"{statistics.mean(run.spent_s for run in own):.0f}",
            ]
        )
    outcomes_names = [each.value for each in CheckOutcome]
    headings = ["model", *outcomes_names, "right", "now over then", "rounds", "seconds"]
    return table(headings, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=count, default=10, help="checks of each model")
    parser.add_argument("--rounds", type=count, default=CheckPlan().rounds, help="of each check")
    parser.add_argument("--slowdown", type=seconds, default=0.1, help="share of a batch's time")
    parser.add_argument("--budget-ms", type=seconds, default=100.0)
    parser.add_argument("--timeout", type=seconds, default=240.0, help="of the study")
    parser.add_argument("--json", type=Path, help="also write everything there")
    arguments = parser.parse_args()
    logging.getLogger("optuna").setLevel(logging.WARNING)
    plan, runs = CheckPlan(rounds=arguments.rounds), list[Run]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        factors = {"unchanged": 1.0, "slower": 1 + arguments.slowdown}
        jobs = {
            planted: asked(repository(folder / planted, factor), folder / "studies.db", arguments)
            for planted, factor in factors.items()
        }
        study = job.run(job.prepare(jobs["unchanged"]), Silent())
        print(f"{machine()}. {len(study.finals)} finals.", flush=True)
        for number in range(arguments.runs):
            for planted, wanted in jobs.items():
                runs.append(checked(study, wanted, planted, plan))
                print(f"{number + 1}/{arguments.runs} {runs[-1]}", flush=True)
    print("\n" + report(runs))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(run) for run in runs], indent=1))


if __name__ == "__main__":
    main()
