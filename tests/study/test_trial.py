"""One trial on a real Triton: the order of its steps, and every way in which it can fail."""

import math
import os
import re
import signal
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from runners.base import RunningServer
from tests.runner_tests.waiting import wait_until
from tests.study.simulated_bench import Watcher
from tests.study.simulated_engine import SimulatedEngine
from tests.targets.moody import moody
from tests.targets.triton.triton_targets import Served
from tuner.capacity.probes import Beat, RisingBeat
from tuner.clients.v2_http import V2Client
from tuner.errors import EngineLostError, LoadError, Reason
from tuner.goals import LatencyBudget
from tuner.load.calibration import Calibration
from tuner.load.client import LoadEngine
from tuner.load.measurement import Measurement
from tuner.load.profile import LoadRun
from tuner.records import Grade, Purpose, SettingVerdict, TrialRecord, TrialState
from tuner.space.space import Configuration
from tuner.study.trial import Bench, TrialPlan, run_trial
from tuner.study.trial_load import TrialLoad
from tuner.targets.triton import config as model_config
from tuner.targets.triton.target import TritonTarget

BUDGET = LatencyBudget(99, 0.05)
# No configuration can beat this: a trial that gets so far ends after the saturation.
OUT_OF_REACH = 1e9


class DeadEngine(SimulatedEngine):
    """It is lost with its first load, and dead for good unless it can be revived."""

    revived = 0

    def __init__(self, error: LoadError) -> None:
        super().__init__()
        self._error = error

    def measure(self, run: LoadRun) -> Measurement:
        if self.revived:
            return super().measure(run)
        raise self._error

    def revive(self) -> None:
        self.revived += 1


class OverruledTarget(TritonTarget):
    """Somebody loads three instances behind its back, right before it verifies."""

    def verify(
        self, server: RunningServer, configuration: Configuration
    ) -> Mapping[str, SettingVerdict]:
        other = Configuration.of({**configuration, "instance_count": 3})
        with V2Client(server.url("http")) as client:
            client.load(
                self.model,
                model_config.as_json(self._model.configured(self._space.settings(other))),
            )
        return super().verify(server, configuration)


class KillingTarget(TritonTarget):
    """Its server is gone, right before it verifies."""

    def verify(
        self, server: RunningServer, configuration: Configuration
    ) -> Mapping[str, SettingVerdict]:
        os.kill(server.pid, signal.SIGABRT)
        wait_until(lambda: not server.is_alive())
        return super().verify(server, configuration)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Served:
    return moody(tmp_path_factory.mktemp("moody"))


@pytest.fixture(scope="module")
def shared_bench(model: Served) -> Iterator[Bench]:
    with LoadEngine() as engine, model.deployment() as deployment:
        yield Bench(model.target, deployment, TrialLoad(engine, BUDGET), Watcher())


@pytest.fixture
def bench(shared_bench: Bench) -> Bench:
    return replace(shared_bench, observer=Watcher())


def plan(configuration: Configuration, *, beat: float = OUT_OF_REACH) -> TrialPlan:
    return TrialPlan(
        number=3, purpose=Purpose.SEARCH, configuration=configuration, beat=Beat(beat)
    )


def failed(bench: Bench, model: Served, configuration: Configuration) -> TrialRecord:
    """The record of a trial that must fail, and leave nothing."""
    record, golden = run_trial(bench, plan(configuration))
    assert record.state is TrialState.FAILED, record
    assert golden == bench.golden
    assert model.processes() == []
    assert record.throughput == 0.0
    assert record.timings_s["total"] > 0
    assert 'name: "moody"' in record.export
    return record


