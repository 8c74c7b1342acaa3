"""The load of a trial: when the engine spoiled a point, how it grows, what the server took."""

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.capacity.simulated_server import Batching, SimulatedServer
from tests.refusals import refused
from tests.study.simulated_engine import SimulatedEngine
from tuner.goals import AnswerLimits, LatencyBudget
from tuner.load.calibration import Calibration
from tuner.load.measurement import LATE, Measurement
from tuner.load.profile import ClosedLoop, Endpoint, LoadProfile, OpenLoop
from tuner.load.requests import GrpcCall, RequestSet
from tuner.protocols.v2_grpc import StreamedResponse
from tuner.records import Phase
from tuner.study.trial_load import TrialLoad
from tuner.watch.disturbances import Disturbance, HostReading, HostWindow
from tuner.watch.gpu_usage import Nvml
from tuner.watch.stolen_time import StolenReading, StolenTime

BUDGET = LatencyBudget(99, 0.05)
SERVER = Endpoint("127.0.0.1", 1)


def measured(load: TrialLoad, rate: float = 100.0, pid: int | None = None) -> Measurement:
    loaded = load.measure(SERVER, OpenLoop(rate), duration_s=0.5, overload=None, pid=pid)
    return loaded.measurement


def measurement(profile: ClosedLoop | OpenLoop, **facts: Any) -> Measurement:
    seen = SimulatedServer(Batching(0.001, 0.0001, 8))(Phase.SEARCH, profile, duration_s=1.0)
    return replace(seen, engine_wall_s=1.0, **facts)


@pytest.mark.parametrize(
    ("profile", "facts", "limit_s", "complaint"),
    [
        (OpenLoop(100), {"send_lag_p99_s": 0.01}, 0.05, ""),
        (
            OpenLoop(100),
            {"send_lag_p99_s": 0.0101},
            0.05,
            "requests left 10.1 ms late (p99), 10.0 ms are tolerable",
        ),
        (OpenLoop(100), {"send_lag_p99_s": 0.002}, 0.001, ""),
        (
            OpenLoop(100),
            {"send_lag_p99_s": 0.0021},
            0.001,
            "requests left 2.1 ms late (p99), 2.0 ms are tolerable",
        ),
        (OpenLoop(100), {"engine_cpu_s": 0.75}, 0.05, ""),
        (
            OpenLoop(100),
            {"engine_cpu_s": 0.8},
            0.05,
            "the load engine used 80% of a core, 75% are tolerable",
        ),
        (OpenLoop(100), {"engine_cpu_s": 1.6, "workers": 4}, 0.05, ""),
        (OpenLoop(100), {"engine_cpu_s": 0.9, "stopped_early": "overload"}, 0.05, ""),
        (
            OpenLoop(100),
            {"engine_cpu_s": 0.9, "stopped_early": LATE},
            0.05,
            "the load engine used 90% of a core, 75% are tolerable",
        ),
        (ClosedLoop(8), {"engine_cpu_s": 0.9, "send_lag_p99_s": 1.0}, 0.05, ""),
        (ClosedLoop(8), {"engine_cpu_s": 0.97}, 0.05, "the load engine used 97% of its core"),
    ],
)
def test_what_the_engine_spoiled(
    profile: ClosedLoop | OpenLoop, facts: dict[str, Any], limit_s: float, complaint: str
) -> None:
    """An open loop is spoiled by being late or too busy, a closed one by a full core."""
    load = TrialLoad(SimulatedEngine(), LatencyBudget(99, limit_s))
    assert load.complaint(measurement(profile, **facts)) == complaint


def test_a_point_that_was_spoiled_is_repeated_once() -> None:
    """With one process more, where the machine has room for it."""
    engine = SimulatedEngine(lags_s=(0.1, 0.0))
    assert measured(TrialLoad(engine, BUDGET, most_workers=2)).send_lag_p99_s == 0.0
    assert (engine.added, len(engine.runs)) == (1, 2)


