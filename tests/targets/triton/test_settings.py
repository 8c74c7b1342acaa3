"""The settings of Triton's larger spaces on a real Triton: applied, read back and proved."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.study.simulated_bench import Watcher
from tests.study.simulated_engine import SimulatedEngine
from tests.targets.moody import MODELS
from tests.targets.triton.triton_targets import FACTS, Served, built_in, served, write_model
from tuner import hardware
from tuner.errors import Reason, TrialFailure
from tuner.goals import LatencyBudget
from tuner.records import (
    Applied,
    Grade,
    Purpose,
    ServerStatistics,
    SettingVerdict,
    TrialState,
)
from tuner.space import spec
from tuner.space.expressions import Value, value_text
from tuner.space.resolution import resolve
from tuner.space.settings import ConfigPath
from tuner.study.deployment import Deployment
from tuner.study.trial import Bench, TrialPlan, run_trial
from tuner.study.trial_load import TrialLoad
from tuner.targets.process_proofs import ACCEPTED, CONFIRMED, refuted
from tuner.targets.triton import config as model_config
from tuner.targets.triton import install as triton_install
from tuner.targets.triton.repository import RepositoryModel

Values = dict[str, Value]


class Running:
    """A model under one of the built-in spaces, which is started by its first `apply`."""

    def __init__(self, served: Served, deployment: Deployment) -> None:
        self.target, self.space, self.deployment = served.target, served.space, deployment

    def apply(self, **values: Value) -> tuple[Applied, Mapping[str, SettingVerdict]]:
        configuration = self.space.activate({"threads": 1, **values})
        applied = self.deployment.apply(configuration)
        return applied, self.target.verify(self.deployment.server, configuration)

    def spent(self, count: int) -> ServerStatistics:
        """What `count` equal requests, one after the other, cost the server."""
        before = self.statistics()
        for _ in range(count):
            self.target.infer(self.deployment.server)
        return self.statistics() - before

    def statistics(self) -> ServerStatistics:
        return self.target.statistics(self.deployment.server)


@contextmanager
def running(
    folder: Path, name: str, *, model: str = "moody", gpus: int = 0, contained: bool = False
) -> Iterator[Running]:
    written = spec.load_space(spec.built_in().get(name, Path(name)))
    searched = resolve(written, {**FACTS, "gpus": gpus})
    found = served(folder, RepositoryModel(MODELS, model), searched=searched, contained=contained)
    with found.deployment() as deployment:
        yield Running(found, deployment)


@pytest.fixture
def no_gpu() -> None:
    if hardware.detect().gpus:
        pytest.skip("this machine has a GPU")


class TestAll:
    def test_every_setting_of_a_processor(self, tmp_path: Path) -> None:
        """Queue policy, rate limiter and allocator are confirmed; the front end is accepted."""
        policy: Values = {
            "queue_size": 16,
            "queue_timeout_microseconds": 20000,
            "queue_timeout_action": "DELAY",
        }
        limiter: Values = {
            "rate_limit": "execution_count",
            "rate_limiter_resource": "device",
            "rate_limiter_resource_count": 1,
        }
        with running(tmp_path, "triton_all") as triton:
            allocators: Values = (
                {"allocator": triton.space["allocator"].choices[-1]}  # type: ignore[index]
                if "allocator" in triton.space.defaults
                else {}
            )
            _, verdicts = triton.apply(
                **{**policy, **limiter, **allocators},
                http_threads=2,
                instance_count=2,
                dynamic_batching=True,
                max_batch_size=4,
            )

        proved = {**policy, **limiter, **allocators}
        assert {name: verdicts[name] for name in proved} == dict.fromkeys(proved, CONFIRMED)
        assert verdicts["http_threads"] == ACCEPTED

    def test_the_server_s_own(self, tmp_path: Path) -> None:
        """The defaults are what the server does by itself: nothing is refuted."""
        with running(tmp_path, "triton_all") as triton:
            _, verdicts = triton.apply()

        assert verdicts["rate_limit"] == CONFIRMED
        assert {verdict.grade for verdict in verdicts.values()} <= {
            Grade.CONFIRMED,
            Grade.ACCEPTED,
        }

    @pytest.mark.usefixtures("no_gpu")
    def test_of_a_gpu_that_there_is_not(self, tmp_path: Path) -> None:
        """Warm-up works on any machine; pools and instances of a GPU are found out."""
        with running(tmp_path, "triton_all", gpus=1) as triton:
            _, verdicts = triton.apply(instance_kind="KIND_CPU")
            assert verdicts["warm_up"] == verdicts["instance_kind"] == CONFIRMED
            assert verdicts["pinned_memory_bytes"] == refuted(
                "the log says `Unable to allocate pinned system memory`"
            )
            assert verdicts["cuda_memory_pool"] == refuted(
                "the log says `CUDA memory pool disabled`"
            )
            assert {2, 4, 8} <= triton.statistics().batches.keys()  # and nobody asked for them

            with pytest.raises(TrialFailure, match="KIND_GPU but no GPUs are available") as caught:
                triton.apply(instance_kind="KIND_GPU")
        assert caught.value.reason is Reason.INVALID_CONFIGURATION


class TestCache:
    def test_repeated_inputs_cost_nothing(self, tmp_path: Path) -> None:
        """With the cache, only the first of equal requests is computed: it is off by default."""
        cache = "local,size=268435456"
        with running(tmp_path, "triton_cache") as triton:
            applied, verdicts = triton.apply(cache=cache)
            assert (applied, verdicts["cache"]) == (Applied.RESTART, CONFIRMED)
            assert triton.spent(5).inferences == 5

            applied, verdicts = triton.apply(cache=cache, response_cache=True)
            assert (applied, verdicts["response_cache"]) == (Applied.RELOAD, CONFIRMED)
            assert triton.spent(5).inferences == 0

    def test_only_where_it_was_asked_for(self) -> None:
        """No other space has it, its default is off, and its description says why."""
        spaces = {name: spec.load_space(path) for name, path in spec.built_in().items()}
        assert [name for name, each in spaces.items() if "response_cache" in each.parameters] == [
            "triton_cache"
        ]
        written = spaces["triton_cache"].parameters
        assert (written["cache"].default, written["response_cache"].default) == ("off", False)
        assert "the tuner sends few distinct inputs" in written["response_cache"].description


class TestRefusals:
    def test_a_flag_that_the_server_does_not_have(self, tmp_path: Path) -> None:
        """Where it could not be asked beforehand, the trial fails at once, in its own words."""
        file = tmp_path / "space.yaml"
        file.write_text(
            "extends: triton\nparameters:\n  x:\n    type: boolean\n    default: true\n"
            "    sets: {flag: --no-such-flag}\n"
        )
        with (
            running(tmp_path, str(file), contained=True) as triton,
            pytest.raises(TrialFailure) as caught,
        ):
            triton.apply()

        assert caught.value.reason is Reason.START_FAILED
        assert str(caught.value).endswith(
            "exited with code 1 before it listened: "
            f"{triton_install.find_triton(tmp_path).executable}: "
            "unrecognized option '--no-such-flag=true'"
        )

    def test_a_batch_size_that_the_server_clamped(self, tmp_path: Path) -> None:
        """A trial of what the model cuts when it is loaded ends as refuted, before any load."""
        asked: Values = {"dynamic_batching": True, "max_batch_size": 16, "preferred_batch_size": 4}
        engine = SimulatedEngine()
        with running(tmp_path, "triton", model="clamped") as triton:
            load = TrialLoad(engine, LatencyBudget(99, 0.05))
            bench = Bench(triton.target, triton.deployment, load, Watcher())
            configuration = triton.space.activate({"threads": 1, **asked})
            plan = TrialPlan(number=1, purpose=Purpose.SEARCH, configuration=configuration)
            record, _ = run_trial(bench, plan)

        assert (record.state, record.reason) == (TrialState.FAILED, Reason.REFUTED)
        assert record.message == (
            "verify: parameter `max_batch_size` did not take effect: "
            "the server has max_batch_size = 4"
        )
        refuted = {n: v.found for n, v in record.verdicts.items() if v.grade is Grade.REFUTED}
        assert refuted == {"max_batch_size": "the server has max_batch_size = 4"}
        assert (record.throughput, record.points, engine.runs) == (0.0, (), [])


# What the conditions of the spaces ask for.
CONDITIONS: Values = {
    "dynamic_batching": True,
    "instance_count": 2,
    "instance_kind": "KIND_GPU",
    "gpu_accelerator": "tensorrt",
    "execution_mode": 1,
    "rate_limit": "execution_count",
    "queue_timeout_microseconds": 5000,
    "cache": "local,size=268435456",
}
SPACES = [name for name in spec.built_in() if name.startswith("triton")]


@pytest.mark.parametrize("name", SPACES)
class TestRendering:
    def test_every_value_fits_the_model_configuration(self, name: str, tmp_path: Path) -> None:
        """Each value of each parameter goes into the configuration, and is read back from it."""
        write_model(
            tmp_path, config='max_batch_size: 8 input { name: "x" data_type: TYPE_FP32 dims: 4 }'
        )
        model = RepositoryModel(tmp_path, "m")
        space = model.adapt(built_in(name, gpus=2), contained=True)
        for parameter in space.parameters:
            if not isinstance(parameter.sets, ConfigPath):
                continue
            omit = parameter.sets.omit
            for value in parameter.choices or ():
                configuration = space.activate({**CONDITIONS, parameter.name: value})
                assert configuration[parameter.name] == value
                message = model.configured(space.settings(configuration))
                found = model_config.get(message, parameter.sets.path)
                expected = (None, omit) if value == omit else (value, value_text(value))
                assert found in expected or not (found or value), (parameter.name, value)

    def test_gpus_only_where_there_are(self, name: str) -> None:
        """Without a GPU, none of its parameters is offered; with one, they are."""
        written = spec.load_space(spec.built_in()[name])
        without, with_gpus = (
            {p.name for p in resolve(written, {**FACTS, "gpus": gpus}).parameters}
            for gpus in (0, 2)
        )
        needs_gpu = {n for n, p in written.parameters.items() if "gpus >" in (p.when or "")}
        assert needs_gpu
        assert needs_gpu <= with_gpus
        assert not needs_gpu & without
        assert written.parameters.keys() - with_gpus <= {"http_threads"}


def test_the_bundled_model_s_space_stays_small() -> None:
    """On a machine as in the README, the default space has the size that the README shows."""
    assert built_in().size == 635
