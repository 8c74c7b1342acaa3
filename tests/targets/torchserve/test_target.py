"""TorchServe as a target, on the real server: what it applies, proves and refutes."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.servers import torchserve as torchserve_server
from tests.targets.torchserve.torchserve_targets import (
    BASED,
    HANDLER,
    Served,
    archive,
    served,
    with_first_on_path,
)
from tuner.errors import Reason
from tuner.records import Applied, Grade
from tuner.study.deployment import Deployment
from tuner.targets.process_proofs import ACCEPTED, CONFIRMED, refuted


@pytest.fixture(scope="module")
def mar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if missing := torchserve_server.missing():
        pytest.skip(missing)
    return archive(tmp_path_factory.mktemp("mar"))


@pytest.fixture(scope="module")
def plain(mar: Path, tmp_path_factory: pytest.TempPathFactory) -> Served:
    return served(tmp_path_factory.mktemp("served"), mar)


@pytest.fixture(scope="module")
def deployment(plain: Served) -> Iterator[Deployment]:
    """One for all tests: what differs in `reload` parameters only is a reload."""
    with plain.deployment() as deployment:
        yield deployment


def workers_of(pid: int) -> set[int]:
    """Its worker processes."""
    workers = set()
    for process in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            if any("model_service_worker" in word for word in process.cmdline()):
                workers.add(process.pid)
    return workers


class TestApply:
    def test_answers_once_applied(self, plain: Served, deployment: Deployment) -> None:
        """A configuration that was applied has its workers, and answers rightly."""
        deployment.apply(plain.configuration())
        [outputs] = plain.target.infer(deployment.server)
        assert [output.name for output in outputs] == ["answer.length", "answer.sum"]
        assert len(workers_of(deployment.server.pid)) == 1

    def test_workers_are_scaled_in_place(self, plain: Served, deployment: Deployment) -> None:
        """More workers join those that are there; less leave some of them."""
        deployment.apply(plain.configuration())
        before = workers_of(deployment.server.pid)
        assert deployment.apply(plain.configuration(workers=2)) is Applied.RELOAD
        more = workers_of(deployment.server.pid)
        assert before < more
        assert len(more) == 2
        assert deployment.apply(plain.configuration()) is Applied.RELOAD
        assert workers_of(deployment.server.pid) < more

    def test_batching_is_a_new_registration(self, plain: Served, deployment: Deployment) -> None:
        """Batch size and delay take new workers, and no new server."""
        deployment.apply(plain.configuration())
        server, before = deployment.server.pid, workers_of(deployment.server.pid)
        configuration = plain.configuration(batch_size=4, max_batch_delay=5)
        assert deployment.apply(configuration) is Applied.RELOAD
        assert deployment.server.pid == server
        assert not workers_of(server) & before
        verdicts = plain.target.verify(deployment.server, configuration)
        assert verdicts["batch_size"] == verdicts["max_batch_delay"] == CONFIRMED

    def test_threads_take_a_restart(self, plain: Served) -> None:
        """What is in the environment cannot be changed in place."""
        one, two = plain.configuration(threads=1), plain.configuration(threads=2)
        assert not plain.target.can_reload(one, two)


class TestVerify:
    @pytest.mark.parametrize(
        ("asked", "parameter", "found"),
        [
            ({"workers": 2}, "workers", "TorchServe has minWorkers = 1"),
            ({"batch_size": 4}, "batch_size", "TorchServe has batchSize = 1"),
            ({"netty_threads": 2}, "netty_threads", "TorchServe says `Netty threads: 0`"),
            ({"threads": 2}, "threads", "has OMP_NUM_THREADS=1"),
        ],
    )
    def test_a_reload_that_did_not_take(
        self,
        plain: Served,
        deployment: Deployment,
        asked: dict[str, int],
        parameter: str,
        found: str,
    ) -> None:
        """What the server does not have is refuted with what it has."""
        deployment.apply(plain.configuration())
        verdict = plain.target.verify(deployment.server, plain.configuration(**asked))[parameter]
        assert verdict.grade is Grade.REFUTED
        assert found in verdict.found

    def test_launched_workers(self, plain: Served) -> None:
        """With the launcher, each worker has processors of its own, and the log shows it."""
        configuration = plain.configuration(cpu_launcher=True, workers=2)
        with plain.deployment() as deployment:
            deployment.apply(configuration)
            verdicts = plain.target.verify(deployment.server, configuration)
            pids = workers_of(deployment.server.pid)
            bound = {tuple(psutil.Process(pid).cpu_affinity() or ()) for pid in pids}
        assert verdicts["cpu_launcher"] == CONFIRMED
        assert {cpus for cpus in bound if len(cpus) == 1} >= {(0,), (1,)}

    def test_launched_workers_take_a_restart(self, plain: Served) -> None:
        """Workers that stay would keep the cores of new ones."""
        one, two = (plain.configuration(cpu_launcher=True, workers=n) for n in (1, 2))
        assert not plain.target.can_reload(one, two)
        assert plain.target.can_reload(one, one)

    def test_a_launcher_that_fell_back(self, mar: Path, tmp_path: Path) -> None:
        """Where the first `python` on PATH cannot run the launcher, its parameter is refuted."""
        python = tmp_path / "programs" / "python"
        python.parent.mkdir()
        python.write_text("#!/bin/sh\nexit 1\n")
        python.chmod(0o755)
        launched = served(tmp_path, mar, installation=with_first_on_path(python.parent))
        configuration = launched.configuration(cpu_launcher=True)
        verdict = launched.verdicts(configuration)["cpu_launcher"]
        assert verdict == refuted("the log says that torch.backends.xeon.run_cpu is not available")

    def test_an_extension_that_is_not_there(self, tmp_path: Path) -> None:
        """Where Intel's extension is not installed, TorchServe goes on without it: refuted."""
        mar = archive(tmp_path / "archives", handler=BASED)
        optimised = served(tmp_path, mar, space_name="torchserve_ipex")
        configuration = optimised.configuration(ipex=True)
        with optimised.deployment() as deployment:
            deployment.apply(configuration)
            verdicts = optimised.target.verify(deployment.server, configuration)
            plain = optimised.configuration()
            deployment.apply(plain)
            without = optimised.target.verify(deployment.server, plain)
        assert verdicts["ipex"] == refuted(
            "the log says `IPEX is enabled but intel-extension-for-pytorch is not installed`",
        )
        assert without["ipex"] == ACCEPTED

    def test_an_allocator_that_did_not_load(self, mar: Path, tmp_path: Path) -> None:
        """A library that the linker left out is refuted, though the variable was set."""
        lying = served(tmp_path, mar, libraries=("libno-such.so.4",))
        configuration = lying.configuration(allocator="libno-such.so.4")
        verdict = lying.verdicts(configuration)["allocator"]
        assert verdict.grade is Grade.REFUTED
        assert verdict.found.endswith("has not loaded libno-such.so.4")

    def test_workers_that_the_archive_overrules(self, tmp_path: Path) -> None:
        """What the archive's own file overrules is refuted; a staged copy is not overruled."""
        mar = archive(tmp_path / "mar", settings="minWorkers: 1\nmaxWorkers: 1\nbatchSize: 2\n")
        overruled = served(tmp_path / "overruled", mar, staged=False)
        staged = served(tmp_path / "staged", mar)
        assert staged.space["batch_size"].default == 2
        two = [each.verdicts(each.configuration(workers=2)) for each in (overruled, staged)]
        assert [verdicts["workers"] for verdicts in two] == [
            refuted("TorchServe has minWorkers = 1"),
            CONFIRMED,
        ]


