"""A study's winner measured again: does the present server still carry what the study says?

from tuner.study.observer import Observer
In each round the winner and, as a canary, the server's defaults are started anew and measured, in
random order, as the study's finals did it. `analysis.loss` says what that proves. Nothing is
written: a check may run as often as one likes, and the study stays as it is.

What a loss is of, three figures tell:

- the winner, now over then: what is judged;
- the canary, now over then: where it has lost as well, at least a part of it is what all
  configurations share: the server, the model, or the machine;
- the load engine against a server that does nothing, now over then: the machine alone. It scatters
  by some 8 % from one time to the next, so only a change by more than a quarter counts, before the
  load and after it. A machine that is so much slower excuses a loss, one that is so much faster
  may hide one: neither is comparable.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum

from tuner.analysis import standings
from tuner.analysis.loss import FIRST_LOOK, Change, LossVerdict, looks
from tuner.errors import InputError
from tuner.load.calibration import Calibration, calibrate
from tuner.load.client import LoadEngine
from tuner.records import (
    NOT_ITS_FAULT,
    Golden,
    Phase,
    Purpose,
    StudyRecord,
    TrialRecord,
    TrialState,
)
from tuner.space.space import Configuration
from tuner.store.storage import Storage
from tuner.study import placement, workspaces
from tuner.study.again import expected, stretch
from tuner.study.comparable import Difference, differences
from tuner.study.deployment import Deployment
from tuner.study.job import PreparedJob, target_setup
from tuner.study.observer import Observer
from tuner.study.outputs import stored_golden
from tuner.study.trial import Bench, TrialPlan, run_trial
from tuner.study.trial_load import TrialLoad
from tuner.watch import gpu_usage
from tuner.watch.disturbances import host_watched

# A machine that is slower or faster by more than this share is another one, as in `drift`.
LARGEST_CHANGE = 0.25
# Where the first measurement says so, it takes this many that do.
_CALIBRATIONS = 3
# A start that this machine spoiled, or disturbed, is made again, up to this many times.
_RETRIES = 2


@dataclass(frozen=True, kw_only=True)
class CheckPlan:
    """At most so many rounds, begun within `timeout_s`; the share that may be lost."""

    rounds: int = 6
    timeout_s: float = 600.0
    tolerance: float = 0.05


@dataclass(frozen=True)
class Side:
    """One of the two configurations: the starts of the study, and those of now."""

    configuration: Configuration
    then: tuple[TrialRecord, ...]
    now: tuple[TrialRecord, ...] = ()

    @property
    def change(self) -> Change:
        return Change(
            [t.throughput for t in self.then if t.state is TrialState.FEASIBLE],
            [t.throughput for t in self.now if t.state is TrialState.FEASIBLE],
            len(self.failures),
        )

    @property
    def failures(self) -> tuple[TrialRecord, ...]:
        """Starts of now that carried nothing within the latency budget, by their own fault."""
        telling = (t for t in self.now if t.reason not in NOT_ITS_FAULT)
        return tuple(t for t in telling if t.state is not TrialState.FEASIBLE)


class CheckOutcome(StrEnum):
    """How a check ended."""

    AS_GOOD = "as good"
    WORSE = "worse"
    UNDECIDED = "undecided"
    NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True)
class Checked:
    """What a check found.

    `canary` is None where the winner is the server's defaults, or those carried nothing. `machine`
    has the load engine's own speed, now over then, before the load and, where that is far from 1,
    after it; nothing where it is not known.
    """

    study: StudyRecord
    plan: CheckPlan
    winner: Side
    canary: Side | None
    differences: tuple[Difference, ...] = ()
    machine: tuple[float, ...] = ()
    rounds: int = 0
    spent_s: float = 0.0

    @property
    def rules_out(self) -> tuple[Difference, ...]:
        """What has changed so that nothing need be measured."""
        return tuple(each for each in self.differences if each.rules_out)

    @property
    def verdict(self) -> LossVerdict:
        """What is proved of the winner alone."""
        return self.winner.change.verdict(self.plan.tolerance, looks(self.plan.rounds))

    @property
    def outcome(self) -> CheckOutcome:
        return CheckOutcome.NOT_COMPARABLE if self.obstacle else CheckOutcome(self.verdict.value)

    @property
    def obstacle(self) -> str:
        """Why then and now cannot be compared; empty where they can."""
        if self.rules_out:
            return "; ".join(map(str, self.rules_out))
        if not self.winner.change.now and not self.winner.failures:
            last = self.winner.now[-1].message if self.winner.now else "there was no time"
            return f"this machine spoiled every start: {last}"
        return self._other_speed

    @property
    def _other_speed(self) -> str:
        """A slower machine excuses a loss, a faster one may hide it; the other way round, not.

        One that was as fast as then at any moment is no other machine, but was disturbed.
        """
        if not self.machine or not all(map(_is_far, self.machine)):
            return ""
        lost = self.verdict is LossVerdict.WORSE
        if lost and max(self.machine) < 1:
            return f"this machine is slower: the load engine sends {max(self.machine):.2f}x"
        if not lost and min(self.machine) > 1:
            return f"this machine is faster: the load engine sends {min(self.machine):.2f}x"
        return ""


def sides(study: StudyRecord) -> tuple[Side, Side | None]:
    """The winner and the canary, as the study has them.

    Raises:
        InputError: There is no winner, or no fresh start has confirmed it.
    """
    found = standings.standings(study)
    if found.winner is None:
        raise InputError(
            f"study `{study.name}` has no winner that could be checked",
            hint="`tuner studies list` shows which studies have one",
        )
    if not found.winner.confirmations:
        raise InputError(
            f"no fresh start has confirmed the winner of study `{study.name}`: the best of a "
            "search is partly lucky, and would seem to have lost",
            hint=f"`tuner resume {study.name} --timeout 10m` runs its finals",
        )
    winner, baseline = found.winner.configuration, found.baseline
    side = Side(winner, tuple(standings.rests_on(study, winner)))
    if baseline is None or baseline.configuration == winner or not baseline.throughput:
        return side, None
    return side, Side(
        baseline.configuration, tuple(standings.rests_on(study, baseline.configuration))
    )


def check(
    prepared: PreparedJob,
    study: StudyRecord,
    plan: CheckPlan,
    observer: Observer,
    say: Callable[[str], None] = lambda _: None,
) -> Checked:
    """Measure the winner of `study` again, on what `prepared` says of the present.

    The server, the load engine and the workspace are gone afterwards; nothing was written.
    """
    began_s = time.monotonic()
    winner, canary = sides(study)
    known = Checked(study, plan, winner, canary)
    known = replace(known, differences=differences(study, prepared.study, winner.configuration))
    if known.rules_out:
        return known
    machine = _Machine(prepared, study)
    with _bench(prepared, study, machine, observer, say) as (bench, present):
        known = replace(known, differences=differences(study, present, winner.configuration))
        if not known.rules_out:
            known = _rounds(bench, known, began_s + plan.timeout_s)
    return replace(known, machine=machine.measured_again(), spent_s=time.monotonic() - began_s)


@dataclass
class _Machine:
    """The speed of the load engine on this machine, beside that of the study's time."""

    prepared: PreparedJob
    study: StudyRecord
    payload_bytes: int = 0
    ratios: list[float] = field(default_factory=list)

    def measured(self, payload_bytes: int) -> Calibration:
        """The engine's speed now, before the load."""
        self.payload_bytes = payload_bytes
        now = calibrate(payload_bytes=payload_bytes, cpus=self.prepared.job.engine_cpus)
        then = self._then()
        self.ratios += [now.rate / then.rate] if then else []
        return now

    def measured_again(self) -> tuple[float, ...]:
        """All ratios, once the server is gone: more of them where the first one is far off."""
        while any(map(_is_far, self.ratios)) and len(self.ratios) < _CALIBRATIONS:
            self.measured(self.payload_bytes)
        return tuple(self.ratios)

    def _then(self) -> Calibration | None:
        """None where another version of the load engine was measured, or only after the study."""
        version = "serving-tuner"
        if self.study.environment.get(version) != self.prepared.study.environment.get(version):
            return None
        host = str(self.study.hardware.get("fingerprint"))
        ended = max(trial.finished_at for trial in self.study.trials)
        with Storage(self.prepared.job.database) as storage:
            return storage.calibration(host, self.payload_bytes, until=ended)


