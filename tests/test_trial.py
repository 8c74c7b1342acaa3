"""One trial: the order of its steps, and every way in which a server can fail, made to happen."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from runners import ProcessRunner
from tests.target_tests.moody import Moody, moody
from tuner.capacity import LatencyBudget
from tuner.deployment import Deployment
from tuner.errors import Reason
from tuner.load import LoadEngine
from tuner.records import Purpose, TrialRecord, TrialState
from tuner.space import Configuration
from tuner.trial import Bench, TrialPlan, run_trial

BUDGET = LatencyBudget(99, 0.03)


@dataclass
class Events:
    """An Observer that writes down what it is told."""

    seen: list[str] = field(default_factory=list)

    def trial_begins(self, number: int, purpose: Purpose, configuration: Configuration) -> None:
        del configuration
        self.seen.append(f"{purpose} {number} begins")

    def phase_begins(self, phase: str) -> None:
        self.seen.append(phase)

    def trial_ends(self, record: TrialRecord) -> None:
        self.seen.append(f"{record.number} is {record.state}")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Moody:
    return moody(tmp_path_factory.mktemp("moody"), start_timeout_s=4.0)


@pytest.fixture(scope="module")
def bench(model: Moody) -> Iterator[Bench]:
    runner = ProcessRunner(log_directory=model.workspace / "logs")
    with LoadEngine() as engine, Deployment(model.target, runner) as deployment:
        yield Bench(model.target, deployment, engine, BUDGET, Events())


@pytest.mark.parametrize("mood", [
    "good",
    "raises at load",
    "hangs at load",
    "crashes the server at load",
    "never answers well",
    "crashes the server",
    "takes all memory",
    "ends",
    "hangs",
    "refuses",
    "gives NaN",
    "adds the batch",
])
def test_x(bench, model, mood):
    bench.observer = Events()
    c = model.configuration(mood)
    if mood == "adds the batch": c= model.configuration(mood, dynamic_batching=True, max_batch_size=8)
    r = run_trial(bench, TrialPlan(number=0, purpose=Purpose.SEARCH, configuration=c))
    print(mood, r.state, r.reason, r.message, r.throughput, sep=" | ")
    print({k: round(v,2) for k,v in r.timings_s.items()}, bench.observer.seen)
    print(r.statistics)
    print("PROCS", model.processes())
    if r.log_tail: print("\n".join(l for l in r.log_tail.splitlines()[-8:]))