class TestGoodTrial:
    def test_from_start_to_end(self, bench: Bench, model: Served) -> None:
        """Apply, verify, warm up, unloaded, saturate, search, validate: in this order.

        The failure of the trial before has left the deployment fit for this one.
        """
        before = failed(bench, model, model.configuration(mood="takes all memory"))
        events = Watcher()
        bench = replace(bench, observer=events)

        record, golden = run_trial(bench, replace(plan(model.configuration(), beat=0.0), seed=5))

        assert events.began == [(Purpose.SEARCH, model.configuration())]
        assert events.phases == [
            "apply",
            "verify",
            "warm-up",
            "unloaded",
            "saturation",
            "search",
            "validate",
        ]
        assert before.reason is Reason.INTERRUPTED
        assert_matches(": the server was ended by SIGKILL, and not for its memory", before.message)
        assert "successfully loaded 'moody'" in before.log_tail
        assert record.applied == "restart"
        assert record.timings_s.keys() == {*events.phases, "total"}
        assert {p.phase for p in record.points} == set(events.phases[2:-1])
        assert 0 < record.unloaded_s <= BUDGET.limit_s
        assert 0 < record.throughput < 1.2 * record.saturation
        assert record.statistics.requests > 1000
        assert record.verdicts["instance_count"].grade is Grade.CONFIRMED
        assert (record.reason, record.message, record.log_tail) == (None, "", "")
        assert (record.number, record.seed) == (3, 5)
        assert events.ended == []  # a trial does not end by itself
        assert record.started_at < record.finished_at
        assert golden is not None
        assert [output.name for output in golden.outputs] == ["y"]
        assert 0 < record.usage.cpu_s < 0.1
        assert record.usage.memory_bytes > 1 << 20
        searched = [p for p in record.points if p.phase == "search"]
        assert all(p.latency_low_s <= p.latency_s <= p.latency_high_s for p in searched)
        assert all(p.usage.cpu_s > 0 for p in searched)

    def test_what_is_beaten_meanwhile_ends_there(self, bench: Bench, model: Served) -> None:
        """It began with nothing to beat; by its first load point, no server carries enough."""
        bench = replace(bench, load=TrialLoad(SimulatedEngine(), BUDGET))
        meanwhile = RisingBeat(Beat(OUT_OF_REACH))
        record, _ = run_trial(bench, plan(model.configuration(), beat=0.0), meanwhile)

        assert record.state is TrialState.PRUNED
        assert "search" not in {point.phase for point in record.points}

    def test_the_latency_at_a_reference_load(self, bench: Bench, model: Served) -> None:
        """Where it is an objective, one more load is measured: a share of the capacity, or a rate.

        Beyond the capacity nobody needs to look: the latency is over the limit.
        """
        bench = replace(bench, load=TrialLoad(SimulatedEngine(), BUDGET))
        configuration = model.configuration()
        shared, _ = run_trial(bench, replace(plan(configuration, beat=0.0), reference_share=0.5))
        fixed, beyond = (
            run_trial(bench, replace(plan(configuration, beat=0.0), reference=rate))[0]
            for rate in (100.0, 1e6)
        )

        [half] = [p for p in shared.points if p.phase == "reference"]
        assert half.load == pytest.approx(0.5 * shared.throughput)
        assert 0 < shared.reference_s == half.latency_s <= BUDGET.limit_s
        assert [p.load for p in fixed.points if p.phase == "reference"] == [100.0]
        assert beyond.reference_s == math.inf
        assert "reference" not in beyond.timings_s

    def test_the_proof_of_a_claim(self, bench: Bench, model: Served) -> None:
        """A load that is claimed is put on the server until it is decided."""
        bench = replace(bench, load=TrialLoad(SimulatedEngine(), BUDGET))
        modest, bold = (
            run_trial(bench, replace(plan(model.configuration()), claim=claim, fresh=True))[0]
            for claim in (500.0, 20_000.0)
        )

        assert (modest.state, modest.proof, modest.throughput) == (
            TrialState.FEASIBLE,
            "within",
            500.0,
        )
        assert (bold.state, bold.proof) == (TrialState.INFEASIBLE, "over")
        assert {p.phase for p in modest.points} == {"warm-up", "unloaded", "proof"}
        assert modest.applied == "restart"

    def test_the_engine_checks_itself_first(self, bench: Bench, model: Served) -> None:
        """Before the first load, and with the size of the requests."""
        sizes: list[int] = []

        def check(size: int) -> Calibration:
            sizes.append(size)
            return Calibration(50_000.0, 1e-4)

        events = Watcher()
        load = TrialLoad(SimulatedEngine(), BUDGET, self_check=check)
        bench = replace(bench, load=load, observer=events)
        for _ in range(2):
            run_trial(bench, plan(model.configuration()))

        assert events.phases.count("self-check") == 1
        assert events.phases.index("self-check") < events.phases.index("warm-up")
        assert sizes == [512]


