"""Whether the machine kept its speed while it measured: repeats of the baseline tell (pure).

A machine that is shared, or grows hot, changes its speed, and configurations that were measured
at different speeds cannot be compared (Abedi and Brecht, ICPE 2017, found gains of 38 % where
there were none). So the baseline is measured again and again. Repeats that agree form a block of
one speed; that two blocks differ is believed only where chance does not explain it.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import NormalDist

import numpy as np

from tuner.numbers.arrays import FloatArray
from tuner.records import NOT_ITS_FAULT, Purpose, TrialRecord, TrialState

# The baseline is measured again after this many trials
_EVERY_TRIALS = 10
# and this much time, whichever is later,
_EVERY_S = 600.0
# but for no more than this share of the time that trials took.
_LARGEST_TIME_SHARE = 0.05
# A change is believed if it is larger than this share of the speed,
_SMALLEST_CHANGE = 0.05
# and if chance makes one like it in fewer than this share of all studies: beyond 2.2 standard
# errors with two repeats, 2.9 with ten. Counting all ways to cut a study into blocks, one in
# twenty is accused wrongly (by simulation).
_CHANCE = 0.03
# A machine that changed more than that is another one: what it carried before says too little.
_LARGEST_CHANGE = 0.25
# How much repeats of the baseline differ at one speed (standard deviation of the log): on two
# shared cores it was 4 to 6 %.
_REPEAT_LOG_ERROR = 0.05
# This many repeats tell of the machine at hand, beside that number, which counts as as many.
_REPEATS_FOR_SCATTER = 6
# Where the capacities of repeats are vaguer, this share of the error that they state: that is on
# the wide side, since its 95 % interval holds nearly every truth (benchmarks/README.md).
_SHARE_OF_STATED = 0.67
# The standard deviation of a normal distribution over the median of the absolute differences of
# two draws.
_DEVIATION_OF_DIFFERENCES = 1.4826 / math.sqrt(2)
# Configurations of a block that are measured again where its speed cannot be taken off.
_BEST_OF_BLOCK = 3
# Trials for these purposes are spread over the whole study, those of the finals are not.
_AT_ANY_TIME = (Purpose.BASELINE, Purpose.SEARCH, Purpose.DRIFT)


@dataclass(frozen=True)
class Block:
    """A stretch of one speed, from the `first` measurement of the baseline in it to the `last`.

    `log_speed` is the logarithm of its speed over that of the first block, `log_error` the
    standard error of it.
    """

    first: TrialRecord
    last: TrialRecord
    log_speed: float = 0.0
    log_error: float = 0.0

    def distance_s(self, moment: datetime) -> float:
        """How long before or after the block `moment` is; 0 within it."""
        before_s = (self.first.started_at - moment).total_seconds()
        return max(before_s, (moment - self.last.finished_at).total_seconds(), 0.0)


@dataclass(frozen=True)
class Drift:
    """The speed of the machine over a study; one block, or none, where no change is proved.

    `repeat` are the numbers of trials to be measured again: their rank rests on a speed that the
    machine no longer has.
    """

    blocks: tuple[Block, ...] = ()
    repeat: tuple[int, ...] = ()

    @property
    def significant(self) -> bool:
        return len(self.blocks) > 1

    @property
    def correctable(self) -> bool:
        """Whether dividing by the speed is enough: it changed little, and in one direction."""
        return not self.too_large and not self._back_and_forth

    def factor(self, moment: datetime) -> float:
        """The speed at `moment` over that of the first block: 0.92 is 8 % slower.

        When it changed between two blocks nobody knows: there it goes from one to the other in
        a straight line.
        """
        return math.exp(self._at(moment, [block.log_speed for block in self.blocks]))

    def log_error(self, moment: datetime) -> float:
        """The standard error of the logarithm of the factor at `moment`."""
        return self._at(moment, [block.log_error for block in self.blocks])

    def factors(self, trials: Sequence[TrialRecord]) -> dict[int, float]:
        """The speed while each of `trials` was measured, by its number."""
        return {trial.number: self.factor(middle(trial)) for trial in trials}

    def corrected(self, trials: Sequence[TrialRecord]) -> tuple[TrialRecord, ...]:
        """`trials` as if the machine had kept its first speed, to choose the best ones from.

        Throughputs are divided by the speed, and their errors include its error. A trial of the
        search is left out where its configuration was measured again in another block. Finals
        stay as they are: each of their rounds has all finalists within minutes.
        """
        if not self.significant:
            return tuple(trials)
        telling = [each for each in trials if each.reason not in NOT_ITS_FAULT]
        last = {each.configuration: each for each in telling if each.purpose is Purpose.SEARCH}
        return tuple(
            self._corrected(trial) if trial.purpose in _AT_ANY_TIME else trial
            for trial in trials
            if trial.purpose is not Purpose.SEARCH
            or self.block(trial) is self.block(last.get(trial.configuration, trial))
        )

    def block(self, trial: TrialRecord) -> Block:
        """The block that `trial` is in, or nearest to."""
        return min(self.blocks, key=lambda block: block.distance_s(middle(trial)))

    @property
    def too_large(self) -> bool:
        """Whether the slowest speed is so far from the fastest that it is another machine."""
        speeds = [block.log_speed for block in self.blocks] or [0.0]
        return 1 - math.exp(min(speeds) - max(speeds)) > _LARGEST_CHANGE

    @property
    def _back_and_forth(self) -> bool:
        speeds = [block.log_speed for block in self.blocks]
        return len({after > before for before, after in itertools.pairwise(speeds)}) > 1

    def _corrected(self, trial: TrialRecord) -> TrialRecord:
        moment = middle(trial)
        return replace(
            trial,
            throughput=trial.throughput / self.factor(moment),
            log_error=math.hypot(trial.log_error, self.log_error(moment)),
        )

    def _at(self, moment: datetime, values: Sequence[float]) -> float:
        """`values` of the blocks at `moment`; 0 where there is no block."""
        if len(values) < 2:
            return values[0] if values else 0.0
        ends = [end for b in self.blocks for end in (b.first.started_at, b.last.finished_at)]
        ends_s = [(end - ends[0]).total_seconds() for end in ends]
        return float(np.interp((moment - ends[0]).total_seconds(), ends_s, np.repeat(values, 2)))


def due(trials: Sequence[TrialRecord], now: datetime | None = None) -> bool:
    """Whether the baseline should be measured again before the next trial of the search.

    After ten trials and ten minutes, whichever is later: more often would cost more than it
    shows. After a pause of ten minutes (the study was continued) at once. But never where all
    repeats together would take more than 5 % of the time that trials took.

    Args:
        trials: All trials of the study so far, in their order.
        now: An aware moment, like those of the trials; the end of the last one if None.
    """
    attempts = of_baseline(trials)
    if not attempts or attempts[0].state is TrialState.FAILED:
        return False
    last = attempts[-1]
    now = now or trials[-1].finished_at
    trials_since = sum(trial.number > last.number for trial in trials)
    since_s = (now - last.finished_at).total_seconds()
    paused_s = (now - trials[-1].finished_at).total_seconds()
    if paused_s < _EVERY_S and (trials_since < _EVERY_TRIALS or since_s < _EVERY_S):
        return False
    repeats_s = sum(_lasted_s(each) for each in attempts[1:] if each.purpose is Purpose.DRIFT)
    return repeats_s + _lasted_s(last) <= _LARGEST_TIME_SHARE * sum(map(_lasted_s, trials))


def drift(trials: Sequence[TrialRecord]) -> Drift:
    """How the machine's speed changed while `trials`, in their order, were measured."""
    repeats = telling(trials)
    if not repeats:
        return Drift()
    speeds = log_speeds(repeats)
    error = repeat_error([speeds], repeats)
    starts = block_starts(speeds, error)
    stretches = np.split(speeds, starts[1:])
    reference = stretches[0]
    blocks = [
        Block(
            first=repeats[start],
            last=repeats[start + len(stretch) - 1],
            log_speed=float(stretch.mean() - reference.mean()),
            log_error=error * math.sqrt(1 / len(stretch) + 1 / len(reference)) if start else 0.0,
        )
        for start, stretch in zip(starts, stretches, strict=True)
    ]
    found = Drift(tuple(blocks))
    return replace(found, repeat=_to_repeat(found, trials)) if found.significant else found


