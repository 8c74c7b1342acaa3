"""What a driver tells the agent of a host; it says what is in `crew`, and that it is ready.

Messages are pickled, so each end trusts the other one with its account, as Ray itself does: the
boundary is the cluster, and who is let into that (RAY_AUTH_TOKEN, the network) can run programs on
every host and on the driver's machine. Nothing that comes from elsewhere is unpickled: what a
server under test answers never is, and files travel as bytes.
"""

import pickle
from dataclasses import dataclass
from typing import Any

from tuner.capacity.probes import Beat
from tuner.fleet.crew import Attempt
from tuner.fleet.travel import Parcel
from tuner.hardware import Hardware


@dataclass(frozen=True)
class ExpectedStudy:
    """What the driver's study is of: a host whose files say otherwise cannot measure for it."""

    study: str
    model_fingerprint: str
    space_fingerprint: str


@dataclass(frozen=True)
class Enrol:
    """The first message: the host's name, and which files will come."""

    host: str
    parcel: Parcel
    expected: ExpectedStudy


@dataclass(frozen=True)
class Chunk:
    """The next bytes of the files of the parcel, one file after the other."""

    content: bytes


@dataclass(frozen=True)
class Begin:
    attempt: Attempt


@dataclass(frozen=True)
class Raise:
    """What a trial that runs has to beat by now."""

    attempt: int
    beat: Beat


@dataclass(frozen=True)
class GiveUp:
    attempt: int


@dataclass(frozen=True)
class Rest:
    """End the server until the next attempt."""


@dataclass(frozen=True)
class Ready:
    """The host can begin; `image_digest` is empty without containers, `note` is a sentence."""

    hardware: Hardware
    image_digest: str = ""
    note: str = ""


def packed(message: object) -> bytes:
    return pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)


def unpacked(content: bytes) -> Any:
    """The message; it is of the same version of the tuner."""
    return pickle.loads(content)  # noqa: S301 - both ends are within the cluster, see above
