"""TensorFlow Serving: a folder of SavedModels, and batching parameters where it batches.

Sources: TensorFlow Serving's docker.md and serving_config.md.
"""

from tuner.exports.deployable import Deployable, has_gpus
from tuner.exports.service import Probes, Service, TextFile
from tuner.records import StudyRecord
from tuner.targets.tensorflow_serving.model import MODEL_PATH, batching_text, makes_batches

BATCHING_FILE = "batching_parameters.txt"
PROGRAM = "tensorflow_model_server"
_HOST_PROGRAM = f"/usr/bin/{PROGRAM}"
_PORTS = {"rest": 8501, "grpc": 8500}


def image(study: StudyRecord) -> tuple[str, str]:
    """The public image, and what is to be known of it: no study knows its server's version."""
    return f"tensorflow/serving:VERSION{'-gpu' if has_gpus(study) else ''}", (
        "It was measured without Docker: replace VERSION by that of its TensorFlow Serving."
    )


def service(wanted: Deployable) -> Service:
    """Serves the newest version of the model, or of the form that was chosen."""
    layout, settings = wanted.layout, wanted.settings
    model, file = wanted.study.model, f"{layout.files}/{BATCHING_FILE}"
    batching = makes_batches(settings)
    return Service(
        command=(
            PROGRAM if wanted.image else _HOST_PROGRAM,
            f"--port={_PORTS['grpc']}",
            f"--rest_api_port={_PORTS['rest']}",
            f"--model_name={model}",
            f"{MODEL_PATH}={layout.models}/{settings.variant or model}",
            *settings.arguments,
            *([f"--batching_parameters_file={file}"] if batching else []),
        ),
        environment=wanted.environment,
        mounts=(*wanted.models, *wanted.mounts),
        files=(TextFile(BATCHING_FILE, batching_text(settings.properties), file),)
        if batching
        else (),
        ports=_PORTS,
        probes=Probes(f"/v1/models/{model}", f"/v1/models/{model}"),
        resources=wanted.resources(shares_memory=False),
        **wanted.common(*wanted.program_note(_HOST_PROGRAM, f"`{PROGRAM}` on PATH")),
    )
