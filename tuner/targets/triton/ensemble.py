"""An ensemble: a model that passes its requests through others, which are what is tuned.

Source: Triton ensemble_models.md. An ensemble computes nothing itself; instances and batching are
those of its parts. Triton refuses one whose largest batch is above that of a part (core,
src/ensemble_utils.cc).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from tuner.errors import ModelError
from tuner.space import parts
from tuner.space.settings import Settings
from tuner.space.space import SearchSpace
from tuner.targets import system_libraries, variants
from tuner.targets.triton import config as model_config
from tuner.targets.triton import flags
from tuner.targets.triton.base import TritonModel

_LARGEST = "max_batch_size"


def is_ensemble(config: Message) -> bool:
    """Whether a configuration is that of an ensemble."""
    message: Any = config
    return bool(message.platform == "ensemble" or message.HasField("ensemble_scheduling"))


def part_names(config: Message) -> tuple[str, ...]:
    """The models of the steps of an ensemble, each once, in their order."""
    message: Any = config
    return tuple(dict.fromkeys(s.model_name for s in message.ensemble_scheduling.step))


class EnsembleModel(TritonModel):
    """An ensemble `own` with the models of its steps, of which some may be ensembles."""

    def __init__(self, own: TritonModel, steps: Sequence[TritonModel]) -> None:
        super().__init__(own.name, own.config)
        self.own = own
        self._steps = tuple(steps)

    @property
    def members(self) -> Mapping[str, TritonModel]:
        """All that it is made of, and itself, by name; each after what it is made of itself."""
        found: dict[str, TritonModel] = {}
        for step in self._steps:
            found |= step.members if isinstance(step, EnsembleModel) else {step.name: step}
        return found | {self.name: self}

    @property
    def parts(self) -> Mapping[str, TritonModel]:
        """The members that compute something."""
        members = self.members.items()
        return {n: each for n, each in members if not isinstance(each, EnsembleModel)}

    @property
    def executions(self) -> int:
        """How often a part executes for one request, all of them together."""
        message: Any = self.config
        own = {s.name: s.executions if isinstance(s, EnsembleModel) else 1 for s in self._steps}
        return sum(own[step.model_name] for step in message.ensemble_scheduling.step)

    @property
    def before(self) -> tuple[str, ...]:
        steps = (name for step in self._steps for name in step.before)
        return tuple(dict.fromkeys((*steps, *super().before)))

    @property
    def is_complete(self) -> bool:
        parts = self.parts.values()
        return not self.needs.companions and all(part.is_complete for part in parts)

    @property
    def own_space(self) -> str:
        """What all backends have: each part may have another one."""
        return "triton"

    @property
    def own_fingerprint(self) -> str:
        return variants.fingerprint(
            each.own.own_fingerprint if isinstance(each, EnsembleModel) else each.fingerprint
            for each in self.members.values()
        )

    def stage_own(self, repository: Path) -> None:
        self.own.stage_own(repository)
        for step in self._steps:
            step.stage(repository)

    def adapt(self, space: SearchSpace, *, contained: bool = False) -> SearchSpace:
        """`space` with the parameters of a model's configuration once for each part.

        Raises:
            SpaceError: A parameter sets what a part's configuration cannot hold.
        """
        space.refuse_other_than("config", "environment", "flag", server="Triton")
        parts.check_names(space, self.parts)
        if not contained:
            space = flags.usable(system_libraries.usable(space))
        fixed = set(self.fixed())
        adapted = {}
        for name, part in self.parts.items():
            own = part.adapt(parts.of_part(space, name), contained=True)  # but for what is here
            largest = {p.name for p, path in own.names_of("config") if path == _LARGEST}
            adapted[name] = own.without(largest) if name in fixed else own
        return parts.joined(space, adapted)

    def configurations(self, settings: Settings) -> dict[str, Message]:
        """Those of all members under `settings`, by name, each after what it is made of."""
        found: dict[str, Message] = {}
        for name, member in self.members.items():
            if isinstance(member, EnsembleModel):
                found[name] = member.fitting(found)
            else:
                found[name] = member.configured(settings.of_part(name))
        return found

    def configured(self, settings: Settings) -> Message:
        return self.configurations(settings)[self.name]

    def fitting(self, steps: Mapping[str, Message]) -> Message:
        """Its configuration, with a largest batch that all of its `steps` can take."""
        own = model_config.changed(self.config, {"name": self.name})
        largest = int(model_config.get(own, _LARGEST) or 0)
        sizes = (int(model_config.get(steps[s.name], _LARGEST) or 0) for s in self._steps)
        fitting = min([largest, *filter(None, sizes)])  # a size that is missing is the server's
        return model_config.changed(own, {_LARGEST: fitting}) if fitting < largest else own

    def fixed(self) -> Iterator[str]:
        """The parts whose largest batch stays as it is.

        Those of an ensemble without batches get whole batches from outside, of whatever size.
        """
        for step in self._steps:
            if isinstance(step, EnsembleModel):
                yield from step.fixed()
            if not model_config.get(self.config, _LARGEST):
                yield from step.parts if isinstance(step, EnsembleModel) else (step.name,)


def composed(own: TritonModel, opened: Callable[[str], TritonModel]) -> EnsembleModel:
    """The ensemble `own` with all that it is made of; a name is `opened` to a model.

    Raises:
        ModelError: A part is not there, or is the ensemble itself.
    """
    return _composed(own, opened, ())


def _composed(
    own: TritonModel, opened: Callable[[str], TritonModel], above: tuple[str, ...]
) -> EnsembleModel:
    path = (*above, own.name)
    names = part_names(own.config)
    if not names:
        raise ModelError(
            f"the ensemble `{own.name}` has no steps",
            hint="add `ensemble_scheduling { step ... }`",
        )
    steps = []
    for name in names:
        if name in path:
            circle = " -> ".join(f"`{each}`" for each in (*path[path.index(name) :], name))
            raise ModelError(
                f"the ensemble `{own.name}` is a part of itself: {circle}",
                hint="remove one of these steps",
            )
        step = opened(name)
        steps.append(_composed(step, opened, path) if is_ensemble(step.config) else step)
    return EnsembleModel(own, steps)
