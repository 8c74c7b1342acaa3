"""Several forms of one model: one is served, the server says which, and a search chooses."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.runner_tests.waiting import wait_until
from tests.spaces import choice, integer, space
from tests.targets.triton.triton_targets import Served, built_in, parsed, served, write_form
from tuner.clients.v2_http import V2Client
from tuner.errors import ServerError, SpaceError, TrialFailure
from tuner.load.client import LoadEngine
from tuner.load.profile import ClosedLoop, LoadRun
from tuner.records import Applied
from tuner.space.document import fingerprint
from tuner.space.settings import ModelVariant
from tuner.space.space import SearchSpace
from tuner.study.deployment import Deployment
from tuner.targets import variants
from tuner.targets.base import ModelSource
from tuner.targets.process_proofs import refuted
from tuner.targets.triton import config as model_config
from tuner.targets.triton import repository as triton_repository
from tuner.targets.triton.repository import RepositoryModel


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models of one form; the second is nearly as exact, the third is another one."""
    folder = tmp_path_factory.mktemp("repository")
    for name, factor in (("exact", 2.0), ("rough", 2.04), ("wrong", 3.0)):
        write_form(folder, name, factor, instances=2 if name == "rough" else 1)
    return folder


def opened(repository: Path, *others: str, name: str = "exact") -> RepositoryModel:
    source = ModelSource(folder=repository, name=name, variants=others)
    return triton_repository.open_repository(source)


class TestAdded:
    def test_a_parameter_more(self) -> None:
        """The model itself is the default; each other form is tried early, by a reload."""
        before = space(integer())
        found = variants.added(before, "m", ("a", "b"))
        parameter = found.parameters[0]
        assert (parameter.name, parameter.default, parameter.choices, parameter.reload) == (
            "variant",
            "m",
            ("m", "a", "b"),
            True,
        )
        assert parameter.sets == ModelVariant()
        assert found.parameters[1:] == before.parameters
        assert found.hints[:2] == ({"variant": "a"}, {"variant": "b"})
        assert found.defaults["variant"] == "m"
        assert fingerprint(found) != fingerprint(before)

    def test_one_form_only(self) -> None:
        """Without others nothing is chosen."""
        before = space(integer())
        assert variants.added(before, "m", ()) is before
        assert before.settings(before.defaults).variant == ""

    def test_a_name_that_is_taken(self) -> None:
        """A space of one's own may have such a parameter: then one of both must go."""
        with pytest.raises(SpaceError) as caught:
            variants.added(space(choice("a", "b", name="variant")), "m", ("n",))
        assert caught.value.message == "parameters.variant: is what `--variant` chooses by"
        assert caught.value.hint == "give the parameter another name"

    def test_chosen(self) -> None:
        """The form of a configuration is found by what the parameter sets, not by its name."""
        found = variants.added(space(integer()), "m", ("a",))
        renamed = replace(found.parameters[0], name="form")
        found = replace(found, parameters=(renamed, *found.parameters[1:]))
        assert found.settings({"form": "a", "n": 1}).variant == "a"

    def test_fingerprint(self) -> None:
        """That of a single form is its own; of several it depends on each."""
        assert variants.fingerprint(["0123456789"]) == "0123456789"
        found = {variants.fingerprint(each) for each in (["a", "b"], ["b", "a"], ["a", "c"])}
        assert len(found) == 3
        assert {len(each) for each in found} == {10}


class TestRepository:
    @pytest.mark.parametrize(
        ("backends", "expected"),
        [
            (("pytorch", "pytorch"), "triton_pytorch"),
            (("onnxruntime", "openvino"), "triton"),
            (("onnxruntime", "python"), "triton"),
        ],
    )
    def test_space(self, tmp_path: Path, backends: tuple[str, str], expected: str) -> None:
        """Where the backends differ, only what all have is searched."""
        for name, backend in zip("ab", backends, strict=True):
            write_form(tmp_path, name, backend=f'backend: "{backend}"')
        model = opened(tmp_path, "b", name="a")
        assert model.space == expected
        adapted = model.adapt(built_in(expected))
        assert adapted["variant"].choices == ("a", "b")

    def test_defaults_are_the_models_own(self, repository: Path) -> None:
        """The baseline is the model as its user left it, whatever its variants have."""
        adapted = served_space(repository, "exact", "rough")
        assert adapted.defaults["instance_count"] == 1
        assert served_space(repository, "rough", "exact").defaults["instance_count"] == 2


def served_space(repository: Path, name: str, *others: str) -> SearchSpace:
    return opened(repository, *others, name=name).adapt(built_in())


