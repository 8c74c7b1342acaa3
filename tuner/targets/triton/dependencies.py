"""What a model of a repository needs beside itself: its parts, the models that it asks, files.

Which models a program asks (Triton's BLS) is not written in its configuration, but in its Python:
the names of models that stand in quotes where it makes requests (`pb_utils.InferenceRequest`).
What it works out at run time is named by `--with-model`.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuner.errors import InputError, ModelError, did_you_mean
from tuner.targets.triton import config, ensemble
from tuner.targets.triton.base import TritonModel
from tuner.targets.triton.beside import Surroundings, is_model
from tuner.targets.triton.ensemble import EnsembleModel
from tuner.targets.triton.needs import Needs
from tuner.targets.triton.repository import RepositoryModel

ALL = "*"
"""In place of a name: all models of the repository, as in Triton's `--load-model=*`."""

_ASKS = "InferenceRequest"
# Larger files are no programs that a person wrote.
_PROGRAM_BYTES = 1 << 20


def completed(model: RepositoryModel, with_models: Sequence[str] = ()) -> TritonModel:
    """`model` with its parts, if it is an ensemble, and with what it needs.

    Raises:
        InputError: `--with-model` or `--variant` names what there is not, or cannot be.
        ModelError: A part is missing, or cannot be used.
    """
    if model.others and any(ensemble.is_ensemble(form.config) for form in model.whole):
        raise InputError(
            "`--variant` does not go with an ensemble: its parts are what is tuned",
            hint="leave it out, or tune each form in a study of its own",
        )
    models = _Models(model)
    whole = models.model(model.name)
    own = _members(whole) | set(model.forms)
    asked = {c.name: c for form in model.whole for c in form.needs.companions}
    for name in models.named(with_models):
        companion = models.model(name)
        if own.isdisjoint(_members(companion)):
            asked[name] = companion
        elif ALL not in with_models:
            raise InputError(
                f"`--with-model {name}`: the model `{model.name}` is tuned, which is "
                + ("that one" if name == model.name else f"a part of `{name}`"),
                hint="leave it out",
            )
    whole.needs = Needs(tuple(asked.values()), Surroundings(models.folder), models.mentioned)
    if _ASKS in models.mentioned:
        used = {*own, *whole.before}
        whole.unused = tuple(name for name in models.names if name not in used)
    return whole


class _Models:
    """The models of the repository of the one that is `tuned`, each opened once."""

    def __init__(self, tuned: RepositoryModel) -> None:
        self.folder = tuned.folder.parent
        self.names = sorted(path.name for path in self.folder.iterdir() if is_model(path))
        self.mentioned = ""
        self._opened: dict[str, RepositoryModel] = {form.name: form for form in tuned.whole}
        self._under_way: set[str] = set()
        for form in tuned.whole:
            self._look_into(form)

    def named(self, names: Sequence[str]) -> Sequence[str]:
        """The models of `--with-model`.

        Raises:
            InputError: One is not there.
        """
        for name in names:
            if name not in (*self.names, ALL):
                raise InputError(
                    f"{self.folder}: has no model `{name}`, which `--with-model` names",
                    hint=did_you_mean(name, self.names),
                )
        return self.names if ALL in names else names

    def model(self, name: str) -> TritonModel:
        """The model with its parts, if it is an ensemble."""
        own = self._opened_as(name)
        return ensemble.composed(own, self._opened_as) if _is_ensemble(own) else own

    def _opened_as(self, name: str) -> RepositoryModel:
        if name not in self._opened:
            self._opened[name] = RepositoryModel(self.folder, name)
            self._look_into(self._opened[name])
        return self._opened[name]

    def _look_into(self, model: RepositoryModel) -> None:
        """Find the models that it asks, and make sure of those that it is made of."""
        self._check_steps(model)
        program = _program(model.folder)
        self.mentioned += program + config.as_text(model.config)
        quoted = set(re.findall(r"""["']([^"'\n]+)["']""", program)) if _ASKS in program else set()
        self._under_way.add(model.name)
        asked = [n for n in self.names if n in quoted and n not in self._opened]
        companions = [self.model(name) for name in asked]
        apart = (each for each in companions if not self._under_way & _members(each))
        model.needs = Needs(tuple(apart))
        self._under_way.remove(model.name)

    def _check_steps(self, model: RepositoryModel) -> None:
        message: Any = model.config
        where = model.folder / "config.pbtxt"
        for step in message.ensemble_scheduling.step:
            name, version = step.model_name, step.model_version
            if name not in self.names:
                raise ModelError(
                    f"{where}: the ensemble has a step of the model `{name}`, which is not in "
                    f"{self.folder}",
                    hint=f"models there: {', '.join(self.names)}",
                )
            if version > 0 and not (self.folder / name / str(version)).is_dir():
                raise ModelError(
                    f"{where}: the ensemble takes version {version} of the model `{name}`, which "
                    "is not there",
                    hint="`model_version: -1` is the newest one",
                )


def _is_ensemble(model: TritonModel) -> bool:
    return ensemble.is_ensemble(model.config)


def _members(model: TritonModel) -> set[str]:
    """The models that are loaded with it."""
    return set(model.members) if isinstance(model, EnsembleModel) else {model.name}


def _program(folder: Path) -> str:
    """What the versions of a model are programmed with in Python, as far as it can be read."""
    folders = (path for path in sorted(folder.iterdir()) if path.is_dir())  # links among them
    files = [*folder.glob("*.py"), *(path for each in folders for path in each.rglob("*.py"))]
    return "".join(
        path.read_text(errors="replace")
        for path in sorted(files)
        if path.is_file() and os.access(path, os.R_OK) and path.stat().st_size < _PROGRAM_BYTES
    )
