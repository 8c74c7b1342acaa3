"""A model of Triton, with the forms that it is there in: what may vary, and how it is set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from google.protobuf.message import Message

from tuner.space.expressions import Value, value_text
from tuner.space.settings import Settings
from tuner.space.space import IntParameter, Parameter, SearchSpace
from tuner.targets import system_libraries, variants
from tuner.targets.triton import config as model_config
from tuner.targets.triton import flags, warm_up
from tuner.targets.triton.needs import Needs
from tuner.targets.variants import VariantModel

# The built-in spaces of backends.
_SPACES = {name: f"triton_{name}" for name in ("pytorch", "onnxruntime", "openvino", "tensorrt")}
# How a configuration without `backend` names it (Triton model_configuration.md).
_BACKENDS = {
    "pytorch_libtorch": "pytorch",
    "onnxruntime_onnx": "onnxruntime",
    "tensorrt_plan": "tensorrt",
}


class TritonModel(VariantModel):
    """A model as its user left it; `others` are further forms of it, of which one is served.

    `needs` is what it cannot be served without, `unused` are the models beside one that
    asks others, which are not among those.
    """

    needs: Needs = Needs()
    unused: tuple[str, ...] = ()

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

    @property
    def fingerprint(self) -> str:
        """Ten hexadecimal digits that change when the model does, or what it needs."""
        return variants.fingerprint((super().fingerprint, *self.needs.fingerprints()))

    @property
    def before(self) -> tuple[str, ...]:
        """The models that have to be loaded before it, each after those that it asks itself."""
        asked = ((*each.before, each.name) for each in self.needs.companions)
        return tuple(dict.fromkeys(name for names in asked for name in names))

    def stage(self, folder: Path) -> None:
        super().stage(folder)
        self.needs.stage(folder)

    def adapt(self, space: SearchSpace, *, contained: bool = False) -> SearchSpace:
        """`space` with the model's own settings as defaults, and without what it cannot do.

        It has a parameter more if there are variants.

        Raises:
            SpaceError: A parameter sets what the model's configuration cannot hold.
        """
        space.refuse_other_than("config", "environment", "flag", server="Triton")
        if not contained:
            space = flags.usable(system_libraries.usable(space))
        cannot = tuple({each for form in self.whole for each in form.impossible()})
        named = space.names_of("config")
        space = space.without({p.name for p, path in named if path.startswith(cannot)})
        named = space.names_of("config")
        paths = {path: p.default for p, path in named}
        model_config.changed(self.config, dict(sorted(paths.items())))  # or else a SpaceError
        for parameter, path in named:
            if value := model_config.get(self.config, path):  # zero and false mean "not set"
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

    def configured(self, settings: Settings) -> Message:
        """The configuration of the model's form under `settings`."""
        form = self.form(settings)
        message = model_config.changed(form.config, {"name": form.name})
        return model_config.changed(message, dict(sorted(settings.config.items())))

    def deployed(self, settings: Settings) -> Message:
        """The same as it is handed over, for the folder of the model."""
        return self.configured(settings)


def _as_meant(parameter: Parameter, value: Value) -> Value:
    """A value of the model's configuration, whose backend parameters are all texts."""
    for choice in parameter.choices or ():
        if value_text(choice) == str(value):
            return choice
    if isinstance(parameter, IntParameter) and isinstance(value, str) and value.isdecimal():
        return int(value)
    return value
