"""The Triton target on a real Triton: what it starts, applies, verifies, asks and exports."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.runner_tests.waiting import is_gone
from tests.targets.fixtures import Triton
from tests.targets.moody import BATCHING, MODELS, PATIENT, listing, moody, target_in
from tests.targets.triton.triton_targets import parsed
from tests.targets.unprivileged import open_place
from tuner.clients.v2_http import V2Client
from tuner.errors import InputError, Reason, TrialFailure
from tuner.load.requests import TensorSpec
from tuner.records import Applied, Grade
from tuner.targets import tensor_requests
from tuner.targets.process_proofs import ACCEPTED, CONFIRMED, refuted
from tuner.targets.request_form import RequestForm
from tuner.targets.tensor_requests import Interface
from tuner.targets.triton import config as model_config

__all__ = ["open_place"]


class TestRequests:
    def test_requests(self, triton: Triton) -> None:
        """Sixty-four distinct requests of one inference each."""
        requests = triton.target.requests(triton.server)
        assert (len(set(requests.payloads)), requests.inferences) == (64, 1)

    def test_batch_form(self, triton: Triton) -> None:
        """Requests may carry a batch each, and count as so many inferences."""
        form = RequestForm(batch=3)
        target, server = target_in(triton.model.folder, form), triton.server
        before = target.statistics(server)
        [[y]] = target.infer(server)
        spent = target.statistics(server) - before

        assert y.shape == (3, 4)
        assert (spent.inferences, spent.requests, spent.mean_batch) == (3, 1, 3.0)
        assert target.requests(server).inferences == 3


class TestUserFolder:
    def test_untouched(self, tmp_path: Path) -> None:
        """After a real run, with a model that writes into its folder, the user's is as before."""
        repository = tmp_path / "repository of the user"
        shutil.copytree(MODELS, repository)
        before = listing(repository)
        model = moody(tmp_path, repository=repository)
        with model.deployment() as deployment:
            deployment.apply(model.configuration())
        assert (model.folder / "repository" / "moody" / "loaded").exists()
        assert listing(repository) == before

    def test_links(self, open_place: Path) -> None:
        """A read-only repository of links is served as any other, and its copy can be removed."""
        store = open_place / "store"
        shutil.copytree(MODELS / "moody", store)
        (open_place / "version").symlink_to(store / "1")
        linked = open_place / "linked"
        linked.mkdir()
        (linked / "config.pbtxt").symlink_to(store / "config.pbtxt")
        (linked / "1").symlink_to(open_place / "version")
        repository = open_place / "repository"
        repository.mkdir()
        (repository / "moody").symlink_to(linked)
        for path in (store / "1" / "model.py", store / "config.pbtxt", store / "1", store, linked):
            path.chmod(0o555)
        before = listing(store)
        model = moody(open_place, repository=repository)
        with model.deployment() as deployment:
            deployment.apply(model.configuration())
            assert model.target.infer(deployment.server)
        assert listing(store) == before
        staged = model.folder / "repository" / "moody" / "1" / "model.py"
        assert staged.stat().st_mode & 0o200


