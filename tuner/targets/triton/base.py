"""A model of Triton, with the forms that it is there in: what may vary, and how it is set."""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from google.protobuf.message import Message
from tritonclient.grpc.model_config_pb2 import TYPE_STRING

from tuner.errors import InputError, ModelError
from tuner.protocols.tensors.inputs import check_no_strings
from tuner.protocols.v2 import V2Protocol
from tuner.space.expressions import Value, value_text
from tuner.space.settings import Settings
from tuner.space.space import IntParameter, Parameter, SearchSpace
from tuner.targets import system_libraries, variants
from tuner.targets.request_form import RequestForm
from tuner.targets.triton import config as model_config
from tuner.targets.triton import flags, limits, warm_up
from tuner.targets.triton.completion import Completion, needs_server
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


_SEQUENCES = "sequence_batching"
_OLDEST = f"{_SEQUENCES}.oldest"
_DIRECT = f"{_SEQUENCES}.direct"
# The largest size in the space of stateful models; a batch may be no larger than the model's.
_LARGEST_PREFERRED = 16


class TritonModel(VariantModel):
    """A model as its user left it; `others` are further forms of it, of which one is served.

    `needs` is what it cannot be served without, `unused` are the models beside one that
    asks others, which are not among those.
    """

    needs: Needs = Needs()
    unused: tuple[str, ...] = ()

    def __init__(self, name: str, config: Message, others: Sequence[Self] = ()) -> None:
        self.name = name
        self.completion = Completion(config)
        self.others = variants.by_name(name, others)

    @property
    def config(self) -> Message:
        """Its configuration, with what a server completes once one was asked."""
        return self.completion.config

    @property
    def program(self) -> str:
        """The source of a model of the Python backend; empty for any other, or if unknown."""
        return ""

    @property
    def needs_server(self) -> bool:
        """Whether a server must be asked before it is known what may vary."""
        return any(needs_server(form.config, form.program) for form in self.whole)

    @property
    def is_complete(self) -> bool:
        """Whether its configuration is all that there is to it: no backend adds anything.

        That is known of models of the Python backend that ask no others.
        """
        if self.needs.companions or "auto_complete_config" in self.needs.mentioned:
            return False
        return all(
            model_config.get(form.config, "backend") == "python"
            and bool(form.program)
            and not needs_server(form.config, form.program)
            for form in self.whole
        )

    def as_completed(self, found: Sequence[Completion]) -> Self:
        """The model with what a server made of the configuration of each of its forms."""
        forms = [copy(form) for form in self.whole]
        for form, its in zip(forms, found, strict=True):
            form.completion = its
        own, *others = forms
        own.others = variants.by_name(own.name, others)
        return own

    @property
    def own_space(self) -> str:
        """The built-in space of this form's backend, or that of stateful models."""
        if model_config.get(self.config, _SEQUENCES):
            return "triton_sequence"
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

    @property
    def is_decoupled(self) -> bool:
        """Whether a request has any number of answers."""
        return bool(model_config.get(self.config, "model_transaction_policy.decoupled"))

    def fit_form(self, form: RequestForm) -> RequestForm:
        """`form` as the model takes it: decoupled ones answer on gRPC streams alone.

        Raises:
            InputError: It speaks of sequences, or of strings, and the model has none.
        """
        if not any(model_config.get(each.config, _SEQUENCES) for each in self.whole):
            form.check_stateless(f"the model `{self.name}`, which is not stateful")
        types = {each for model in self.whole for each in _input_types(model.config)}
        if types and TYPE_STRING not in types:
            check_no_strings(form.string_length, form.string_data)
        if not self.is_decoupled:
            return form
        if form.protocol is V2Protocol.HTTP:
            raise InputError(
                f"`--protocol http` means nothing to the model `{self.name}`, which is "
                "decoupled: it answers on gRPC streams",
                hint="leave it out",
            )
        return replace(form, protocol=V2Protocol.GRPC)

    def remarks(self, form: RequestForm) -> tuple[str, ...]:
        found = []
        if self.before:
            found.append("loaded first: " + ", ".join(f"`{name}`" for name in self.before))
        if self.is_decoupled:
            found.append("requests go over gRPC streams; a latency ends with the last response")
        if model_config.get(self.config, _SEQUENCES):
            made_up = f"about {form.sequences.length} made-up steps"
            steps = "the steps of a stream of the data" if form.files else made_up
            found.append(f"requests are steps of sequences: each has {steps}")
        return tuple(found)

    def stage(self, folder: Path) -> None:
        super().stage(folder)
        self.needs.stage(folder)

    def adapt(self, space: SearchSpace, *, contained: bool = False) -> SearchSpace:
        """`space` with the model's own settings as defaults, and without what it cannot do.

        It has a parameter more if there are variants.

        Raises:
            ModelError: The model cannot be sent requests.
            SpaceError: A parameter sets what the model's configuration cannot hold.
        """
        for form in self.whole:
            _check_correlation_ids(form.name, form.config)
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
        for form in self.whole:
            space = limits.narrowed(form.completion.narrowed(space), form.config)
        return variants.added(space, self.name, self.forms[1:])

    def impossible(self) -> set[str]:
        """How the fields begin that this model cannot have."""
        cannot = limits.impossible(self.config)
        if not warm_up.is_possible(self.config):
            cannot.add(warm_up.PATH)
        if model_config.get(self.config, _SEQUENCES):
            return {"dynamic_batching", *cannot, *self._not_of_its_strategy()}
        cannot.add(_SEQUENCES)
        if not model_config.get(self.config, "max_batch_size"):
            return {"max_batch_size", "dynamic_batching", *cannot}
        if model_config.get(self.config, "ensemble_scheduling"):
            return {"dynamic_batching", *cannot}  # a model has one scheduler
        return cannot

    def _not_of_its_strategy(self) -> set[str]:
        """Fields of a sequence batcher; without a word of the strategy it is the direct one."""
        if not model_config.get(self.config, _OLDEST):
            return {_OLDEST}
        largest = int(model_config.get(self.config, "max_batch_size") or 0)
        too_large = largest < _LARGEST_PREFERRED
        return {_DIRECT, f"{_OLDEST}.preferred_batch_size"} if too_large else {_DIRECT}

    def configured(self, settings: Settings) -> Message:
        """The configuration of the model's form under `settings`.

        What its owner wrote stays, as far as it is legal beside them.
        """
        form = self.form(settings)
        values = dict(sorted(settings.config.items()))
        standing = model_config.changed(form.config, {"name": form.name})
        lists = [p for p in values if p.endswith("[0]") and _is_other(standing, p, values[p])]
        standing = model_config.changed(standing, dict.fromkeys(lists))
        standing = limits.kept(standing, model_config.changed(standing, values))
        message = model_config.changed(standing, values)
        limits.tidy(message)
        return message

    def deployed(self, settings: Settings) -> Message:
        """The same as it is handed over, for the folder of the model."""
        return self.configured(settings)


def _is_other(config: Message, path: str, value: Value | None) -> bool:
    """Whether a list is not to begin as it does: then `value` is all that it has.

    A parameter that chooses the only entry of a list has the whole list as its default.
    """
    return model_config.get(config, path) != value


def _as_meant(parameter: Parameter, value: Value) -> Value:
    """A value of the model's configuration, whose backend parameters are all texts."""
    for choice in parameter.choices or ():
        if value_text(choice) == str(value):
            return choice
    if isinstance(parameter, IntParameter) and isinstance(value, str) and value.isdecimal():
        return int(value)
    return value


def _input_types(config: Any) -> set[int]:
    return {each.data_type for each in config.input}


def _check_correlation_ids(name: str, config: Any) -> None:
    for control in config.sequence_batching.control_input:
        for each in control.control:
            if (each.kind, each.data_type) == (each.CONTROL_SEQUENCE_CORRID, TYPE_STRING):
                raise ModelError(
                    f"the model `{name}` takes texts as correlation ids, but sequences are sent "
                    "with numbers",
                    hint="let its control input be of a type such as TYPE_UINT64",
                )
