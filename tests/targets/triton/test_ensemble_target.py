"""An ensemble on a real Triton: its parts are set, read back, put back and handed over."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from runners.base import RunningServer
from tests.runner_tests.waiting import wait_until
from tests.targets.triton.ensembles import opened, write_chain, write_ensemble
from tests.targets.triton.triton_targets import Served, built_in, infer, parsed
from tuner.clients.v2_http import V2Client
from tuner.records import Applied, Grade
from tuner.study.deployment import Deployment
from tuner.targets import exported
from tuner.targets.base import TargetSetup
from tuner.targets.request_form import RequestForm
from tuner.targets.triton import config as model_config
from tuner.targets.triton.ensemble_target import target_of
from tuner.targets.triton.running import RunningModel

ENCODER_HEAD = ("text-encoder", "head")
ENCODER = {
    "text-encoder.instance_count": 2,
    "text-encoder.dynamic_batching": True,
    "text-encoder.max_batch_size": 4,
    "text-encoder.max_queue_delay_microseconds": 100,
}


def served(folder: Path, repository: Path, name: str) -> Served:
    """An ensemble as the target of a study."""
    model = opened(repository, name)
    space = model.adapt(built_in(), contained=False)
    workspace = folder / f"served-{folder.name}-{name}"
    target = target_of(model, space, TargetSetup(workspace=workspace, form=RequestForm()))
    target.stage()
    return Served(target, space, workspace, {"threads": 1})


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Served:
    folder = tmp_path_factory.mktemp("chain")
    write_chain(folder / "models")
    write_ensemble(folder / "models", "outer", ["chain", "text-encoder"], version=1)
    return served(folder, folder / "models", "outer")


@pytest.fixture(scope="module")
def deployment(chain: Served) -> Iterator[Deployment]:
    with chain.deployment() as deployment:
        yield deployment


def instances(server: RunningServer, model: str) -> int:
    with V2Client(server.url("http")) as client:
        return int(client.config(model)["instance_group"][0]["count"])


def loads(server: RunningServer) -> dict[str, int]:
    """How often each model was loaded, as the log has it."""
    lines = server.log_tail(5000).splitlines()
    loaded = [line.split("'")[1] for line in lines if "successfully loaded '" in line]
    return {name: loaded.count(name) for name in loaded}


class TestApply:
    def test_all_parts_are_set(self, chain: Served, deployment: Deployment) -> None:
        """Nested, with a version, and with a part that is used twice: each has its own values."""
        configuration = chain.configuration(**ENCODER)
        assert deployment.apply(configuration) is Applied.RESTART
        answer = infer(deployment.server, "outer", x=np.ones((2, 4), np.float32))
        assert (answer["y"] == 12.0).all()
        assert instances(deployment.server, "text-encoder") == 2
        assert instances(deployment.server, "head") == 1

        verdicts = chain.target.verify(deployment.server, configuration)
        assert verdicts.keys() == configuration.keys()
        assert {n for n, v in verdicts.items() if v.grade is not Grade.CONFIRMED} == {
            "threads",
            "text-encoder.preferred_batch_size",  # which is left out
        }

    def test_what_changed_is_loaded_again(self, chain: Served, deployment: Deployment) -> None:
        """A part that stays as it is is not loaded again, also where the ensemble is."""
        deployment.apply(chain.configuration(**ENCODER))
        pid, before = deployment.server.pid, loads(deployment.server)
        smaller = {"head.dynamic_batching": True, "head.max_batch_size": 2}
        configuration = chain.configuration(**ENCODER, **smaller)
        assert deployment.apply(configuration) is Applied.RELOAD
        after = loads(deployment.server)

        assert deployment.server.pid == pid
        assert after["text-encoder"] == before["text-encoder"]
        assert after["head"] > before["head"]
        with V2Client(deployment.server.url("http")) as client:
            sizes = {n: client.config(n)["max_batch_size"] for n in ("head", "chain", "outer")}
        assert sizes == {"head": 2, "chain": 2, "outer": 2}
        verdicts = chain.target.verify(deployment.server, configuration)
        assert verdicts["head.max_batch_size"].grade is Grade.CONFIRMED
        deployment.apply(chain.configuration())
        with V2Client(deployment.server.url("http")) as client:
            assert client.config("outer")["max_batch_size"] == 8

    def test_a_part_that_has_another_value_is_refuted(
        self, chain: Served, deployment: Deployment
    ) -> None:
        """Each part is read back by itself."""
        deployment.apply(chain.configuration())
        meant = chain.configuration(**{"head.instance_count": 2})
        verdicts = chain.target.verify(deployment.server, meant)
        assert verdicts["head.instance_count"].found == (
            "the server has instance_group[0].count = 1"
        )
        assert verdicts["text-encoder.instance_count"].grade is Grade.CONFIRMED

    def test_statistics(self, chain: Served, deployment: Deployment) -> None:
        """Requests are counted once, however many parts they pass; batches are the parts'."""
        batching = {"dynamic_batching": True, "max_queue_delay_microseconds": 300_000}
        values = {f"{part}.{n}": v for part in ENCODER_HEAD for n, v in batching.items()}
        sizes = {f"{part}.max_batch_size": 4 for part in ENCODER_HEAD}

        def counted() -> int:
            return chain.target.statistics(deployment.server).requests

        for configuration, batch in (({}, 1), (values | sizes, 4)):
            deployment.apply(chain.configuration(**configuration), fresh=True)
            # The request with which `apply` ends may be counted after it was answered.
            wait_until(lambda: counted() == 1)
            before = chain.target.statistics(deployment.server)
            for _ in range(3):
                chain.target.infer(deployment.server, count=4)
            spent = chain.target.statistics(deployment.server) - before
            assert (spent.requests, spent.inferences) == (12, 12)
            assert spent.mean_batch == batch


