"""A SavedModel of TensorFlow Serving, as its user left it: read, staged, never written.

Sources: TensorFlow Serving's serving_config.md, "Model Server Configuration" (the layout: the
server takes the version with the largest number); the fields of `BatchingParameters` in
servables/tensorflow/session_bundle_config.proto; the flags of model_servers/main.cc.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tuner.errors import InputError, ModelError, SpaceError, did_you_mean
from tuner.space.expressions import Value, value_text
from tuner.space.settings import Settings
from tuner.space.space import SearchSpace
from tuner.targets import model_choice, staging, system_libraries, variants
from tuner.targets.base import ModelSource
from tuner.targets.variants import VariantModel

BATCHING = "--enable_batching"
"""The flag without which TensorFlow Serving makes no batches."""

MODEL_PATH = "--model_base_path"
"""The flag that names the folder of the model."""

# Batching parameters: the largest batch, how long it waits for more (in microseconds), and the
# sizes that it may have.
MAX_BATCH = "max_batch_size"
TIMEOUT = "batch_timeout_micros"
SIZES = "allowed_batch_sizes"
POWERS_OF_TWO = "powers_of_two"
"""A value of `allowed_batch_sizes`: batches are padded to 1, 2, 4 ... `max_batch_size`."""

SERVER_MAX_BATCH = 1000
"""What TensorFlow Serving takes where nobody says (shared_batch_scheduler.h)."""

_WRAPPED = (MAX_BATCH, TIMEOUT, "max_enqueued_batches", "num_batch_threads")
_PARAMETERS = frozenset({*_WRAPPED, SIZES, "pad_variable_length_inputs"})
# What the tuner says itself, or what would take the model or the batches elsewhere.
_OWN_FLAGS = frozenset(
    {
        "--batching_parameters_file",
        "--enable_per_model_batching_parameters",
        "--file_system_poll_wait_seconds",
        "--grpc_socket_path",
        "--max_num_load_retries",
        MODEL_PATH,
        "--model_config_file",
        "--model_name",
        "--monitoring_config_file",
        "--platform_config_file",
        "--port",
        "--rest_api_port",
        "--ssl_config_file",
    }
)
_GRAPHS = ("saved_model.pb", "saved_model.pbtxt")
_LAYOUT = "FOLDER/MODEL/VERSION/saved_model.pb, where VERSION is a number"


def find_saved_model(folder: Path, model: str | None) -> Path:
    """The folder of the model to tune: that of `model`, or the only one in `folder`.

    Raises:
        ModelError: There is no such folder or model, or there are several to choose from.
    """
    if not folder.is_dir():
        raise ModelError(
            f"{folder}: a folder of models was expected, but there is no such folder",
            hint=f"expected: {_LAYOUT}",
        )
    models = {each.name: each for each in sorted(folder.iterdir()) if _versions(each)}
    if not models:
        raise ModelError(f"{folder}: no SavedModel was found", hint=f"expected: {_LAYOUT}")
    return model_choice.chosen(models, model, where=folder, kind="SavedModel `{}`")


class TensorFlowServingModel(VariantModel):
    """The newest version of one model, which is the one that is served."""

    space = "tensorflow_serving"

    def __init__(self, folder: Path, others: Sequence[Self] = ()) -> None:
        self.name = folder.name
        self.others = variants.by_name(self.name, others)
        self.version = max(_versions(folder), key=lambda each: int(each.name))

    @property
    def own_fingerprint(self) -> str:
        return staging.digest([self.version])

    def adapt(self, space: SearchSpace, *, contained: bool) -> SearchSpace:
        """`space` with those libraries only that are here, and what chooses among variants.

        Raises:
            SpaceError: A parameter sets what the server does not have.
        """
        space.refuse_other_than("property", "flag", "environment", server="TensorFlow Serving")
        for parameter, name in space.names_of("property"):
            if name not in _PARAMETERS:
                raise SpaceError(
                    f"parameters.{parameter.name}.sets.property: TensorFlow Serving has no "
                    f"batching parameter `{name}`",
                    hint=did_you_mean(name, _PARAMETERS),
                )
        for parameter, name in space.names_of("flag"):
            if name in _OWN_FLAGS:
                raise SpaceError(
                    f"parameters.{parameter.name}.sets.flag: `{name}` is what the tuner itself "
                    "starts the server with",
                    hint="leave the parameter out",
                )
        space = space if contained else system_libraries.usable(space)
        proof = "accepted: the server was started with its folder"
        return variants.added(space, self.name, tuple(self.others), proof=proof)

    def stage_own(self, folder: Path) -> None:
        """Copy its version, under the name of its model."""
        staged = folder / self.name / self.version.name
        with staging.copying(self.version, staged):
            staging.copy_folder(self.version, staged)


def open_model(source: ModelSource) -> TensorFlowServingModel:
    """The model to tune.

    Raises:
        ModelError: There is none, or there are several.
    """
    if source.file is not None:
        raise InputError(
            f"{source.file}: TensorFlow Serving serves SavedModels, and no bare model file",
            hint=f"expected: {_LAYOUT}; then: `--model-repository FOLDER`",
        )
    if source.folder is None:
        raise ModelError(
            "TensorFlow Serving has no bundled model",
            hint="name the folder of your models: `--model-repository FOLDER`",
        )
    folder = find_saved_model(source.folder, source.name)
    others = (
        TensorFlowServingModel(find_saved_model(source.folder, each)) for each in source.variants
    )
    return TensorFlowServingModel(folder, list(others))


def makes_batches(settings: Settings) -> bool:
    """Whether the server may batch at all."""
    return dict(settings.flags).get(BATCHING) is True


def batching_text(parameters: Mapping[str, Value]) -> str:
    """A `BatchingParameters` in protobuf's text format; integers are wrapped in messages."""
    lines = []
    for name, value in parameters.items():
        if name == SIZES:
            most = int(parameters.get(MAX_BATCH, SERVER_MAX_BATCH))
            lines += [f"{SIZES}: {size}" for size in allowed_sizes(most)]
        elif name in _WRAPPED:
            lines.append(f"{name} {{ value: {value_text(value)} }}")
        else:
            lines.append(f"{name}: {value_text(value)}")
    return "".join(f"{line}\n" for line in lines)


def allowed_sizes(most: int) -> list[int]:
    """Powers of two below `most`, and `most`, which the server wants to be the last."""
    return [*(2**n for n in range(most.bit_length()) if 2**n < most), most]


def _versions(folder: Path) -> list[Path]:
    """The folders of a model that hold a version: their names are numbers."""
    if not folder.is_dir():
        return []
    numbered = (each for each in folder.iterdir() if each.name.isdecimal())
    return [each for each in numbered if any((each / name).is_file() for name in _GRAPHS)]