def test_a_point_that_is_a_little_late_twice_is_kept() -> None:
    """It makes the server look slower than it is, never faster."""
    engine = SimulatedEngine(lags_s=(0.003, 0.004))
    load = TrialLoad(engine, BUDGET, most_workers=1)
    assert load.complaint(measured(load)) == ""
    assert len(engine.runs) == 2


@contextmanager
def stealing(*stolen_s: float) -> Iterator[StolenTime]:
    """The host takes so much in each quarter of a second from the start of the virtual time."""
    totals = np.cumsum([0.0, *stolen_s])
    readings = [StolenReading(0.25 * n, float(total)) for n, total in enumerate(totals)]
    yield StolenTime(readings, processors=2)


def disturbed(runs: Sequence[Sequence[float]], profile: LoadProfile) -> tuple[int, float]:
    """How many runs of 2 s there were, and how long the load point is that came of them."""
    engine, windows = SimulatedEngine(), iter(runs)
    load = TrialLoad(engine, BUDGET, stolen_time=lambda: stealing(*next(windows)))
    loaded = load.measure(SERVER, profile, duration_s=2.0, overload=None)
    assert loaded.runs == len(engine.runs)
    return loaded.runs, loaded.measurement.duration_s


QUIET, SHORT, LONG = (0.0,) * 8, (0.0, 0.1, *(0.0,) * 6), (*(0.1,) * 6, 0.0, 0.0)


@pytest.mark.parametrize(
    ("runs", "count", "left_s"),
    [
        ([QUIET], 1, 2.0),
        ([SHORT], 1, 1.5),
        ([LONG, QUIET], 2, 2.0),
        ([LONG, SHORT], 2, 1.5),
        ([LONG, LONG], 2, 2.0),
    ],
)
def test_stolen_time_is_left_out(
    runs: Sequence[Sequence[float]], count: int, left_s: float
) -> None:
    """Where too much was stolen the point is measured again; if that is no better, it is whole."""
    measured_runs, point_s = disturbed(runs, OpenLoop(100.0))
    assert measured_runs == count
    assert point_s == pytest.approx(left_s, abs=0.01)


def shared(busy_s: float, *, heat: int = 0) -> AbstractContextManager[HostWindow]:
    """A second of the machine, in which all processes together took so much."""
    return nullcontext(HostWindow(HostReading(), HostReading(1.0, busy_s, throttled=heat)))


@pytest.mark.parametrize(
    ("busy_s", "runs"),
    [([0, 0], [1, 1]), ([0, 90, 0], [1, 2]), ([0, 90, 90], [1, 2])],
)
def test_what_others_on_the_machine_do_is_measured_again(
    busy_s: list[float], runs: list[int]
) -> None:
    """Once; the first load point is what is usual."""
    windows = iter(busy_s)
    load = TrialLoad(
        SimulatedEngine(),
        BUDGET,
        stolen_time=partial(stealing, *QUIET),
        host=lambda: shared(next(windows)),
    )
    points = [
        load.measure(SERVER, OpenLoop(100.0), duration_s=2.0, overload=None, pid=os.getpid())
        for _ in runs
    ]

    assert [point.runs for point in points] == runs
    disturbed = (Disturbance.OTHERS,) if runs[1] > 1 else ()
    assert [point.disturbed for point in points] == [(), disturbed]


def test_heat_is_told_of_and_not_measured_again() -> None:
    """It may be the doing of the configuration."""
    load = TrialLoad(
        SimulatedEngine(),
        BUDGET,
        stolen_time=partial(stealing, *QUIET),
        host=lambda: shared(0.0, heat=2),
    )
    loaded = load.measure(SERVER, OpenLoop(100.0), duration_s=2.0, overload=None)
    assert (loaded.runs, loaded.disturbed) == (1, (Disturbance.HEAT,))


