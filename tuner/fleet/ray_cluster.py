"""The one door to Ray: which hosts a cluster has, and what is asked of an actor on each."""

import atexit
import logging
import os
import signal
import socket
import threading
import warnings
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from time import monotonic
from typing import Any, TypeVar

from runners.environment import set_own

# Ray prints what its daemons say into the driver's output, whatever `log_to_driver` is, but for
# lines that match this (Ray, "Configuring logging"). It is read when Ray is loaded.
set_own("RAY_DEDUP_LOGS_SKIP_REGEX", "$")

import ray
from grpc import Call, RpcError
from ray import cloudpickle
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    ActorUnschedulableError,
    AuthenticationError,
    GetTimeoutError,
    RayError,
)
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tuner.errors import TunerError
from tuner.fleet import actor
from tuner.fleet.actor import HostActor
from tuner.fleet.calls import Calls, StuckError

RESOURCE = "tuner_host"
"""A node of the cluster that has it, once, is a host."""
CLIENT = "ray://"
AUTO = "auto"
# How long whoever is asked may take to take a connection, in seconds.
_KNOCK_S = 5.0
_LOOK_S = 1.0
# Without its head a program of Ray hangs in its next question, and after 60 s Ray ends it without
# a word to anybody (`gcs_rpc_server_reconnect_timeout_s`): the study has ended by then.
_AWAY_S = 30.0
# An answer that has come is there within so many seconds,
_ANSWER_S = 30.0
# a chunk of files at the head within so many,
_PUT_S = 300.0
# and a connection is closed within so many.
_SHUTDOWN_S = 10.0
_MOST_CONNECTS = 3
_FORK_FAILED = ("Starting Ray client server failed", "psutil.ZombieProcess")
SEE_RAY = "look into Ray's log there (`/tmp/ray/session_latest/logs`), then start Ray anew"
START_HINT = f"""start Ray on each host with `--resources '{{"{RESOURCE}": 1}}'`"""

T = TypeVar("T")


class HostGoneError(TunerError):
    """A host did not answer a call, and will not."""


@dataclass(frozen=True)
class Node:
    """A host as Ray knows it: one that comes back has another `id`."""

    id: str
    name: str
    address: str


class Answer:
    """What a host was asked for, and may answer later; `ref` is how Ray calls it.

    To compare or hash that one takes a question to the cluster.
    """

    def __init__(self, ref: Any) -> None:
        self.ref = ref


