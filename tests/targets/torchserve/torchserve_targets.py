"""A real TorchServe as a target, with the model `totals` of tests/models."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from tests.targets import served as served_targets
from tuner import hardware
from tuner.space import spec
from tuner.space.resolution import search_space
from tuner.targets.base import Installation, ModelSource, TargetSetup
from tuner.targets.request_form import RequestForm
from tuner.targets.torchserve import install as torchserve_install
from tuner.targets.torchserve.model import open_model
from tuner.targets.torchserve.target import TorchServeTarget

HANDLER = Path(__file__).parents[2] / "models" / "totals" / "handler.py"
# One that TorchServe's own base handler serves, as most do.
BASED = Path(__file__).parents[2] / "models" / "based" / "handler.py"
FORM = RequestForm(bodies=(b"[1, 2]", b"[3]"), content_type="application/json")


def archive(
    folder: Path,
    *,
    handler: Path = HANDLER,
    settings: str = "",
    name: str = "totals",
    serialized: Path | None = None,
    definition: Path | None = None,
) -> Path:
    """A model archive in `folder`, with a model-config.yaml if there are settings."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [str(Path(sys.executable).with_name("torch-model-archiver")), "--force"]
    command += ["--model-name", name, "--version", "1.0", "--handler", str(handler)]
    if serialized:
        command += ["--serialized-file", str(serialized)]
    if definition:
        command += ["--model-file", str(definition)]
    if settings:
        (folder / "model-config.yaml").write_text(settings)
        command += ["--config-file", str(folder / "model-config.yaml")]
    subprocess.run([*command, "--export-path", str(folder)], check=True, capture_output=True)
    return folder / f"{name}.mar"


Served = served_targets.Served[TorchServeTarget]
"""One worker with one thread, where nothing else is said."""


def served(
    folder: Path,
    mar: Path,
    *,
    installation: Installation | None = None,
    staged: bool = True,
    libraries: tuple[str, ...] = (),
    variants: tuple[str, ...] = (),
    start_timeout_s: float = 60.0,
    space_name: str = "torchserve",
    form: RequestForm = FORM,
) -> Served:
    """`libraries` can be preloaded whether they are there or not; unstaged, the copy is exact."""
    model = open_model(ModelSource(folder=mar.parent, name=mar.stem, variants=variants))
    space = search_space(spec.built_in()[space_name], hardware.detect().bounds)
    space = model.adapt(space, contained=bool(libraries))
    if libraries:
        space = space.with_choices("allocator", ["default", *libraries])
    target = TorchServeTarget(
        model,
        space,
        TargetSetup(workspace=folder, form=form, start_timeout_s=start_timeout_s),
        installation or torchserve_install.find_torchserve(),
    )
    if staged:
        target.stage()
    else:
        (folder / "store").mkdir(parents=True)
        (folder / "store" / mar.name).write_bytes(mar.read_bytes())
    return Served(target, space, folder, {"workers": 1, "threads": 1})


def with_first_on_path(folder: Path) -> Installation:
    """The installation, where the programs in `folder` come before all others."""
    found = torchserve_install.find_torchserve()
    environment = {**found.environment, "PATH": f"{folder}:{found.environment['PATH']}"}
    return replace(found, environment=environment)