def test_all_runs_of_a_load_point_count() -> None:
    """Those before the load engine got another process, too."""
    windows = iter([0.0, 90.0, 90.0, 0.0])
    load = TrialLoad(
        SimulatedEngine(lags_s=(0.0, 0.1, 0.1)),
        BUDGET,
        stolen_time=partial(stealing, *QUIET),
        host=lambda: shared(next(windows)),
    )
    first, second = [
        load.measure(SERVER, OpenLoop(100.0), duration_s=2.0, overload=None, pid=os.getpid())
        for _ in range(2)
    ]

    assert (first.runs, second.runs) == (1, 3)
    assert second.disturbed == (Disturbance.OTHERS,)


def _next_of(windows: Iterator[Sequence[float]]) -> AbstractContextManager[StolenTime]:
    return stealing(*next(windows))


def test_stolen_time_is_told_of() -> None:
    """Whether or not it was measured again."""
    for runs in ([SHORT], [LONG, QUIET]):
        windows = iter(runs)
        load = TrialLoad(SimulatedEngine(), BUDGET, stolen_time=partial(_next_of, windows))
        loaded = load.measure(SERVER, OpenLoop(100.0), duration_s=2.0, overload=None)
        assert loaded.disturbed == (Disturbance.STOLEN,)


def test_a_closed_loop_is_measured_again() -> None:
    """It cannot be cut."""
    assert disturbed([LONG, SHORT], ClosedLoop(4)) == (2, 2.0)
    assert disturbed([SHORT], ClosedLoop(4)) == (1, 2.0)


def test_a_burst_is_not_worth_measuring_again() -> None:
    """Half a second of it."""
    engine = SimulatedEngine()
    load = TrialLoad(engine, BUDGET, stolen_time=lambda: stealing(0.2, 0.2))
    assert measured(load).duration_s == pytest.approx(0.5)
    assert len(engine.runs) == 1


def test_a_small_machine_has_no_room_for_another_process() -> None:
    """Then the same engine gets its second chance."""
    engine = SimulatedEngine(lags_s=(0.1, 0.1))
    load = TrialLoad(engine, BUDGET, most_workers=1)
    assert load.complaint(measured(load)).startswith("requests left 100.0 ms late")
    assert (engine.added, len(engine.runs)) == (0, 2)


def test_a_rate_beyond_one_process_gets_more() -> None:
    """Each sends at most half of what it can, as far as the machine has room."""
    engine = SimulatedEngine()
    load = TrialLoad(engine, BUDGET, calibration=Calibration(1000.0, 1e-4), most_workers=3)
    for rate, workers in ((400.0, 1), (600.0, 2), (5000.0, 3)):
        measured(load, rate)
        assert engine.workers == workers


def test_the_engine_checks_itself_once_for_each_size_of_request() -> None:
    """Sizes are rounded up to a power of two: 200 and 250 bytes are the same."""
    sizes: list[int] = []

    def check(payload_bytes: int) -> Calibration:
        sizes.append(payload_bytes)
        return Calibration(50_000.0, 1e-4)

    load = TrialLoad(SimulatedEngine(), BUDGET, self_check=check)
    for size in (200, 250, 300):
        requests = RequestSet((bytes(size),))
        if load.is_unknown(requests):
            load.check_itself(requests)
        assert not load.is_unknown(requests)
    assert sizes == [256, 512]
    assert load.calibration == Calibration(50_000.0, 1e-4)


def test_without_a_self_check_nothing_is_unknown() -> None:
    """Nobody asks for one."""
    load = TrialLoad(SimulatedEngine(), BUDGET)
    assert not load.is_unknown(RequestSet((b"x",)))
    load.check_itself(RequestSet((b"x",)))
    assert load.calibration is None


def used(pid: int | None, gpus: Nvml | None = None) -> tuple[float, float, float]:
    load = TrialLoad(SimulatedEngine(), BUDGET, gpus=gpus)
    loaded = load.measure(SERVER, OpenLoop(100.0), duration_s=0.5, overload=None, pid=pid)
    usage = loaded.usage
    return usage.cpu_s, usage.memory_bytes, usage.energy_j


def test_what_the_server_took_is_read() -> None:
    """Processor seconds and resident memory of the process that is named (here our own)."""
    cpu_s, memory_bytes, energy_j = used(os.getpid())
    assert 0 <= cpu_s < 60
    assert memory_bytes > 1 << 20
    assert math.isnan(energy_j)