def _is_far(ratio: float) -> bool:
    return not 1 - LARGEST_CHANGE <= ratio <= 1 / (1 - LARGEST_CHANGE)


@contextmanager
def _bench(
    prepared: PreparedJob,
    study: StudyRecord,
    machine: _Machine,
    observer: Observer,
    say: Callable[[str], None],
) -> Iterator[tuple[Bench, StudyRecord]]:
    """What runs the trials, and the present as a study would record it."""
    job = prepared.job
    with ExitStack() as stack:
        workspace = stack.enter_context(workspaces.opened())
        target = prepared.kind.target(prepared.model, prepared.space, target_setup(job, workspace))
        runner = stack.enter_context(
            placement.runner(job.place, prepared.kind, workspace / "logs", grpc=job.form.grpc)
        )
        target.stage()
        stack.enter_context(placement.restored(target, runner, say))
        engine = stack.enter_context(LoadEngine(cpus=job.engine_cpus))
        gpus = stack.enter_context(gpu_usage.opened())
        load = TrialLoad(
            engine, study.budget, self_check=machine.measured, gpus=gpus, host=host_watched
        )
        cpus = job.server_cpus or None
        deployment = stack.enter_context(
            Deployment(target, runner, cpus=cpus, study=study.name, gpus=gpus)
        )
        bench = Bench(
            target,
            deployment,
            load,
            observer,
            job.arrivals,
            golden=_golden(prepared, study),
            tolerance=job.tolerance,
            compare=prepared.compare,
        )
        yield bench, placement.recorded(prepared.study, job.place, runner)


