"""A model of Triton, with the forms that it is there in: what may vary, and how it is set."""

from collections.abc import Sequence
from typing import Self

from google.protobuf.message import Message

from tuner.errors import SpaceError
from tuner.space.expressions import Value
from tuner.space.settings import ConfigPath, LauncherArgument, ServerProperty, TemplateVariable
from tuner.space.space import Configuration, IntParameter, Parameter, SearchSpace
from tuner.targets import system_libraries, variants
from tuner.targets.process_proofs import value_text
from tuner.targets.triton import config as model_config
from tuner.targets.triton import flags, warm_up
from tuner.targets.variants import VariantModel

_SPACES = {name: f"triton_{name}" for name in ("pytorch", "onnxruntime", "openvino", "tensorrt")}
# How a configuration without `backend` names it (Triton model_configuration.md).
_BACKENDS = {
    "pytorch_libtorch": "pytorch",
    "onnxruntime_onnx": "onnxruntime",
    "tensorrt_plan": "tensorrt",
}


class TritonModel(VariantModel):
    """A model as its user left it; `others` are further forms of it, of which one is served."""

    def __init__(self, name: str, config: Message, others: Sequence[Self] = ()) -> None:
        self.name = name
        self.config = config
        self.others = variants.by_name(name, others)

    @property
    def own_space(self) -> str:
        """The built-in space of this form's backend."""
        backend = str(model_config.get(self.config, "backend") or "")
        platform = str(model_config.get(self.config, "platform") or "")
        return _SPACES.get(backend or _BACKENDS.get(platform, ""), "triton")

    @property
    def space(self) -> str:
        """The built-in space of the backend of all its forms, or the one for all backends."""
        found = {form.own_space for form in self.whole}
        return found.pop() if len(found) == 1 else "triton"

    def adapt(self, space: SearchSpace, *, contained: bool = False) -> SearchSpace:
        """`space` with the model's own settings as defaults, and without what it cannot do.

        It has a parameter more if there are variants.

        Raises:
            SpaceError: A parameter sets what the model's configuration cannot hold.
        """
        for parameter in space.parameters:
            if isinstance(parameter.sets, ServerProperty | LauncherArgument | TemplateVariable):
                raise SpaceError(
                    f"parameters.{parameter.name}.sets: Triton has no configuration file, "
                    f"launcher or templates that could be given `{parameter.sets.name}`",
                    hint="its settings are `config`, `environment` and `flag`",
                )
        if not contained:
            space = flags.usable(system_libraries.usable(space))
        cannot = tuple({each for form in self.whole for each in form.impossible()})
        space = space.without({p.name for p in space.parameters if _path(p).startswith(cannot)})
        paths = {_path(p): p.default for p in space.parameters if _path(p)}
        model_config.changed(self.config, dict(sorted(paths.items())))  # or else a SpaceError
        for parameter in space.parameters:
            value = model_config.get(self.config, _path(parameter)) if _path(parameter) else None
            if value:  # zero and false are how the message spells "not set"
                space = space.with_default(parameter.name, _as_meant(parameter, value))
        return variants.added(space, self.name, self.forms[1:])

    def impossible(self) -> set[str]:
        """How the fields begin that this model cannot have."""
        no_warm_up = set() if warm_up.is_possible(self.config) else {warm_up.PATH}
        if not model_config.get(self.config, "max_batch_size"):
            return {"max_batch_size", "dynamic_batching", *no_warm_up}
        others = ("sequence_batching", "ensemble_scheduling")
        if any(model_config.get(self.config, each) for each in others):
            return {"dynamic_batching", *no_warm_up}  # a model has one scheduler
        return no_warm_up

    def configured(self, space: SearchSpace, configuration: Configuration) -> Message:
        """The configuration of the model's form under `configuration`."""
        values: dict[str, Value | None] = {}
        for name, value in configuration.items():
            sets = space[name].sets
            if isinstance(sets, ConfigPath):
                values[sets.path] = None if value == sets.omit else value
        form = self.form(space, configuration)
        message = model_config.changed(form.config, {"name": form.name})
        return model_config.changed(message, dict(sorted(values.items())))

    def deployed(self, space: SearchSpace, configuration: Configuration) -> Message:
        """The same as it is handed over, for the folder of the model."""
        return self.configured(space, configuration)


def _as_meant(parameter: Parameter, value: Value) -> Value:
    """A value of the model's configuration, whose backend parameters are all texts."""
    for choice in parameter.choices or ():
        if value_text(choice) == str(value):
            return choice
    if isinstance(parameter, IntParameter) and isinstance(value, str) and value.isdecimal():
        return int(value)
    return value


def _path(parameter: Parameter) -> str:
    """The field of the model configuration that it sets, if it sets one."""
    return parameter.sets.path if isinstance(parameter.sets, ConfigPath) else ""
