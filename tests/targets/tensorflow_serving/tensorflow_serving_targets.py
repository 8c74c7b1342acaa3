"""TensorFlow Serving as a target, with a model of tests/servers/tensorflow_program.py."""

from pathlib import Path
from typing import Any

from tests.servers.tensorflow_program import save_model, write_program
from tests.targets import served as served_targets
from tuner import hardware
from tuner.space import spec
from tuner.space.expressions import Value
from tuner.space.resolution import search_space
from tuner.space.space import Configuration, SearchSpace
from tuner.targets.base import Installation, TargetSetup
from tuner.targets.request_form import RequestForm
from tuner.targets.tensorflow_serving.model import TensorFlowServingModel
from tuner.targets.tensorflow_serving.target import TensorFlowServingTarget


class Served(served_targets.Served[TensorFlowServingTarget]):
    """A TensorFlow Serving with one model."""

    def batching(self, **values: Value) -> Configuration:
        """With batches of 8, where nothing else is said."""
        return self.configuration(enable_batching=True, **{"max_batch_size": 8, **values})


def built_in_space() -> SearchSpace:
    """The shipped space on this machine."""
    return search_space(spec.built_in()["tensorflow_serving"], hardware.detect().bounds)


def served(
    folder: Path,
    *,
    program: Path | None = None,
    form: RequestForm | None = None,
    variants: tuple[str, ...] = (),
    start_timeout_s: float = 30.0,
    **said: Any,
) -> Served:
    """A model of which the program is told `said`; `variants` lie beside it."""
    others = [TensorFlowServingModel(folder / "models" / name) for name in variants]
    model = TensorFlowServingModel(save_model(folder / "models", **said), others)
    space = model.adapt(built_in_space(), contained=False)
    target = TensorFlowServingTarget(
        model,
        space,
        TargetSetup(
            workspace=folder / "workspace",
            form=form or RequestForm(),
            start_timeout_s=start_timeout_s,
        ),
        Installation(Path(program or write_program(folder / "programs"))),
    )
    target.stage()
    return Served(target, space, folder)
