"""A model that was not tuned yet, as its files tell it: no server is asked."""

from dataclasses import dataclass
from pathlib import Path

from tuner.errors import InputError
from tuner.hardware import Hardware
from tuner.hints.gathered import configuration_facts, kind_facts
from tuner.hints.model import model_facts
from tuner.space import spec
from tuner.space.expressions import Value
from tuner.space.resolution import resolve
from tuner.space.space import SearchSpace
from tuner.targets.base import ModelSource
from tuner.targets.catalog import server_kind
from tuner.targets.command.target import CommandTarget
from tuner.targets.triton.base import TritonModel


@dataclass(frozen=True)
class Inspected:
    """A model, the space that would be searched for it, and the facts of both."""

    name: str
    space: SearchSpace
    facts: dict[str, Value]


def inspected(server: str, folder: Path | None, model: str | None, machine: Hardware) -> Inspected:
    """What the files of the model say; the bundled one without a `folder`.

    Raises:
        InputError: There is no such server or model, or several models to choose from.
    """
    kind = server_kind(server)
    if kind.name == CommandTarget.server:
        raise InputError(
            "of a server that a space file describes, nothing is known before a study",
            hint="`tuner hints STUDY` says what a study found",
        )
    opened = kind.open_model(ModelSource(folder=folder, name=model))
    file = spec.built_in()[opened.space]
    space = opened.adapt(
        resolve(spec.load_space(file), machine.bounds, file=file), contained=False
    )
    facts = {**kind_facts(kind.name), "server.runner": "process"}
    if isinstance(opened, TritonModel):
        facts |= _model_facts(opened)
    facts |= configuration_facts(space, None)
    return Inspected(opened.name, space, facts)


def _model_facts(model: TritonModel) -> dict[str, Value]:
    """Nothing of the largest batch where a server would choose one."""
    facts = model_facts(model.config)
    if model.needs_server and not facts["model.max_batch_size"]:
        del facts["model.max_batch_size"]
    return facts
