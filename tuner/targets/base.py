"""What a target is: the server under test, as the rest of the tuner sees it."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Generic, Protocol, Self, TypeVar

from runners.base import LaunchSpec, RunningServer
from tuner.errors import Reason, ServerError, ServerTimeoutError, TrialFailure
from tuner.load.profile import Endpoint
from tuner.load.requests import RequestSet, Tensor, TensorSpec
from tuner.records import ServerStatistics, SettingVerdict
from tuner.space.expressions import Value
from tuner.space.serve import ServeSpec
from tuner.space.settings import Setting
from tuner.space.space import Configuration, SearchSpace
from tuner.targets.request_form import RequestForm


@dataclass(frozen=True, kw_only=True)
class TargetSetup:
    """What a target is made for, beside its model and its space.

    Attributes:
        workspace: A folder for staged copies of the model.
        form: What the requests carry.
        start_timeout_s: How long a start or a reload may take, where none was seen yet.
        contained: Whether the server runs in a container, with the programs of its image.
    """

    workspace: Path
    form: RequestForm
    start_timeout_s: float = 120.0
    contained: bool = False


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """Where a person says that the model is; what is None was not said.

    Attributes:
        folder: A folder of models.
        file: A file that is the model.
        inputs: The inputs of that file, where it does not tell them; -1 is what may vary.
        contained: Whether the server runs in a container.
        name: Which of them.
        serve: How a server of one's own is started, from the space file.
        space_file: That file.
        server: A server that already runs and has the model.
        variants: The names of other forms of the model, which are where it is; files, if it is
            one.
        with_models: The names of further models that it asks, which are where it is.
    """

    folder: Path | None = None
    file: Path | None = None
    inputs: tuple[TensorSpec, ...] = ()
    contained: bool = False
    name: str | None = None
    serve: ServeSpec | None = None
    space_file: Path | None = None
    server: RunningServer | None = None
    variants: tuple[str, ...] = ()
    with_models: tuple[str, ...] = ()


class ServedModel(Protocol):
    """A model as its user left it: read, adapted to, never written."""

    name: str

    @property
    def space(self) -> str:
        """The built-in space for it; empty if there is none."""

    @property
    def fingerprint(self) -> str:
        """Ten hexadecimal digits that change when a file of the model changes."""

    def fit_form(self, form: RequestForm) -> RequestForm:
        """`form` as the model takes it.

        Raises:
            InputError: It says what would change nothing.
        """

    def remarks(self, form: RequestForm) -> tuple[str, ...]:
        """What is to be known of how it is served, and asked with `form`, in sentences."""

    def adapt(self, space: SearchSpace, *, contained: bool) -> SearchSpace:
        """`space` with the model's own settings as defaults, and without what cannot be done.

        Raises:
            SpaceError: A parameter sets something that the server does not have.
        """


class Target(Protocol):
    """The server under test with its model.

    `launch_spec` is pure. The other methods talk to a server that a runner started from it: first
    `apply`, which makes a configuration effective (after a start, or in place), then the others
    in any order. All raise TrialFailure when the server does not do its part.
    """

    server: str
    model: str
    # Requests that a server answers after a start until it is as fast as it will be.
    warm_up_requests: int
    # How long the next start or reload may take, in seconds.
    start_timeout_s: float

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is to be known of its requests once they were made, in sentences."""

    def launch_spec(self, configuration: Configuration) -> LaunchSpec:
        """What to start so that `apply` can make `configuration` effective."""

    def can_reload(self, before: Configuration, after: Configuration) -> bool:
        """Whether a server with `before` can take `after` without a restart."""

    def apply(self, server: RunningServer, configuration: Configuration) -> None:
        """Load the model under `configuration`; return once it answers an inference."""

    def verify(
        self, server: RunningServer, configuration: Configuration
    ) -> Mapping[str, SettingVerdict]:
        """Read the effective configuration back: a verdict for each parameter."""

    def infer(self, server: RunningServer, *, count: int = 1) -> tuple[tuple[Tensor, ...], ...]:
        """The outputs for the fixed input that all are compared on, asked for `count` at once."""

    def statistics(self, server: RunningServer) -> ServerStatistics:
        """The server's counters now."""

    def requests(self, server: RunningServer) -> RequestSet:
        """The wire-ready requests of this study for this server."""

    def endpoint(self, server: RunningServer) -> Endpoint:
        """Where the requests go."""

    def concurrency(self, configuration: Configuration) -> int:
        """The requests in flight that should saturate the server."""

    def largest_batch(self, configuration: Configuration) -> int:
        """The largest batch that the server makes by itself; 1 if it makes none."""

    def export(self, configuration: Configuration) -> str:
        """The file that deploys `configuration`, as text."""