class RayCluster:
    """A connection to a cluster of Ray, for as long as `connected` lasts.

    Ray's client waits for ever for a head that has died, whatever it was asked; so whatever is
    asked of Ray is asked by a thread, and once the connection is lost, nothing more is.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._head = address
        if not address.startswith(CLIENT):
            self._head = str(ray.get_runtime_context().gcs_address)
        self._calls = Calls()
        self._fault = ""
        self._heard_s = monotonic()
        self._nodes: tuple[Node, ...] = ()

    @property
    def is_lost(self) -> bool:
        """Whether nothing can be asked any more."""
        return bool(self._fault)

    def made(self, call: Callable[[], T], lasts_s: float = 0.0) -> T:
        """What this call of Ray returns, that lasts so many seconds, or as long as Ray is away.

        Raises:
            TunerError: The connection is lost.
            RayError: As Ray says.
        """
        if self._fault:
            raise _lost(self.address, self._fault)
        try:
            return self._calls.made(call, lasts_s + _AWAY_S)
        except (StuckError, ConnectionError, RpcError) as error:
            self._fault = _in_short(error)
            raise _lost(self.address, self._fault) from None

    def asked(self, call: Callable[[], T], lasts_s: float = 0.0) -> T:
        """As `made`, where an error of Ray says that the connection is lost as well."""
        try:
            return self.made(call, lasts_s)
        except RayError as error:
            raise _lost(self.address, _in_short(error)) from None

    def nodes(self) -> tuple[Node, ...]:
        """The hosts that are there now; those before, as long as the head may come back.

        Raises:
            TunerError: The connection is lost.
        """
        if fault := _knock(self._head, _LOOK_S):
            if monotonic() - self._heard_s > _AWAY_S:
                self._fault = fault
                raise _lost(self.address, fault)
            return self._nodes
        self._heard_s = monotonic()
        self._nodes = tuple(
            Node(each["NodeID"], each["NodeManagerHostname"], each["NodeManagerAddress"])
            for each in self.asked(ray.nodes)
            if each["Alive"] and each["Resources"].get(RESOURCE, 0) >= 1
        )
        return self._nodes

    def actor(self, node: Node, *, alone: bool) -> "RemoteHost":
        """An actor on the host, which nobody else has meanwhile if `alone`."""
        options = {
            "num_cpus": 0,
            "resources": {RESOURCE: 1} if alone else {},
            "max_restarts": 0,
            "max_task_retries": 0,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(node.id, soft=False),
        }
        handle = self.asked(lambda: ray.remote(HostActor).options(**options).remote())
        return RemoteHost(handle, self)

    def first(self, answers: Sequence[Answer], timeout_s: float) -> list[Answer]:
        """Those that came, at least one unless the time is over before.

        Raises:
            TunerError: The connection is lost.
        """

        def waited() -> list[Answer]:
            by_ref = {each.ref: each for each in answers}
            ready, _ = ray.wait(list(by_ref), num_returns=1, timeout=timeout_s)
            if ready and len(by_ref) > 1:
                ready, _ = ray.wait(list(by_ref), num_returns=len(by_ref), timeout=0)
            return [by_ref[each] for each in ready]

        return self.asked(waited, timeout_s)

    def shared(self, content: bytes) -> Answer:
        """`content` where all hosts can have it, as long as somebody keeps what is returned."""
        return Answer(self.asked(lambda: ray.put(content), _PUT_S))

    def close(self) -> None:
        """End the connection; a client that cannot is left alone, to end with the process."""
        try:
            Calls().made(ray.shutdown, _SHUTDOWN_S)
        except StuckError:
            atexit.unregister(ray.shutdown)


class RemoteHost:
    """The actor of one host; each method asks for what `answer` gives once it is there."""

    def __init__(self, handle: Any, cluster: RayCluster) -> None:
        self._handle = handle
        self._cluster = cluster

    def ask(self, method: str, *given: Any) -> Answer:
        """Ask for what the actor's method gives; what is `given` may be an answer, too.

        Raises:
            TunerError: The connection is lost.
        """
        refs = [each.ref if isinstance(each, Answer) else each for each in given]
        return Answer(self._cluster.asked(lambda: getattr(self._handle, method).remote(*refs)))

    def answer(self, asked: Answer, timeout_s: float = _ANSWER_S) -> Any:
        """What was asked for; waits for it, no longer than so many seconds.

        Raises:
            HostGoneError: It will not come.
            TunerError: The connection is lost.
        """
        try:
            return self._cluster.made(lambda: ray.get(asked.ref, timeout=timeout_s), timeout_s)
        except GetTimeoutError:
            raise HostGoneError("it did not answer in time") from None
        except ActorUnavailableError:
            raise HostGoneError("Ray cannot reach it any more") from None
        except (ActorDiedError, ActorUnschedulableError):
            why = "what held it for the driver has ended, or its machine has"
            raise HostGoneError(why) from None
        except RayError as error:
            raise HostGoneError(_in_short(error)) from None

    def tell(self, message: bytes) -> None:
        """Pass a message on to the agent; that this failed is seen by what else is asked."""
        with suppress(RayError, TunerError):
            self._cluster.made(lambda: self._handle.tell.remote(message))

    def kill(self) -> None:
        """End it at once; what it started sees that, and ends."""
        with suppress(RayError, TunerError):
            self._cluster.made(lambda: ray.kill(self._handle))


def name_of(node: Node, taken: Container[str]) -> str:
    """That of the machine; with a number, where several nodes are on one."""
    names = (node.name if n == 1 else f"{node.name}-{n}" for n in count(1))
    return next(name for name in names if name not in taken)


@contextmanager
def connected(address: str) -> Iterator[RayCluster]:
    """The cluster at `auto`, `HOST:PORT` or `ray://HOST:PORT`.

    Raises:
        TunerError: There is none, or it has another version of Ray or Python.
    """
    if fault := _knock(_where(address), _KNOCK_S):
        raise _no_connection(_where(address), fault)
    cloudpickle.register_pickle_by_value(actor)
    try:
        with _own_signals(), _in_words(_where(address)):
            _connect(address)
        cluster = RayCluster(address)
        try:
            yield cluster
        finally:
            cluster.close()
    finally:
        cloudpickle.unregister_pickle_by_value(actor)


def _connect(address: str) -> None:
    """Ray's server for clients forks one for each; now and then it fails, and then works."""
    for left in reversed(range(_MOST_CONNECTS)):
        try:
            with warnings.catch_warnings(action="ignore", category=UserWarning):
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except ConnectionError as error:
            if not left or not any(each in str(error) for each in _FORK_FAILED):
                raise
            ray.shutdown()
        else:
            return


def _knock(address: str, timeout_s: float) -> str:
    """Why nobody listens there, where Ray would try for minutes; empty if somebody does."""
    host, _, port = address.removeprefix(CLIENT).rpartition(":")
    if not port.isdecimal():
        return ""
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout_s).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _where(address: str) -> str:
    return os.environ.get("RAY_ADDRESS") or AUTO if address == AUTO else address


@contextmanager
def _in_words(address: str) -> Iterator[None]:
    try:
        yield
    except AuthenticationError:
        raise TunerError(
            f"the cluster of Ray at `{address}` wants another token than this one has",
            hint="set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN here as they are there",
        ) from None
    except (RayError, ConnectionError, RuntimeError, ValueError) as error:
        raise _no_connection(address, _in_short(error)) from None


def _no_connection(address: str, why: str) -> TunerError:
    _, _, port = address.rpartition(":")
    if not port.isdecimal():
        do = "start it here: `ray start --address HEAD:6379`, or name its head: ray://HEAD:10001"
    else:
        option = "ray-client-server-port" if address.startswith(CLIENT) else "port"
        do = f"start it there: `ray start --head --{option}={port}`, and let this machine reach it"
    return TunerError(
        f"no connection to Ray at `{address}`: {why}",
        hint=f"{do}; Ray, Python, RAY_AUTH_MODE and RAY_AUTH_TOKEN must be the same on both",
    )


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself: the tuner has to hear of it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    own = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, own)


def _lost(address: str, why: str) -> TunerError:
    return TunerError(
        f"the connection to Ray at `{address}` is lost: {why}",
        hint="once it is back, `tuner resume` goes on with the study",
    )


def _in_short(error: Exception) -> str:
    """The first line of what Ray says, and the last one where a traceback stands between."""
    if isinstance(error, Call) and error.details():
        return str(error.details())
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return f"{lines[0]} {lines[-1]}" if lines[0].endswith(":") and lines[1:] else lines[0]