@pytest.fixture(scope="module")
def forms(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Served:
    model = opened(repository, "rough", "wrong")
    return served(tmp_path_factory.mktemp("served"), model)


@pytest.fixture(scope="module")
def deployment(forms: Served) -> Iterator[Deployment]:
    """One for all tests: a change of the form is a reload."""
    with forms.deployment() as deployment:
        yield deployment


def ready(deployment: Deployment) -> set[str]:
    with V2Client(deployment.server.url("http")) as client:
        return set(client.ready_models())


class TestTriton:
    def test_from_one_form_to_another_and_back(
        self, forms: Served, deployment: Deployment
    ) -> None:
        """A reload serves the other form, and the server gives the one before up."""
        deployment.apply(forms.configuration())
        assert ready(deployment) == {"exact"}
        [[exact]] = forms.target.infer(deployment.server)
        assert deployment.apply(forms.configuration(variant="rough")) is Applied.RELOAD
        assert ready(deployment) == {"rough"}
        [[rough]] = forms.target.infer(deployment.server)
        assert deployment.apply(forms.configuration()) is Applied.RELOAD
        assert ready(deployment) == {"exact"}
        [[again]] = forms.target.infer(deployment.server)
        assert again == exact
        assert (rough.name, rough.shape) == (exact.name, exact.shape)
        assert rough.data != exact.data

    def test_requests_and_counters_are_those_of_the_form(
        self, forms: Served, deployment: Deployment
    ) -> None:
        """Load goes to what is served, and so do the questions for its statistics."""
        deployment.apply(forms.configuration(variant="rough", instance_count=2))
        server = deployment.server
        requests = forms.target.requests(server)
        assert all(b"/models/rough/infer" in payload for payload in requests.payloads)
        # Triton counts a request after it has answered it: the one that showed that it is ready.
        wait_until(lambda: forms.target.statistics(server).requests > 0)
        before = forms.target.statistics(server)
        with LoadEngine() as engine:
            engine.prepare(requests)
            run = LoadRun(
                endpoint=forms.target.endpoint(server), profile=ClosedLoop(2), duration_s=0.3
            )
            measurement = engine.measure(run)
        spent = forms.target.statistics(server) - before
        assert (measurement.failed, spent.requests) == (0, measurement.requests)
        assert measurement.requests > 0

    def test_another_form_behind_its_back(self, forms: Served, deployment: Deployment) -> None:
        """What somebody else loaded since is refuted, and named."""
        configuration = forms.configuration()
        deployment.apply(configuration)
        with V2Client(deployment.server.url("http")) as client:
            client.unload("exact")
            client.load("rough", json.dumps({"backend": "python", **_AS_JSON}))
        verdict = forms.target.verify(deployment.server, configuration)["variant"]
        assert verdict == refuted("the server has the form `rough`")
        deployment.apply(forms.configuration(instance_count=2))
        assert ready(deployment) == {"exact"}

    def test_two_at_once(self, forms: Served, deployment: Deployment) -> None:
        """With two forms ready nobody knows which one answers: that is said, with both."""
        configuration = forms.configuration(instance_count=1)
        deployment.apply(configuration)
        with V2Client(deployment.server.url("http")) as client:
            client.load("rough", json.dumps({"backend": "python", **_AS_JSON}))
            with pytest.raises(ServerError) as caught:
                forms.target.verify(deployment.server, configuration)
            assert caught.value.message == (
                "one form of the model must be ready, but 2 are: exact, rough"
            )
            client.unload("rough")
            client.unload("exact")
        with pytest.raises(ServerError, match="must be ready, but 0 are: none"):
            forms.target.verify(deployment.server, configuration)
        deployment.apply(forms.configuration(instance_count=2))

    def test_a_form_that_does_not_load(self, repository: Path, tmp_path: Path) -> None:
        """It fails alone: the next configuration finds a server without it."""
        broken = tmp_path / "models"
        for name in ("good", "broken"):
            write_form(broken, name)
        (broken / "broken" / "1" / "model.py").write_text("import no_such_module\n")
        found = served(tmp_path, opened(broken, "broken", name="good"))
        with found.deployment() as deployment:
            deployment.apply(found.configuration())
            with pytest.raises(TrialFailure, match="No module named 'no_such_module'"):
                deployment.apply(found.configuration(variant="broken"))
            deployment.apply(found.configuration())
            assert ready(deployment) == {"good"}

    def test_export(self, forms: Served) -> None:
        """The deployable file is the configuration of the form, under its own name."""
        configuration = forms.configuration(variant="rough", instance_count=2)
        message = parsed(forms.target.export(configuration))
        found = [model_config.get(message, n) for n in ("name", "instance_group[0].count")]
        assert found == ["rough", 2]
        exported = forms.target.export(forms.configuration())
        assert 'name: "exact"' in exported
        assert "# variant: of the model `exact`" in exported.splitlines()


# As another client of the server loads the form.
_AS_JSON = {
    "max_batch_size": 8,
    "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [4]}],
    "output": [{"name": "y", "data_type": "TYPE_FP32", "dims": [4]}],
    "instance_group": [{"kind": "KIND_CPU", "count": 1}],
}
