"""Several SavedModels of one model: one of them is served, under the model's name."""

from dataclasses import replace
from pathlib import Path

import pytest

from runners.docker import ContainerSettings
from tests.servers.tensorflow_program import MODEL, save_model
from tests.targets.tensorflow_serving.tensorflow_serving_targets import built_in_space, served
from tuner.space.settings import ServerFlag
from tuner.study import placement
from tuner.study.placement import Place
from tuner.targets.catalog import server_kind
from tuner.targets.process_proofs import ACCEPTED, refuted
from tuner.targets.tensorflow_serving.model import (
    TensorFlowServingModel,
    makes_batches,
)


def test_each_form_is_served_under_the_models_name(tmp_path: Path) -> None:
    """Another form is a start with another folder, which the server's command line shows."""
    save_model(tmp_path / "models", name="half")
    forms = served(tmp_path, variants=("half",))
    target = forms.target
    own, half = (forms.configuration(variant=name) for name in (MODEL, "half"))
    with forms.deployment() as deployment:
        deployment.apply(half)
        right = target.verify(deployment.server, half)["variant"]
        wrong = target.verify(deployment.server, own)["variant"]
        answers = target.infer(deployment.server)

    path = f"--model_base_path={tmp_path}/workspace/models/{MODEL}"
    assert right == ACCEPTED
    assert wrong == refuted(f"no process of the server was started with {path}")
    assert len(answers) == 1
    assert f"--model_name={MODEL} --model_base_path=FOLDER/half" in target.export(half)


def test_batching_that_is_left_out_where_it_is_off(tmp_path: Path) -> None:
    """A flag with a value that is left out is the same flag."""
    model = TensorFlowServingModel(save_model(tmp_path, name=MODEL))
    space = model.adapt(built_in_space(), contained=False)
    omit = replace(space["enable_batching"], sets=ServerFlag("--enable_batching", omit=False))
    parameters = tuple(omit if p.name == omit.name else p for p in space.parameters)
    changed = replace(space, parameters=parameters)
    on, off = (changed.activate({"enable_batching": value}) for value in (True, False))
    assert makes_batches(changed.settings(on))
    assert not makes_batches(changed.settings(off))


@pytest.mark.parametrize(
    ("place", "kind", "told"),
    [
        (None, "tensorflow_serving", True),
        (ContainerSettings(image="i", network="host"), "tensorflow_serving", True),
        (ContainerSettings(image="i"), "tensorflow_serving", False),
        (None, "triton", False),
    ],
)
def test_what_is_told_before_a_start(place: Place, kind: str, *, told: bool) -> None:
    """Servers never tried, and servers that others can reach unless Docker publishes them."""
    new = "tensorflow_serving is experimental: the tuner was never run on a real one"
    exposed = (
        "tensorflow_serving listens on all interfaces of this machine while the study runs; in a "
        "container (`--runner docker`, without `--network host`) it does not"
    )
    notes = list(placement.notes(place, server_kind(kind)))
    assert notes == [new] * (kind != "triton") + [exposed] * told