class StagedTarget(Target, Protocol):
    """A target whose server works on a copy of the model, or already runs."""

    def stage(self) -> None:
        """Make the copy; once, before the first start.

        Raises:
            ModelError: A file of the model cannot be read, or there is no room for it.
        """

    def restore(self, server: RunningServer) -> None:
        """Put back what a server that already ran had; once, after the last trial.

        Raises:
            TunerError: The server does not take it.
        """


@dataclass(frozen=True)
class Installation:
    """A program to start, flags it always needs, and environment it always needs."""

    executable: Path
    flags: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


Model = TypeVar("Model", bound=ServedModel)
Client = TypeVar("Client")
Answer = TypeVar("Answer")

# How long a server that answers may take for an answer, in seconds,
ANSWER_TIMEOUT_S = 10.0
# or this many times as long as it took for the one before, for each of those that are asked for
# at once.
_ANSWER_PATIENCE = 5


class InstalledTarget(ABC, Generic[Model, Client]):
    """What targets share: a model under a space, served by an installation, asked by a client.

    `port` is the name of the port that takes the requests. `reloadable` are the kinds of settings
    that a server takes while it runs.
    """

    server: str
    port: str
    reloadable: ClassVar[frozenset[str]] = frozenset()
    warm_up_requests = 0

    def __init__(
        self, model: Model, space: SearchSpace, setup: TargetSetup, installation: Installation
    ) -> None:
        self.model = model.name
        self._model = model
        self._space = space
        self._setup = setup
        self.start_timeout_s = setup.start_timeout_s
        self._installation = installation
        self._answer_s = 0.0  # what the last answer took

    @classmethod
    def of(cls, model: Model, space: SearchSpace, setup: TargetSetup) -> Self:
        """The target of a job.

        Raises:
            ServerMissingError: The server is not installed, nor in a container.
        """
        return cls(model, space, setup, cls.installation(setup))

    @staticmethod
    @abstractmethod
    def installation(setup: TargetSetup) -> Installation:
        """What is started: the program of this machine, or of the image.

        Raises:
            ServerMissingError: It is not there.
        """

    @abstractmethod
    def _client(
        self, server: RunningServer, timeout_s: float = ANSWER_TIMEOUT_S
    ) -> AbstractContextManager[Client]:
        """Talks to the server."""

    @abstractmethod
    def _infer(self, client: Client, count: int) -> tuple[tuple[Tensor, ...], ...]:
        """The outputs for the fixed input, asked for `count` at once."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """Nothing: requests are made as they were asked for."""
        return ()

    def restore(self, server: RunningServer) -> None:
        """Nothing: a server of this kind cannot be changed while it runs."""

    def can_reload(self, before: Configuration, after: Configuration) -> bool:
        changed = {n for n in before.keys() | after.keys() if before.get(n) != after.get(n)}
        parameters = [self._space[name] for name in changed]
        return all(p.reload and p.sets.kind in self.reloadable for p in parameters)

    def infer(self, server: RunningServer, *, count: int = 1) -> tuple[tuple[Tensor, ...], ...]:
        timeout_s = max(ANSWER_TIMEOUT_S, _ANSWER_PATIENCE * count * self._answer_s)
        with self._client(server, timeout_s) as client:
            return self._timed_infer(client, count)

    def endpoint(self, server: RunningServer) -> Endpoint:
        return Endpoint(server.host, server.ports[self.port])

    def _first_outputs(self, client: Client, *, asked: str = "inference") -> tuple[Tensor, ...]:
        """Those of the first answer after a start or a reload.

        Raises:
            TrialFailure: There is none (`not_ready`).
        """
        try:
            [outputs] = self._timed_infer(client, 1)
        except ServerError as error:
            what = f"the first {asked} failed: {error}"
            if isinstance(error, ServerTimeoutError):
                what += "; a longer `--start-timeout` gives it more time"
            raise TrialFailure(Reason.NOT_READY, what) from None
        return outputs

    def _timed_infer(self, client: Client, count: int) -> tuple[tuple[Tensor, ...], ...]:
        began = time.monotonic()
        answers = self._infer(client, count)
        self._answer_s = time.monotonic() - began
        return answers

    def _verdicts(
        self,
        configuration: Configuration,
        verdict: Callable[[Setting, Value], SettingVerdict],
    ) -> dict[str, SettingVerdict]:
        return {n: verdict(self._space[n].sets, value) for n, value in configuration.items()}


def at_once(ask: Callable[[], Answer], count: int) -> tuple[Answer, ...]:
    """What `ask` returns, asked `count` times at once."""
    with ThreadPoolExecutor(count) as pool:
        asked = [pool.submit(ask) for _ in range(count)]
        return tuple(each.result() for each in asked)