class TestFailures:
    @pytest.mark.parametrize(
        ("mood", "reason", "message", "last_words"),
        [
            pytest.param(
                "raises at load",
                Reason.INVALID_CONFIGURATION,
                "apply: .* answered 400: load failed for model 'moody'.*the weights are missing",
                "Failed to initialize Python stub: RuntimeError: the weights are missing",
                id="load-raises",
            ),
            pytest.param(
                "crashes the server at load",
                Reason.CRASHED,
                r"apply: the server was ended by SIGSEGV; seen as: no answer from http://",
                r"Signal \(11\) received",
                id="load-crashes",
            ),
            pytest.param(
                "never answers well",
                Reason.NOT_READY,
                "apply: the first inference failed: .* answered 500: out of ideas",
                "successfully loaded 'moody'",
                id="first-inference-fails",
            ),
            pytest.param(
                "gives NaN",
                Reason.WRONG_OUTPUT,
                "apply: output `y` contains NaN for the fixed input",
                "successfully loaded 'moody'",
                id="nan",
            ),
            pytest.param(
                "crashes the server",
                Reason.CRASHED,
                "(warm-up|unloaded): the server was ended by SIGSEGV; seen as: ",
                r"Signal \(11\) received",
                id="crashes",
            ),
            pytest.param(
                "ends",
                Reason.LOAD_FAILED,
                r"(warm-up|unloaded): \d+ of \d+ requests failed, most of them as http_500; one "
                r"more request: .* answered 500: Stub process 'moody_0_0' is not healthy",
                "successfully loaded 'moody'",
                id="model-ends",
            ),
            pytest.param(
                "hangs",
                Reason.UNRESPONSIVE,
                r"(warm-up|unloaded): \d+ of \d+ requests failed, most of them as timeout",
                "successfully loaded 'moody'",
                id="model-hangs",
            ),
            pytest.param(
                "refuses",
                Reason.LOAD_FAILED,
                r"(warm-up|unloaded): \d+ of \d+ requests failed, most of them as http_500; one "
                r"more request: .* answered 500: out of ideas",
                "successfully loaded 'moody'",
                id="model-refuses",
            ),
        ],
    )
    def test_of_the_server(
        self,
        bench: Bench,
        model: Served,
        mood: str,
        reason: Reason,
        message: str,
        last_words: str,
    ) -> None:
        """Each has its reason, says what happened and when, and keeps the server's last words."""
        record = failed(bench, model, model.configuration(mood=mood))

        assert record.reason is reason
        assert_matches(message, record.message)
        assert_matches(last_words, record.log_tail)

    def test_hangs_at_load(self, bench: Bench, tmp_path: Path) -> None:
        """A model that never finishes to load is given up after the start timeout."""
        slow = moody(tmp_path, start_timeout_s=3.0)
        with slow.deployment() as deployment:
            bench = replace(bench, target=slow.target, deployment=deployment)
            record = failed(bench, slow, slow.configuration(mood="hangs at load"))

        assert record.reason is Reason.START_TIMEOUT
        assert_matches("apply: the model was not loaded: .* within 3 s", record.message)
        assert_matches("loading: moody", record.log_tail)

    def test_wrong_in_a_batch(self, bench: Bench, model: Served) -> None:
        """A model whose answers change with its batch is wrong, however fast it is."""
        configuration = model.configuration(
            mood="adds the batch", dynamic_batching=True, max_queue_delay_microseconds=10000
        )

        record = failed(bench, model, configuration)

        assert record.reason is Reason.WRONG_OUTPUT
        assert record.message == (
            "validate: of 8 equal requests at once: output `y` differs from the baseline's by "
            "more than 1% and 0.001"
        )
        assert record.statistics.mean_batch > 1

    def test_refuted(self, bench: Bench, tmp_path: Path) -> None:
        """A parameter that the server has otherwise is never credited."""
        overruled = moody(tmp_path, kind=OverruledTarget)
        with overruled.deployment() as deployment:
            bench = replace(bench, target=overruled.target, deployment=deployment)
            record = failed(bench, overruled, overruled.configuration())

        assert record.reason is Reason.REFUTED
        assert record.message == (
            "verify: parameter `instance_count` did not take effect: "
            "the server has instance_group[0].count = 3"
        )
        assert record.verdicts["instance_count"].grade is Grade.REFUTED

    def test_gone_between_two_steps(self, bench: Bench, tmp_path: Path) -> None:
        """A server that does not answer because it is dead has crashed."""
        killing = moody(tmp_path, kind=KillingTarget)
        with killing.deployment() as deployment:
            bench = replace(bench, target=killing.target, deployment=deployment)
            record = failed(bench, killing, killing.configuration())

        assert record.reason is Reason.CRASHED
        assert_matches("verify: the server was ended by SIGABRT; seen as: ", record.message)

    def test_an_engine_that_cannot_keep_up(self, bench: Bench, model: Served) -> None:
        """A point that the engine spoiled twice says nothing about the server."""
        bench = replace(
            bench, load=TrialLoad(SimulatedEngine(lags_s=(0.1, 0.1)), BUDGET, most_workers=1)
        )

        record, _ = run_trial(bench, plan(model.configuration(), beat=0.0))

        assert record.reason is Reason.CLIENT_OVERLOADED
        assert record.message == (
            "search: requests left 100.0 ms late (p99), 10.0 ms are tolerable"
        )

    def test_requests_fail_that_nothing_explains(self, bench: Bench, model: Served) -> None:
        """Where the server answers afterwards, the message says so."""
        bench = replace(bench, load=TrialLoad(SimulatedEngine(failing_share=0.9), BUDGET))

        record = failed(bench, model, model.configuration())

        assert record.reason is Reason.LOAD_FAILED
        assert_matches("as http_503; one more request was answered$", record.message)

    def test_an_engine_that_ends(self, bench: Bench, model: Served) -> None:
        """A load engine that is broken ends the study, not only the trial."""
        engine = DeadEngine(LoadError("the load engine failed"))
        bench = replace(bench, load=TrialLoad(engine, BUDGET))

        with pytest.raises(LoadError, match="the load engine failed"):
            run_trial(bench, plan(model.configuration()))

    def test_an_engine_process_that_is_lost(self, bench: Bench, model: Served) -> None:
        """It is not the configuration's fault: there is another one for the next trial."""
        engine = DeadEngine(EngineLostError("the load engine ended unexpectedly"))
        bench = replace(bench, load=TrialLoad(engine, BUDGET))

        record = failed(bench, model, model.configuration())

        assert record.reason is Reason.INTERRUPTED
        assert record.message == "warm-up: the load engine ended unexpectedly"
        assert engine.revived == 1


def assert_matches(pattern: str, text: str) -> None:
    assert re.search(pattern, text, re.DOTALL), text
