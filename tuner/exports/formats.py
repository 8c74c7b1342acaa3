"""Which formats there are, for which server, and what each has of a configuration."""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from tuner.errors import InputError
from tuner.exports import compose, docker_run, env_file, kubernetes, systemd, torchserve
from tuner.exports.deployable import Deployable, container_of, measured_image, model_folder
from tuner.exports.forms import DOCUMENTS, ExportForm
from tuner.exports.service import Service
from tuner.records import StudyRecord, TrialRecord


class Maker(Protocol):
    """A module that knows how a server is deployed."""

    def image(self, study: StudyRecord) -> tuple[str, str]:
        """The public image that holds what was measured, and what is to be known of it.

        Raises:
            InputError: What would say it is not here.
        """

    def service(self, wanted: Deployable) -> Service:
        """The server with the configuration.

        Raises:
            InputError: Something that it needs is not here.
        """


# By server; read when one is asked for, as some of them bring more than others.
_MAKERS = {
    each: f"tuner.exports.{each}"
    for each in ("triton", "torchserve", "tensorflow_serving", "llama_cpp", "command")
}
_OF_SERVICES: Mapping[ExportForm, Callable[[Service], str]] = {
    ExportForm.ENV: env_file.text,
    ExportForm.DOCKER_RUN: docker_run.script,
    ExportForm.COMPOSE: compose.document,
    ExportForm.KUBERNETES: kubernetes.document,
    ExportForm.SYSTEMD: systemd.unit,
}
_IN_CONTAINERS = (ExportForm.DOCKER_RUN, ExportForm.COMPOSE, ExportForm.KUBERNETES)
# The files of single servers.
_OWN = {
    ExportForm.CONFIG_PBTXT: "triton",
    ExportForm.CONFIG_PROPERTIES: "torchserve",
    ExportForm.MODEL_CONFIG: "torchserve",
}


def forms_of(server: str) -> tuple[ExportForm, ...]:
    """What a configuration of `server` can be handed over as."""
    forms = (form for form in ExportForm if form not in DOCUMENTS)
    return tuple(form for form in forms if _OWN.get(form, server) == server)


def export(form: ExportForm, study: StudyRecord, trial: TrialRecord, *, image: str = "") -> str:
    """The configuration of `trial` as `form` has it; `image` is taken in place of any other.

    Raises:
        InputError: The server has no such form, or it needs what is not known.
    """
    if form not in forms_of(study.server):
        others = ", ".join(f"`{each}`" for each in forms_of(study.server))
        raise InputError(f"`{study.server}` has no `{form}`", hint=f"it has {others}")
    match form:
        case ExportForm.FILE | ExportForm.CONFIG_PBTXT | ExportForm.CONFIG_PROPERTIES:
            return trial.export
        case ExportForm.MODEL_CONFIG:
            return torchserve.model_config(trial.export)
        case _:
            return _OF_SERVICES[form](service(study, trial, form, image=image))


def service(
    study: StudyRecord, trial: TrialRecord, form: ExportForm, *, image: str = ""
) -> Service:
    """The server with the configuration of `trial`, as `form` needs it.

    Raises:
        InputError: Something that it needs is not known.
    """
    if study.space is None:
        raise InputError(
            f"study `{study.name}` was begun by a version that did not store its space",
            hint="`--format file` has what it stored",
        )
    maker = cast("Maker", import_module(_MAKERS[study.server]))
    found, said = _image(study, maker, contained=form in _IN_CONTAINERS)
    if form in _IN_CONTAINERS and not (image or found):
        raise InputError(
            f"`{form}` needs an image, but study `{study.name}` ran without Docker",
            hint="name one that holds the server: `--image NAME`",
        )
    folder, notes = _folder(study)
    head = f"{study.server} with trial {trial.number} of study {study.name}: {study.budget}."
    had_network = container_of(study).get("network") == "host"
    in_pod = form is ExportForm.KUBERNETES
    network = ("It was measured in the network of its machine; a pod has one of its own.",)
    return maker.service(
        Deployable(
            study=study,
            trial=trial,
            settings=study.space.settings(trial.configuration),
            image=image or found,
            folder=folder,
            host_network=had_network and not in_pod,
            notes=(
                head,
                *(() if image or not said else (said,)),
                *notes,
                *(network if had_network and in_pod else ()),
            ),
        )
    )


def _folder(study: StudyRecord) -> tuple[str, tuple[str, ...]]:
    """That of the models, and what is to be known of it; a server of one's own has none."""
    file = study.options.get("model_file")
    if study.server == "llama_cpp" and file:
        return str(Path(file).parent), ()
    return model_folder(study) if study.server != "command" else ("", ())


def _image(study: StudyRecord, maker: Maker, *, contained: bool) -> tuple[str, str]:
    """The image that was measured, or else the public one, and what is to be known of it."""
    if found := measured_image(study):
        return found, ""
    return maker.image(study) if contained else ("", "")
