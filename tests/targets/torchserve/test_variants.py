"""Several archives with forms of one model, on the real TorchServe, under the model's name."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import torchserve as torchserve_server
from tests.targets.torchserve.torchserve_targets import HANDLER, Served, archive, served
from tuner.clients.torchserve import TorchServeClient
from tuner.load.requests import Tensor
from tuner.records import Applied
from tuner.study.deployment import Deployment
from tuner.targets.process_proofs import CONFIRMED, refuted


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """The archive `totals`, and `more` whose totals are half a unit larger."""
    if missing := torchserve_server.missing():
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("forms")
    other = folder / "handler.py"
    other.write_text(HANDLER.read_text().replace(".item()}", ".item() + 0.5}"))
    mar = archive(folder / "store")
    archive(folder / "store", handler=other, name="more", settings="minWorkers: 2\nbatchSize: 3\n")
    return served(folder / "workspace", mar, variants=("more",))


@pytest.fixture(scope="module")
def deployment(forms: Served) -> Iterator[Deployment]:
    """One for all tests: a change of the form is a reload."""
    with forms.deployment() as deployment:
        yield deployment


def total(forms: Served, deployment: Deployment) -> bytes:
    [outputs] = forms.target.infer(deployment.server)
    found: dict[str, Tensor] = {output.name: output for output in outputs}
    return found["answer.sum"].data


class TestTorchServe:
    def test_from_one_form_to_another_and_back(
        self, forms: Served, deployment: Deployment
    ) -> None:
        """The other archive is registered under the model's name, in the running server."""
        deployment.apply(forms.configuration())
        one = total(forms, deployment)
        assert deployment.apply(forms.configuration(variant="more")) is Applied.RELOAD
        other = total(forms, deployment)
        with TorchServeClient.of(deployment.server) as client:
            assert list(client.models()) == ["totals"]
            described = client.describe("totals")
        assert described is not None
        assert described.archive == "more.mar"
        assert deployment.apply(forms.configuration()) is Applied.RELOAD
        assert total(forms, deployment) == one != other

    def test_verdicts(self, forms: Served, deployment: Deployment) -> None:
        """TorchServe says which archive it has; a configuration with another one is refuted.

        What the archive says of its workers itself does not count, as with the model's own.
        """
        configuration = forms.configuration(variant="more")
        deployment.apply(configuration)
        verdicts = forms.target.verify(deployment.server, configuration)
        assert (verdicts["variant"], verdicts["workers"]) == (CONFIRMED, CONFIRMED)
        other = forms.target.verify(deployment.server, forms.configuration())
        assert other["variant"] == refuted("the server has the form `more`")

    def test_only_the_workers_change(self, forms: Served, deployment: Deployment) -> None:
        """Within one form, workers are scaled and the registration stays."""
        deployment.apply(forms.configuration(variant="more"))
        configuration = forms.configuration(variant="more", workers=2)
        assert deployment.apply(configuration) is Applied.RELOAD
        assert forms.target.verify(deployment.server, configuration)["workers"] == CONFIRMED

    def test_started_by_hand(self, forms: Served, tmp_path: Path) -> None:
        """The exported file names the archive, and serves it under the model's name."""
        exported = forms.target.export(forms.configuration(variant="more", batch_size=2))
        assert "load_models=totals=more.mar" in exported
        assert (
            "# The archive's own model-config.yaml sets minWorkers, batchSize, which wins: "
            "take it out"
        ) in exported
        [models] = [line for line in exported.splitlines() if line.startswith("models=")]
        described = json.loads(models.removeprefix("models="))["totals"]["1.0"]
        assert described["marName"] == "more.mar"
        start, _, rest = exported.partition("\n")
        rest = "\n".join(line for line in rest.splitlines() if not line.startswith("#"))
        store = forms.folder / "store"  # where archives say nothing of their own
        with torchserve_server.from_file(f"{start}\n{rest}", store, tmp_path) as server:
            found = server.describe("totals")
        assert (found["modelUrl"], found["batchSize"]) == ("more.mar", 2)