def _golden(prepared: PreparedJob, study: StudyRecord) -> Golden | None:
    """What the baseline answered then; another model may answer otherwise."""
    if study.model_fingerprint != prepared.study.model_fingerprint:
        return None
    with Storage(prepared.job.database) as storage:
        return stored_golden(storage, study.name)


def _rounds(bench: Bench, known: Checked, until_s: float) -> Checked:
    """Round after round, until it is known or there is no time for another one."""
    order = random.Random(0)  # noqa: S311 - an order, not a secret
    longest_s = 0.0
    for number in range(known.plan.rounds):
        began_s = time.monotonic()
        if number and began_s + longest_s > until_s:
            break
        bench, known = _round(bench, replace(known, rounds=number + 1), order)
        longest_s = max(longest_s, time.monotonic() - began_s)
        failed = known.winner.change.fails
        looked = known.rounds == FIRST_LOOK and known.verdict is not LossVerdict.UNDECIDED
        if failed or looked:
            break
    return known


def _round(bench: Bench, known: Checked, order: random.Random) -> tuple[Bench, Checked]:
    """One fresh start of each side."""
    pair = (True, False) if known.canary else (True,)
    for is_winner in order.sample(pair, len(pair)):
        side = known.winner if is_winner else known.canary
        if side is not None:
            record, golden = _start(bench, known, side)
            bench = replace(bench, golden=golden or bench.golden)
            side = replace(side, now=(*side.now, record))
            known = replace(known, winner=side) if is_winner else replace(known, canary=side)
    return bench, known


def _start(bench: Bench, known: Checked, side: Side) -> tuple[TrialRecord, Golden | None]:
    """A fresh start of a side, with the arrivals of one of its starts then."""
    then = side.then[len(side.now) % len(side.then)]
    plan = TrialPlan(
        number=_starts(known),
        purpose=Purpose.FINAL,
        configuration=side.configuration,
        seed=then.seed,
        fresh=True,
        expected=expected(known.study, side.configuration),
        stretch=stretch(known.study, side.then),
        round=known.rounds - 1,
    )
    record, golden = run_trial(bench, plan)
    for _ in range(_RETRIES):
        if record.reason not in NOT_ITS_FAULT and not _disturbed(record):
            break
        again, golden_again = run_trial(bench, plan)
        golden = golden_again or golden
        record = min(
            again, record, key=lambda each: (each.reason in NOT_ITS_FAULT, _disturbed(each))
        )
    bench.observer.trial_ends(record)
    return record, golden


def _disturbed(record: TrialRecord) -> int:
    """Load points that count, and whose machine did something else meanwhile."""
    return sum(bool(point.disturbed) for point in record.points if point.phase == Phase.SEARCH)


def _starts(known: Checked) -> int:
    return sum(len(each.now) for each in (known.winner, known.canary) if each)
