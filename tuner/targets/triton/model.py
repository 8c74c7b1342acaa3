"""Where a model of Triton comes from: a repository, a file, or a server that has it already."""

from tuner.errors import InputError
from tuner.targets.base import ModelSource
from tuner.targets.triton import dependencies, one_file, repository
from tuner.targets.triton.base import TritonModel
from tuner.targets.triton.running import RunningModel


def open_model(source: ModelSource) -> TritonModel:
    """The model to tune.

    Raises:
        InputError: There is none, or it cannot be read.
        ServerError: The server that is to have it does not answer.
    """
    if source.server is None:
        if source.file is not None:
            if source.with_models:
                raise InputError(
                    "`--with-model` means nothing to a model file, which asks no other models",
                    hint="leave it out, or put the models into a repository",
                )
            return one_file.open_file(source.file, source)
        return dependencies.completed(repository.open_repository(source), source.with_models)
    if source.with_models:
        raise InputError(
            "`--with-model` means nothing to a server that already runs: it has its models",
            hint="leave it out; load there what the model asks",
        )
    if source.variants or source.file:
        raise InputError(
            "a model file and `--variant` mean nothing to a server that already runs",
            hint="leave them out; `--model NAME` says which of its models is tuned",
        )
    return RunningModel.of(source.server, source.name)
