"""What keeps a configuration from carrying more, as far as its trial shows (pure).

The server's counters are of all loads of a trial together, so they say where the mean latency of
its requests went, not that of a single load.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tuner.goals import LatencyBudget
from tuner.records import PointRecord, StudyRecord, TrialRecord

# An engine on one core with this share of it busy makes requests wait for it, twice as long as
# sending one takes (M/D/1: utilization / (2 (1 - utilization)) services).
_ENGINE_BUSY = 0.8
# What the engine sends too late is in the latency: with this share of the limit, it counts.
_LATE = 0.1
# A machine with this share of its processors busy has none for what waits.
_PROCESSORS_FULL = 0.9


class Bottleneck(StrEnum):
    """What would have to be faster.

    queue       requests wait for a free instance of the model, or for their batch to fill
    compute     the model itself, or the processors that it runs on
    front end   what the server does not account for: receiving, sending, the network
    client      the load engine, which could not send in time: the server may carry more
    unknown     the server keeps no such statistics, or none were stored
    """

    QUEUE = "queue"
    COMPUTE = "compute"
    FRONT_END = "front end"
    CLIENT = "client"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class LatencySplit:
    """The mean latency of all requests of a trial by its parts, in seconds.

    `other_s` is what the client saw and the server does not account for. The two measure apart, so
    the parts may add up to a little more than `mean_s`.
    """

    mean_s: float
    queue_s: float
    input_s: float
    infer_s: float
    output_s: float

    @property
    def compute_s(self) -> float:
        return self.input_s + self.infer_s + self.output_s

    @property
    def parts_s(self) -> dict[str, float]:
        """By name, in the order of their time but for the last, which is before and after."""
        return {
            "queue": self.queue_s,
            "compute input": self.input_s,
            "compute": self.infer_s,
            "compute output": self.output_s,
            "front end, network": self.other_s,
        }

    @property
    def other_s(self) -> float:
        return max(0.0, self.mean_s - self.queue_s - self.compute_s)


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """The bottleneck and what it is seen by; NaN is what is not known.

    At the highest load within the budget: `engine_busy` is the share of one core that the load
    engine took, `late_s` the 99th percentile of how late it sent, `processors_busy` the share of
    the machine's processors that the server took.
    """

    bottleneck: Bottleneck
    split: LatencySplit | None = None
    engine_busy: float = math.nan
    late_s: float = math.nan
    processors_busy: float = math.nan
    shared: bool = True

    @property
    def processors_full(self) -> bool:
        return self.processors_busy >= _PROCESSORS_FULL


def latency_split(trial: TrialRecord) -> LatencySplit | None:
    """None where the server does not tell what it computes, or no request was answered."""
    said, mean_s = trial.statistics, _mean_s(trial.points)
    if not said.requests or said.compute_infer_s <= 0 or math.isnan(mean_s):
        return None
    return LatencySplit(
        mean_s=mean_s,
        queue_s=said.per_request_s(said.queue_s),
        input_s=said.per_request_s(said.compute_input_s),
        infer_s=said.per_request_s(said.compute_infer_s),
        output_s=said.per_request_s(said.compute_output_s),
    )


def diagnosed(study: StudyRecord, trial: TrialRecord) -> Diagnosis:
    """What limits the configuration of a trial of the study (see `diagnose`)."""
    cores, shared = processors(study)
    return diagnose(trial, study.budget, cores, shared=shared)


def processors(study: StudyRecord) -> tuple[float, bool]:
    """How many the server may take, and whether the load engine takes from the same ones."""
    cores = study.hardware.get("cores", math.nan)  # those of the server, if it has its own
    quota = (study.place or {}).get("cpu_quota")
    if quota and quota < cores + 1:  # of which `cores` are the whole ones
        return quota, False
    return cores, not (quota or study.options.get("server_cpus"))


def diagnose(
    trial: TrialRecord, budget: LatencyBudget, cores: float, *, shared: bool = True
) -> Diagnosis:
    """What limits the trial's configuration.

    `cores` is how many processors the server may take, or NaN; `shared` says whether the load
    engine takes from the same.
    """
    point, split = trial.best_point(budget), latency_split(trial)
    if point is None:
        return Diagnosis(bottleneck=Bottleneck.UNKNOWN, split=split)
    engine_busy = point.engine_cpu_s / point.duration_s
    cpu_s = point.usage.cpu_s + (point.engine_cpu_s if shared else 0.0)
    processors_busy = cpu_s / (point.duration_s * cores)
    late_s = point.send_lag_p99_s
    if engine_busy >= _ENGINE_BUSY or late_s >= _LATE * budget.limit_s:
        bottleneck = Bottleneck.CLIENT
    elif split is None:
        bottleneck = Bottleneck.UNKNOWN
    else:
        bottleneck = _largest(split, processors_full=processors_busy >= _PROCESSORS_FULL)
    return Diagnosis(
        bottleneck=bottleneck,
        split=split,
        engine_busy=engine_busy,
        late_s=late_s,
        processors_busy=processors_busy,
        shared=shared,
    )


def _largest(split: LatencySplit, *, processors_full: bool) -> Bottleneck:
    """The part that takes longest; a queue before full processors is a matter of compute."""
    parts = {
        Bottleneck.QUEUE: split.queue_s,
        Bottleneck.COMPUTE: split.compute_s,
        Bottleneck.FRONT_END: split.other_s,
    }
    largest = max(parts, key=lambda part: parts[part])
    queues = largest is Bottleneck.QUEUE
    return Bottleneck.COMPUTE if queues and processors_full else largest


def _mean_s(points: Sequence[PointRecord]) -> float:
    """Of all answered requests; NaN without any."""
    known = [point for point in points if math.isfinite(point.mean_s) and point.requests]
    requests = sum(point.requests for point in known)
    return sum(point.mean_s * point.requests for point in known) / requests if known else math.nan