def test_nothing_is_read_where_nobody_asks() -> None:
    """StolenReading takes time itself: a warm-up is not watched."""
    assert all(math.isnan(each) for each in used(None))


def test_the_energy_is_the_power_of_all_gpus_over_the_time() -> None:
    """Two GPUs of 100 W for half a second are 100 J."""

    def refused(_: int) -> object:
        raise OSError

    library = SimpleNamespace(
        NVMLError=OSError,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda number: number,
        nvmlDeviceGetUUID="GPU-{}".format,
        nvmlDeviceGetPowerUsage=lambda _: 100_000,
        nvmlDeviceGetUtilizationRates=refused,
        nvmlDeviceGetMemoryInfo=refused,
    )

    assert used(os.getpid(), Nvml(library))[2] == pytest.approx(100.0)


@pytest.mark.parametrize(
    ("limit_s", "answer_s", "timeout_s", "drain_s"),
    [
        (0.05, 0.0, 2.0, 0.3),
        (0.05, 0.05, 2.0, 0.3),
        (3.0, 1.2, 60.0, 6.2),
        # over the limit, and no failure
        (0.05, 5.0, 50.0, 10.0),
        (3.0, 20.0, 200.0, 40.0),
    ],
)
def test_how_long_an_answer_is_waited_for(
    limit_s: float, answer_s: float, timeout_s: float, drain_s: float
) -> None:
    """By the latency limit, and by what an answer takes without load."""
    engine = SimulatedEngine()
    load = TrialLoad(engine, LatencyBudget(99, limit_s))
    load.measure(SERVER, ClosedLoop(1), duration_s=0.5, overload=None, answer_s=answer_s)
    [run] = engine.runs
    assert (run.timeout_s, run.drain_s) == pytest.approx((timeout_s, drain_s))


@pytest.mark.parametrize(
    ("limits", "timeout_s", "drain_s"),
    [
        (AnswerLimits(ttft_s=0.2, itl_s=0.02), 10.0, 2.0),
        (AnswerLimits(ttft_s=1.0, itl_s=0.02), 20.0, 2.2),
        # nothing says when the first token must come
        (AnswerLimits(itl_s=0.02), 30.0, 2.0),
        (AnswerLimits(whole_s=2.0, itl_s=0.02), 40.0, 4.2),
    ],
)
def test_how_long_tokens_are_waited_for(
    limits: AnswerLimits, timeout_s: float, drain_s: float
) -> None:
    """The engine judges by all limits; a first token may take as long as no limit forbids."""
    engine = SimulatedEngine()
    load = TrialLoad(engine, LatencyBudget.of_answers(99, limits))
    load.measure(SERVER, ClosedLoop(1), duration_s=0.5, overload=None, answer_s=1.0)
    [run] = engine.runs
    assert (run.timeout_s, run.drain_s) == pytest.approx((timeout_s, drain_s))
    assert run.limits == limits


def test_limits_that_no_answer_could_be_over() -> None:
    """An answer that comes at once has neither a first token nor a time between two."""
    at_once = RequestSet((b"1",))
    in_parts = RequestSet((b"1",), call=GrpcCall("/1", stream=StreamedResponse()))
    first, tokens = AnswerLimits(ttft_s=0.2), AnswerLimits(ttft_s=0.2, itl_s=0.02)
    refusals = [
        (at_once, first, "ttft", "several parts"),
        (in_parts, tokens, "itl", "output tokens"),
    ]
    for requests, limits, option, parts in refusals:
        load = TrialLoad(SimulatedEngine(), LatencyBudget.of_answers(99, limits))
        with refused(
            f"`--budget-{option}-ms` is for answers of {parts}, which those of this server are "
            "not",
            "`--budget-ms` is for whole answers",
        ):
            load.check_limits(requests)
    TrialLoad(SimulatedEngine(), LatencyBudget.of_answers(99, first)).check_limits(in_parts)
    TrialLoad(SimulatedEngine(), BUDGET).check_limits(at_once)
