"""An ONNX file in an archive of TorchServe, which its base handler serves with ONNX Runtime."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.servers import torchserve as torchserve_server
from tests.targets import model_files
from tests.targets.torchserve.torchserve_targets import Served, archive, served
from tuner.load.requests import Tensor
from tuner.protocols.tensors.values import to_array
from tuner.records import Grade
from tuner.space.expressions import Value
from tuner.space.space import SearchSpace
from tuner.study.deployment import Deployment
from tuner.study.outputs import distance
from tuner.targets.request_form import RequestForm

HANDLER = Path(__file__).parents[2] / "models" / "layers" / "handler.py"
FEATURES = model_files.features(1)
FORM = RequestForm(
    bodies=(json.dumps(FEATURES[0].tolist()).encode(),), content_type="application/json"
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive `layers` with an ONNX file, and `script` with the same as TorchScript."""
    if missing := torchserve_server.missing():
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("store")
    onnx = model_files.mlp(folder / "mlp.onnx")
    script = model_files.torchscript(folder / "mlp.pt")
    archive(folder, handler=HANDLER, name="layers", serialized=onnx)
    archive(folder, handler=HANDLER, name="script", serialized=script)
    return folder


@pytest.fixture(scope="module")
def layers(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Served:
    folder = tmp_path_factory.mktemp("onnx")
    return served(folder, store / "layers.mar", variants=("script",), form=FORM)


@pytest.fixture(scope="module")
def deployment(layers: Served) -> Iterator[Deployment]:
    with layers.deployment() as deployment:
        yield deployment


def test_it_answers_like_onnx_runtime(store: Path, layers: Served, deployment: Deployment) -> None:
    """The outputs are those that the library computes, and nothing is refuted."""
    configuration = layers.space.activate({"workers": 1, "batch_size": 2, "max_batch_delay": 5})
    deployment.apply(configuration)
    [outputs] = layers.target.infer(deployment.server)
    verdicts = layers.target.verify(deployment.server, configuration)
    [answer] = [to_array(each) for each in outputs]
    [expected] = model_files.computed_by_onnxruntime(store / "mlp.onnx", FEATURES)
    assert np.allclose(answer, expected[0], atol=1e-5)
    assert Grade.REFUTED not in {verdict.grade for verdict in verdicts.values()}


def test_torchscript_of_it_is_as_good(layers: Served, deployment: Deployment) -> None:
    """Both forms of the model give the same outputs."""
    outputs: list[tuple[Tensor, ...]] = []
    for name in ("layers", "script"):
        deployment.apply(layers.space.activate({"workers": 1, "variant": name}))
        outputs += layers.target.infer(deployment.server)
    assert distance(*outputs) < 1e-4


def test_threads_that_onnx_runtime_does_not_heed_are_not_searched(
    store: Path, tmp_path: Path, layers: Served
) -> None:
    """Its sessions have as many as there are processors, whatever OpenMP is told."""

    def has_threads(space: SearchSpace, **values: Value) -> bool:
        return "threads" in space.activate(values)

    onnx = served(tmp_path / "onnx", store / "layers.mar", form=FORM)
    script = served(tmp_path / "script", store / "script.mar", form=FORM)
    assert has_threads(script.space)
    assert not has_threads(onnx.space)
    assert has_threads(layers.space, variant="script")
    assert not has_threads(layers.space, variant="layers")
    assert not has_threads(layers.space, variant="script", cpu_launcher=True)