class TestRunning:
    def test_a_server_that_already_runs(self, chain: Served, deployment: Deployment) -> None:
        """Its parts are set without its files, keep what was set, and are put back."""
        deployment.apply(chain.configuration())
        server = deployment.server
        model = RunningModel.of(server, "outer")
        space = model.adapt(built_in(), contained=True).without({"threads"})
        setup = TargetSetup(workspace=chain.folder / "none", form=RequestForm())
        target = target_of(model, space, setup)
        target.stage()

        for count, size in ((2, 4), (1, 2), (2, 8)):
            values = ENCODER | {
                "text-encoder.instance_count": count,
                "text-encoder.max_batch_size": size,
            }
            configuration = space.activate(values)
            target.apply(server, configuration)
            verdicts = target.verify(server, configuration)
            assert all(v.grade is not Grade.REFUTED for v in verdicts.values())
            assert instances(server, "text-encoder") == count
        target.restore(server)
        assert instances(server, "text-encoder") == 1
        with V2Client(server.url("http")) as client:
            assert client.config("outer")["max_batch_size"] == 8
        deployment.stop()


class TestExport:
    def test_a_file_for_each_model(self, chain: Served) -> None:
        """All of them are one text, which is taken apart into the files of a repository."""
        text = chain.target.export(chain.configuration(**ENCODER))
        found = exported.files(text, "config.pbtxt")
        assert list(found) == [
            f"{name}/config.pbtxt" for name in ("outer", "text-encoder", "head", "chain")
        ]
        assert found["outer/config.pbtxt"].startswith("# threads: start the server with ")
        encoder = parsed(found["text-encoder/config.pbtxt"])
        assert model_config.get(encoder, "instance_group[0].count") == 2
        assert model_config.get(parsed(found["outer/config.pbtxt"]), "max_batch_size") == 4

    def test_load_that_saturates(self, chain: Served) -> None:
        """The parts work at the same time; the largest batch is that of any of them."""
        alone = chain.configuration()
        assert chain.target.concurrency(alone) == 2 * (1 + 1)
        assert chain.target.largest_batch(alone) == 1
        assert chain.target.concurrency(chain.configuration(**ENCODER)) == 2 * (2 * 4 + 1)
        assert chain.target.largest_batch(chain.configuration(**ENCODER)) == 4
