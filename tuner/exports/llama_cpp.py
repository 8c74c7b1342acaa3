"""llama.cpp: a GGUF file in a folder, and flags.

Source: llama.cpp's docs/docker.md, for the images.
"""

import shlex

from tuner.exports.deployable import Deployable, has_gpus
from tuner.exports.service import Probes, Service
from tuner.protocols.openai_task import Task
from tuner.records import StudyRecord
from tuner.targets.llama_cpp import texts
from tuner.targets.llama_cpp.install import IN_IMAGE, PROGRAM

_HOST_PROGRAM = f"/usr/local/bin/{PROGRAM}"
_PORTS = {"http": 8080}


def image(study: StudyRecord) -> tuple[str, str]:
    """The public image, and what is to be known of it: no study knows its server's version."""
    return f"ghcr.io/ggml-org/llama.cpp:server{'-cuda' if has_gpus(study) else ''}-bVERSION", (
        "It was measured without Docker: replace VERSION by that of its llama.cpp "
        f"(`{PROGRAM} --version`)."
    )


def service(wanted: Deployable) -> Service:
    """Serves the file, or the form that was chosen, from the folder where it was."""
    # `exec llama-server FLAGS`, as the target wrote it.
    _, _, *flags = shlex.split(wanted.trial.export.splitlines()[-1])
    flags[flags.index("--host") + 1] = wanted.layout.address
    flags[flags.index("--port") + 1] = str(_PORTS["http"])
    return Service(
        command=(str(IN_IMAGE) if wanted.image else _HOST_PROGRAM, *flags),
        environment={**texts.environment(_task(wanted.study)), **wanted.environment},
        mounts=(*wanted.models, *wanted.mounts),
        ports=_PORTS,
        probes=Probes("/health", "/health"),
        resources=wanted.resources(shares_memory=False),
        **wanted.common(*wanted.program_note(_HOST_PROGRAM, "the llama.cpp that is here")),
    )


def _task(study: StudyRecord) -> Task:
    return Task(study.request["prompts"]["task"])
