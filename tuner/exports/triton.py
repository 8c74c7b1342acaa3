"""Triton: a repository of models, in which the exported configuration takes the place of one.

Sources: Triton's model_management.md (`--load-model`), and docs/customization_guide/deploy.md.
"""

import shlex

from tuner.exports.deployable import Deployable, measured_with
from tuner.exports.service import Probes, Service, TextFile
from tuner.records import StudyRecord
from tuner.targets import exported

CONFIG = "config.pbtxt"
PROGRAM = "tritonserver"
# Where NVIDIA's images and archives have it.
_HOST_PROGRAM = f"/opt/tritonserver/bin/{PROGRAM}"
_PORTS = {"http": 8000, "grpc": 8001, "metrics": 8002}
# The Triton of each release of the wheel, as NVIDIA calls its images (Triton's release notes).
_RELEASES = {"0.7.0": "24.10"}
_PYTHON_BACKEND = 'backend: "python"'
# What loads all models of the repository, and stands alone (model_management.md).
_ALL = "*"


def image(study: StudyRecord) -> tuple[str, str]:
    """The public image that holds what was measured, and what is to be known of it."""
    wheel = measured_with(study, "nvidia-pytriton")
    if release := _RELEASES.get(wheel):
        return f"nvcr.io/nvidia/tritonserver:{release}-py3", (
            f"It was measured without Docker: {release} is the Triton of nvidia-pytriton {wheel}, "
            f"which is used where no `{PROGRAM}` is on PATH."
        )
    return "nvcr.io/nvidia/tritonserver:YY.MM-py3", (
        "It was measured without Docker: replace YY.MM by the release of that Triton."
    )


def service(wanted: Deployable) -> Service:
    """Loads the model with the exported configuration, and no other model by itself."""
    layout, settings = wanted.layout, wanted.settings
    served = settings.variant or wanted.study.model
    further = wanted.study.options.get("with_model") or ()
    files = exported.files(wanted.trial.export, f"{served}/{CONFIG}")
    return Service(
        command=(
            PROGRAM if wanted.image else _HOST_PROGRAM,
            f"--model-repository={layout.models}",
            "--model-control-mode=explicit",
            *(f"--load-model={n}" for n in ([_ALL] if _ALL in further else (*further, served))),
            *(f"--{kind}-address={layout.address}" for kind in _PORTS),
            *settings.arguments,
        ),
        environment=wanted.environment,
        mounts=(*wanted.models, *wanted.mounts),
        files=tuple(
            TextFile(_name(path, files), text, f"{layout.models}/{path}", covers=True)
            for path, text in files.items()
        ),
        ports=_PORTS,
        probes=Probes("/v2/health/live", f"/v2/models/{served}/ready"),
        resources=wanted.resources(shares_memory=True),
        **wanted.common(*_notes(wanted, files), *_about_program(wanted)),
    )


def _name(path: str, files: dict[str, str]) -> str:
    """Of several files of one name, each has its folder."""
    return path if len(files) > 1 else CONFIG


def _notes(wanted: Deployable, files: dict[str, str]) -> tuple[str, ...]:
    folder = shlex.quote(wanted.folder)
    covered = ", ".join(f"{folder}/{path}" for path in files)
    notes = [f"The {CONFIG} of the study covers {covered}, which must be there (empty will do)."]
    if _PYTHON_BACKEND in wanted.trial.export:
        file = wanted.study.options.get("model_file")
        notes.append(
            "A program on the Python backend serves the file: the server needs ONNX Runtime or "
            "PyTorch beside it."
            if file
            else "Models that its program asks are named by further --load-model=NAME."
        )
    return tuple(notes)


def _about_program(wanted: Deployable) -> tuple[str, ...]:
    wheel = measured_with(wanted.study, "nvidia-pytriton")
    of_wheel = (
        f", or else with that of nvidia-pytriton {wheel}, which no unit can start: an image of "
        "its release can be named with `--image`"
    )
    measured = f"`{PROGRAM}` on PATH{of_wheel if wheel else ''}"
    return wanted.program_note(_HOST_PROGRAM, measured)