class TestFailures:
    def test_a_worker_that_dies_again_and_again(self, tmp_path: Path) -> None:
        """A crash loop is over within seconds, with the worker's last words."""
        handler = tmp_path / "handler.py"
        handler.write_text("import no_such_module\n" + HANDLER.read_text())
        broken = served(tmp_path, archive(tmp_path / "mar", handler=handler))
        began = time.monotonic()
        failure = broken.failure()
        assert failure.reason is Reason.NOT_READY
        assert "No module named 'no_such_module'" in str(failure)
        assert "Traceback" in failure.log_tail
        assert time.monotonic() - began < 30  # of a start timeout of 60 s

    def test_a_model_that_answers_with_an_error(self, tmp_path: Path) -> None:
        """Workers that are READY are not enough: one inference must be answered."""
        handler = tmp_path / "handler.py"
        text = HANDLER.read_text()
        handler.write_text(text.replace("return [self", "raise ValueError; return [self"))
        broken = served(tmp_path, archive(tmp_path / "mar", handler=handler))
        failure = broken.failure()
        assert failure.reason is Reason.NOT_READY
        assert "the first inference failed: TorchServe answered 50" in str(failure)


class TestExport:
    def test_started_by_hand(self, plain: Served, tmp_path: Path) -> None:
        """The exported file, started by hand, serves with the same settings."""
        configuration = plain.configuration(workers=2, batch_size=4, max_batch_delay=7)
        exported = plain.target.export(configuration)
        assert exported.startswith("# OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 torchserve --start")
        with torchserve_server.from_file(exported, plain.folder / "store", tmp_path) as server:
            described = server.describe("totals")
        found = {name: described[name] for name in ("minWorkers", "maxWorkers", "batchSize")}
        assert found == {"minWorkers": 2, "maxWorkers": 2, "batchSize": 4}
        assert described["maxBatchDelay"] == 7
        assert len(described["workers"]) == 2
