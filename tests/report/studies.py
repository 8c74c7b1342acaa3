"""Builds studies as a night on a small machine leaves them behind; the same ones every time."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from tuner.errors import Reason
from tuner.goals import LatencyBudget
from tuner.load.histogram import Histogram
from tuner.records import (
    LATENCY_PERCENTILES,
    Grade,
    PointRecord,
    Purpose,
    ServerStatistics,
    SettingVerdict,
    StudyRecord,
    TrialRecord,
    TrialState,
)
from tuner.space.space import Configuration

BUDGET = LatencyBudget(99, 0.050)
BEGAN = datetime(2026, 3, 7, 22, 0, tzinfo=UTC)
DEFAULTS = Configuration.of({"instance_count": 1, "dynamic_batching": False, "threads": 2})
BEST = Configuration.of(
    {
        "instance_count": 2,
        "dynamic_batching": True,
        "max_batch_size": 16,
        "max_queue_delay_microseconds": 500,
        "preferred_batch_size": 8,
        "threads": 1,
    }
)
_UNLOADED_S = 0.0075


def configuration(number: int) -> Configuration:
    """Another configuration for each number."""
    return Configuration.of(
        {
            "instance_count": 2 ** (number % 3),
            "dynamic_batching": True,
            "max_batch_size": 2 ** (1 + number % 6),
            "max_queue_delay_microseconds": 100 * number,
            "preferred_batch_size": 0,
            "threads": 1 + number % 2,
        }
    )


def point(
    load: float, p99_s: float, *, kind: str = "open", phase: str = "search", **wishes: Any
) -> PointRecord:
    """A load point whose latencies lie between the unloaded one and `p99_s`."""
    latencies = np.linspace(0.5 * min(p99_s, 10.0), min(p99_s, 10.0), 200)
    if math.isinf(p99_s):
        latencies[-10:] = math.inf
    facts: dict[str, Any] = {
        "phase": phase,
        "kind": kind,
        "load": load,
        "duration_s": 2.5,
        "throughput": load,
        "requests": int(2.5 * load),
        "mean_s": float(np.mean(latencies)),
        "latency_s": p99_s,
        "percentiles_s": {q: p99_s * (0.4 + 0.6 * q / 99) for q in LATENCY_PERCENTILES},
        "errors": {},
        "unanswered": 0,
        "send_lag_p99_s": 0.00012,
        "engine_cpu_s": 0.01,
        "priority": "real-time",
        "stopped_early": "",
        "histogram": Histogram.of(latencies),
    }
    return PointRecord(**(facts | wishes))


def loads(*places: tuple[float, float], **wishes: Any) -> tuple[PointRecord, ...]:
    """Load points of inferences per second and milliseconds, of 5000 requests each."""
    return tuple(point(load, ms / 1e3, **({"requests": 5000} | wishes)) for load, ms in places)


def load_curve(capacity: float, saturation: float) -> tuple[PointRecord, ...]:
    """What a capacity search leaves: unloaded, saturated, then a few open-loop points."""

    def p99_s(load: float) -> float:
        # Through the unloaded latency, and through the limit at the capacity.
        steepness = (BUDGET.limit_s - _UNLOADED_S) * (saturation - capacity) / capacity
        return _UNLOADED_S + steepness * load / max(saturation - load, 0.002 * saturation)

    unloaded = point(1, _UNLOADED_S, kind="closed", phase="unloaded", throughput=0.2 * saturation)
    full = point(8, 4 * BUDGET.limit_s, kind="closed", phase="saturation", throughput=saturation)
    loads = (0.8 * saturation, 0.99 * capacity, 1.03 * capacity, 0.6 * capacity)
    searched = [point(load, p99_s(load)) for load in loads]
    lost = point(1.1 * saturation, 0.4, throughput=saturation, stopped_early="overload")
    return unloaded, full, *searched, lost


def trial(number: int, capacity: float = 0.0, **wishes: Any) -> TrialRecord:
    """A feasible trial of the search, unless `wishes` say otherwise."""
    saturation = 1.15 * capacity
    reloads = number % 5 != 0
    steps_s = {
        "apply": 0.6 if reloads else 3.2,
        "verify": 0.1,
        "warm-up": 0.5,
        "unloaded": 1.5,
        "saturation": 2.0,
        "search": 7.5,
        "validate": 0.05,
    }
    began = BEGAN + timedelta(seconds=16 * number)
    facts: dict[str, Any] = {
        "number": number,
        "purpose": Purpose.SEARCH,
        "proposal": number,
        "configuration": configuration(number),
        "state": TrialState.FEASIBLE,
        "throughput": capacity,
        "log_error": 0.015,
        "unloaded_s": _UNLOADED_S,
        "saturation": saturation,
        "applied": "reload" if reloads else "restart",
        "statistics": ServerStatistics(inferences=4000, executions=500, requests=4000),
        "timings_s": steps_s | {"total": sum(steps_s.values()) + 0.25},
        "points": load_curve(capacity, saturation) if capacity else (),
        "started_at": began,
        "finished_at": began + timedelta(seconds=15),
    }
    facts |= wishes
    facts.setdefault("verdicts", _verdicts(facts["configuration"]))
    facts.setdefault("export", f'# {facts["configuration"]}\nname: "encoder"\n')
    return TrialRecord(**facts)


def baseline(capacity: float = 152.0, **wishes: Any) -> TrialRecord:
    facts = {"purpose": Purpose.BASELINE, "configuration": DEFAULTS, "proposal": None}
    return trial(0, capacity, **(facts | wishes))


def final(number: int, tried: Configuration, capacity: float) -> TrialRecord:
    facts: dict[str, Any] = {"purpose": Purpose.FINAL, "proposal": None, "applied": "restart"}
    return trial(number, capacity, configuration=tried, **facts)


def failed(number: int, reason: Reason, message: str, log_tail: str = "") -> TrialRecord:
    """A trial that came as far as starting the server."""
    return trial(
        number,
        state=TrialState.FAILED,
        reason=reason,
        message=message,
        log_tail=log_tail,
        log_error=math.inf,
        unloaded_s=math.nan,
        applied="",
        verdicts={},
        timings_s={"apply": 4.0, "total": 4.1},
    )


def infeasible(record: TrialRecord, *, unloaded_s: float) -> TrialRecord:
    """The same trial, too slow even for one request at a time."""
    slow = point(1, unloaded_s, kind="closed", phase="unloaded", throughput=16.0)
    return replace(
        record,
        state=TrialState.INFEASIBLE,
        throughput=0.0,
        log_error=math.inf,
        unloaded_s=unloaded_s,
        saturation=0.0,
        points=(slow,),
    )


def study(trials: Sequence[TrialRecord] = (), **wishes: Any) -> StudyRecord:
    facts: dict[str, Any] = {
        "name": "encoder-p99-50ms",
        "created_at": BEGAN,
        "server": "triton",
        "model": "encoder",
        "model_fingerprint": "3f9a0c11de",
        "space_fingerprint": "77aa01bc2d",
        "budget": BUDGET,
        "parameters": {
            "instance_count": "1 to 4, doubling",
            "dynamic_batching": "false, true",
            "threads": "1 to 2, doubling",
        },
        "request": {"batch": 1, "zero": False},
        "hardware": {
            "cores": 2,
            "memory_bytes": 8 << 30,
            "numa_nodes": 1,
            "processor": "Some Processor 2.4 GHz",
            "kernel": "6.8.0",
            "hostname": "bench",
            "fingerprint": "ab12cd34ef",
        },
        "environment": {"tuner": "0.1.0", "python": "3.11.7", "triton": "2.60.0"},
        "trials": tuple(trials),
    }
    return StudyRecord(**(facts | wishes))


def small_study() -> StudyRecord:
    """Seven trials of the search, one of each ending, and no finals."""
    return study(
        [
            baseline(),
            trial(1, 260.0),
            trial(2, 401.0, configuration=BEST),
            trial(3, 180.0, state=TrialState.PRUNED, log_error=math.inf),
            infeasible(trial(4), unloaded_s=0.061),
            failed(5, Reason.OUT_OF_MEMORY, "the server was killed", "E0307 out of memory"),
            trial(6, 395.0),
        ]
    )


def night() -> StudyRecord:
    """A whole study: twenty trials of the search, then three finals of three configurations."""
    first = small_study().trials
    later = [trial(n, 140.0 + 13.0 * ((n * 7) % 19)) for n in range(7, 20)]
    finals: list[TrialRecord] = []
    for start in range(3):
        for tried, capacity in ((BEST, 398.0), (configuration(8), 392.0), (DEFAULTS, 150.0)):
            again = final(20 + len(finals), tried, capacity * (0.995 + 0.005 * start))
            finals.append(replace(again, round=start))
    return study([*first, *later, *finals])


def proved(
    record: StudyRecord,
    *proofs: tuple[float, str],
    of: Configuration,
    state: TrialState = TrialState.FEASIBLE,
) -> StudyRecord:
    """The study after these loads of a configuration were put to the proof, and what came out."""
    first = len(record.trials)
    trials = [
        trial(number, load, configuration=of, purpose=Purpose.PROOF, proof=verdict, state=state)
        for number, (load, verdict) in enumerate(proofs, first)
    ]
    return replace(record, trials=(*record.trials, *trials))


def _verdicts(tried: Configuration) -> dict[str, SettingVerdict]:
    proved = {"instance_count", "dynamic_batching", "max_batch_size"}
    return {
        name: SettingVerdict(Grade.CONFIRMED if name in proved else Grade.ACCEPTED)
        for name in tried
    }
