"""A Triton that is started for a moment, to be asked what it makes of a model's configuration."""

from collections.abc import Iterator
from contextlib import contextmanager

from google.protobuf.message import Message

from runners.base import Runner, RunningServer
from runners.errors import CommandNotFound, RunnerError
from tuner.clients.v2_http import V2Client
from tuner.errors import ModelError, ServerError, ServerMissingError
from tuner.space.space import Configuration, SearchSpace
from tuner.targets.base import TargetSetup
from tuner.targets.triton import completion
from tuner.targets.triton import config as model_config
from tuner.targets.triton.base import TritonModel
from tuner.targets.triton.completion import Completion
from tuner.targets.triton.target import TritonTarget, reason_in


def completed(
    model: TritonModel, setup: TargetSetup, runner: Runner
) -> tuple[TritonModel, tuple[str, ...]]:
    """`model` as a Triton completes it, and what is to be known of that, in sentences.

    Raises:
        ServerMissingError: Triton is not installed, or not in the image.
        ServerError: It does not start.
        ModelError: It cannot load the model, or a file of it cannot be read.
    """
    target = TritonTarget.of(model, SearchSpace(TritonTarget.server, ()), setup)
    target.stage()
    with _started(target, runner) as server:
        found = [_asked(form, server, setup.start_timeout_s) for form in model.whole]
    notes = tuple(each.sentence(form.name) for each, form in zip(found, model.whole, strict=True))
    return model.as_completed(found), notes


@contextmanager
def _started(target: TritonTarget, runner: Runner) -> Iterator[RunningServer]:
    try:
        with runner.start(target.launch_spec(Configuration.of({}))) as server:
            yield server
    except CommandNotFound as error:
        raise ServerMissingError(str(error), hint=error.hint) from None
    except RunnerError as error:
        raise ServerError(
            f"no Triton could be asked for the configuration of `{target.model}`: {error}",
            hint=error.hint,
        ) from None


def _asked(form: TritonModel, server: RunningServer, timeout_s: float) -> Completion:
    """What the server makes of this form of the model, which it does not keep."""
    with V2Client(server.url("http"), timeout_s=timeout_s) as client:

        def ask(config: Message) -> Message:
            named = model_config.changed(config, {"name": form.name})
            client.load(form.name, model_config.as_json(named))
            return model_config.from_server(client.config(form.name))

        try:
            found = completion.completed(form.config, ask)
            client.unload(form.name)
        except ServerError as error:
            raise ModelError(
                f"Triton cannot complete the configuration of `{form.name}`: {error.message}"
                f"{reason_in(server.log_tail())}",
                hint="make the model load on this server, or write its inputs, its outputs and "
                "`max_batch_size` into its config.pbtxt",
            ) from None
    return found