class TestApply:
    def test_answers(self, triton: Triton) -> None:
        """The fixed input is answered, the same each time, and rightly."""
        answers = triton.target.infer(triton.server, count=3)
        assert len(answers) == 3
        assert len(set(answers)) == 1
        [y] = answers[0]
        takes = Interface(inputs=[TensorSpec("x", "FP32", (-1, 4))], batched=True)
        [step] = tensor_requests.golden(takes, RequestForm())
        [x] = step.inputs
        assert np.array_equal(
            np.frombuffer(y.data, np.float32), 2 * np.frombuffer(x.data, np.float32)
        )

    def test_in_place(self, triton: Triton) -> None:
        """Model settings are changed in the running server, and changed back."""
        pid = triton.server.pid
        assert triton.apply(**BATCHING | PATIENT) is Applied.RELOAD
        before = triton.target.statistics(triton.server)
        for _ in range(3):
            triton.target.infer(triton.server, count=4)
        spent = triton.target.statistics(triton.server) - before

        assert triton.server.pid == pid
        assert (spent.inferences, spent.requests) == (12, 12)
        assert spent.batches == {4: 3}
        assert spent.batch_times_s[4] == pytest.approx(spent.compute_infer_s / 4)
        assert (spent.executions, spent.mean_batch) == (3, 4)

    def test_needs_a_restart(self, triton: Triton) -> None:
        """Environment variables and flags are those of a new process."""
        pid = triton.server.pid
        assert triton.apply(threads=2) is Applied.RESTART
        assert is_gone(pid)

    def test_invalid(self, triton: Triton) -> None:
        """What Triton refuses is an invalid configuration, told in Triton's own words."""
        with pytest.raises(TrialFailure) as caught:
            triton.apply(**BATCHING, preferred_batch_size=8)
        assert caught.value.reason is Reason.INVALID_CONFIGURATION
        assert str(caught.value).endswith(
            "/load answered 500: failed to load 'moody', failed to poll from model repository: "
            "dynamic batching preferred size must be <= max batch size for moody"
        )
        assert "Poll failed for model directory 'moody'" in caught.value.log_tail

    def test_model_without_batch_dimension(self, triton: Triton) -> None:
        """Whether requests have a batch dimension is what the server has, not what the file says.

        Triton completes what a config.pbtxt leaves out.
        """
        config = model_config.changed(triton.target._model.config, {"max_batch_size": None})
        config = parsed(model_config.as_text(config).replace("dims: 4", "dims: [2, 4]"))
        triton.configuration = None
        with V2Client(triton.server.url("http")) as client:
            client.load("moody", model_config.as_json(config))

        [[y]] = triton.target.infer(triton.server)
        assert y.shape == (2, 4)
        with pytest.raises(InputError, match="`--batch 2` was given, but the model has no batch"):
            target_in(triton.model.folder, RequestForm(batch=2)).requests(triton.server)


class TestVerify:
    def test_as_applied(self, triton: Triton) -> None:
        """What the server says itself is confirmed; what can only have been set, accepted."""
        verdicts = triton.target.verify(triton.server, triton.model.configuration())
        assert verdicts == {
            "mood": ACCEPTED,
            "http_threads": ACCEPTED,
            "threads": ACCEPTED,
            "instance_count": CONFIRMED,
            "dynamic_batching": CONFIRMED,
        }

    def test_refuted(self, triton: Triton) -> None:
        """What the server has otherwise is refuted, with what it has."""
        meant = triton.model.configuration(instance_count=2)
        assert triton.target.verify(triton.server, meant)["instance_count"] == refuted(
            "the server has instance_group[0].count = 1"
        )

    def test_behind_its_back(self, triton: Triton) -> None:
        """A configuration that somebody else loaded since is found out, on and off alike."""
        triton.apply(**BATCHING, preferred_batch_size=0)
        on, off = triton.model.configuration(**BATCHING), triton.model.configuration()
        assert set(triton.target.verify(triton.server, on).values()) == {ACCEPTED, CONFIRMED}
        assert triton.target.verify(triton.server, off)["dynamic_batching"] == refuted(
            "the server has dynamic_batching = true"
        )

        triton.configuration = None
        with V2Client(triton.server.url("http")) as client:
            client.load("moody", model_config.as_json(triton.target._model.config))
        verdicts = triton.target.verify(triton.server, on)
        assert {name: v.found for name, v in verdicts.items() if v.grade is Grade.REFUTED} == {
            "dynamic_batching": "the server has dynamic_batching = none",
            "max_batch_size": "the server has max_batch_size = 8",
            "max_queue_delay_microseconds": (
                "the server has dynamic_batching.max_queue_delay_microseconds = none"
            ),
        }

    def test_environment(self, triton: Triton) -> None:
        """A variable that the server was not started with is refuted."""
        meant = triton.model.configuration(threads=2)
        assert triton.target.verify(triton.server, meant)["threads"] == refuted(
            "process tritonserver has OMP_NUM_THREADS=1"
        )


class TestExport:
    def test_loads(self, triton: Triton) -> None:
        """The exported text is a config.pbtxt that Triton loads as the same configuration."""
        meant = triton.model.configuration(**BATCHING, instance_count=2)
        message = parsed(triton.target.export(meant))
        triton.configuration = None
        with V2Client(triton.server.url("http")) as client:
            client.load("moody", model_config.as_json(message))
        grades = {v.grade for v in triton.target.verify(triton.server, meant).values()}
        assert Grade.REFUTED not in grades