def of_baseline(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """All measurements of the baseline, those in the finals among them."""
    own = (Purpose.BASELINE, Purpose.DRIFT)
    baseline = next((each for each in trials if each.purpose in own), None)
    if baseline is None:
        return []
    return [
        each
        for each in trials
        if each.purpose in own
        or (each.purpose is Purpose.FINAL and each.configuration == baseline.configuration)
    ]


def telling(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The measurements of the baseline that say something of the machine's speed."""
    return [each for each in of_baseline(trials) if 0 < each.unloaded_s < math.inf]


def log_speeds(repeats: Sequence[TrialRecord]) -> FloatArray:
    """What each repeat says of the machine's speed, as a logarithm of a ratio.

    The median of three: its capacity, its saturation throughput and its unloaded latency, each
    over its own mean. One of them may be vague (the capacity depends on a tail), or deaf (the
    unloaded latency, where a neighbour takes another core), but hardly two. The first two may be
    missing: over the latency budget there is no capacity, and finals take over the saturation.
    """
    said = np.array([_log_signals(each) for each in repeats])
    known = said[:, np.isfinite(said[0])]
    complete = known[np.isfinite(known).all(axis=1)]
    return np.asarray(np.nanmedian(known - complete.mean(axis=0), axis=1))


def _log_signals(trial: TrialRecord) -> tuple[float, float, float]:
    own_saturation = 0.0 if trial.purpose is Purpose.FINAL else trial.saturation
    return _log(trial.throughput), _log(own_saturation), -_log(trial.unloaded_s)


def repeat_error(machines: Sequence[FloatArray], repeats: Sequence[TrialRecord]) -> float:
    """The standard deviation of one repeat; a change of speed hardly adds to it.

    `machines` are the speeds of each machine in their order, `repeats` all that they are from.
    """
    stated = [each.log_error for each in repeats if math.isfinite(each.log_error)]
    vague = _SHARE_OF_STATED * float(np.median(stated)) if stated else 0.0
    usual = max(_REPEAT_LOG_ERROR, vague)
    changes = np.concatenate([np.diff(each) for each in machines])
    enough = _REPEATS_FOR_SCATTER - 1 if len(machines) == 1 else 1
    if len(changes) < enough:
        return usual
    own = _DEVIATION_OF_DIFFERENCES * float(np.median(np.abs(changes)))
    variances = _REPEATS_FOR_SCATTER * usual**2 + len(changes) * own**2
    return math.sqrt(variances / (_REPEATS_FOR_SCATTER + len(changes)))


def block_starts(log_speeds: FloatArray, error: float, machines: int = 1) -> list[int]:
    """Where blocks of one speed begin, in the repeats of one of so many machines."""
    if len(log_speeds) == 1:
        return [0]
    return _large_enough(log_speeds, _starts(log_speeds, error, machines))


def _starts(log_speeds: FloatArray, error: float, machines: int) -> list[int]:
    """The partition of least squares in which every cut pays for itself.

    Optimal partitioning (Jackson et al., IEEE Signal Processing Letters 12, 2005). A cut pays
    where the difference is beyond chance even in the best of all places to cut (Bonferroni).
    """
    count = len(log_speeds)
    z = NormalDist().inv_cdf(1 - _CHANCE / 2 / machines / max(1, count - 1))
    sums, squares = (np.concatenate([[0.0], np.cumsum(log_speeds**n)]) for n in (1, 2))
    costs, came_from = np.zeros(count + 1), [0] * (count + 1)
    for end in range(1, count + 1):
        lengths = np.arange(end, 0, -1)
        within = squares[end] - squares[:end] - (sums[end] - sums[:end]) ** 2 / lengths
        totals = costs[:end] + within + (z * error) ** 2
        came_from[end] = int(totals.argmin())
        costs[end] = totals.min()
    starts, end = [], count
    while end:
        end = came_from[end]
        starts.append(end)
    return starts[::-1]


def _large_enough(log_speeds: FloatArray, starts: Sequence[int]) -> list[int]:
    """`starts` without the changes that are too small to matter, the smallest first."""
    left = list(starts)
    while len(left) > 1:
        means = np.array([stretch.mean() for stretch in np.split(log_speeds, left[1:])])
        changes = np.abs(np.diff(means))
        if changes.min() > -math.log1p(-_SMALLEST_CHANGE):
            break
        del left[int(changes.argmin()) + 1]
    return left


def _to_repeat(found: Drift, trials: Sequence[TrialRecord]) -> tuple[int, ...]:
    """The best trials of each block whose rank its speed makes doubtful.

    That is a trial that was stopped as beaten, but is not, once its bound is corrected; and every
    feasible one that was measured at another speed than the present one, where the speed cannot
    be taken off. Those whose configuration was measured again since are left out.
    """
    known = [each for each in found.corrected(trials) if each.purpose in _AT_ANY_TIME]
    feasible = [each.throughput for each in known if each.state is TrialState.FEASIBLE]
    searched = [each for each in trials if each.purpose is Purpose.SEARCH]
    last = {each.configuration: each.number for each in searched}
    factors = found.factors(searched)
    worth = {each.number: each.throughput / factors[each.number] for each in searched}
    best = max(feasible, default=0.0)

    def is_doubtful(trial: TrialRecord) -> bool:
        if trial.state is TrialState.PRUNED:
            return worth[trial.number] > best
        change = found.block(trial).log_speed - found.blocks[-1].log_speed
        elsewhere = abs(math.expm1(change)) > _SMALLEST_CHANGE
        return trial.state is TrialState.FEASIBLE and elsewhere and not found.correctable

    doubtful = sorted(filter(is_doubtful, searched), key=lambda each: -worth[each.number])
    of_blocks = [[each for each in doubtful if found.block(each) is b] for b in found.blocks]
    chosen = [each for of_block in of_blocks for each in of_block[:_BEST_OF_BLOCK]]
    return tuple(sorted(t.number for t in chosen if last[t.configuration] == t.number))


def _log(value: float) -> float:
    """NaN for what was not measured."""
    return math.log(value) if 0 < value < math.inf else math.nan


def middle(trial: TrialRecord) -> datetime:
    return trial.started_at + (trial.finished_at - trial.started_at) / 2


def _lasted_s(trial: TrialRecord) -> float:
    return (trial.finished_at - trial.started_at).total_seconds()
