"""What strikes a host of a fleet; when it returns, the host is there again, or on the way back."""

import time
from collections.abc import Callable

from benchmarks.fleet_hosts import Fleet, Host

Strike = Callable[[Fleet, Host], None]

# A host that is gone stays so longer than Ray takes to notice, in seconds, or shorter.
_LONG_S, _SHORT_S = 45.0, 4.0
_FLAPS = 5


def _power(_: Fleet, host: Host) -> None:
    """It is off, and comes back."""
    host.switch_off()
    time.sleep(_SHORT_S)
    host.start()


def _killed(word: str) -> Strike:
    def strike(_: Fleet, host: Host) -> None:
        host.kill(word)

    return strike


def _raylet(_: Fleet, host: Host) -> None:
    """Ray dies there, and nothing else; somebody starts it again."""
    host.kill("raylet/raylet")
    time.sleep(_SHORT_S)
    host.stop()
    host.start()


def _stopped(_: Fleet, host: Host) -> None:
    """As `ray stop` does; then it is started again."""
    host.stop()
    host.start()


def _cut_off(_: Fleet, host: Host) -> None:
    """So long that Ray gives it up; it ends itself then, and is started again."""
    with host.machine.away():
        time.sleep(_LONG_S)
    host.stop()
    host.start()


def _cut_off_shortly(_: Fleet, host: Host) -> None:
    with host.machine.away():
        time.sleep(_SHORT_S)


def _flaps(_: Fleet, host: Host) -> None:
    host.machine.flap(_FLAPS, down_s=_SHORT_S, up_s=1.0)


def _deaf(fleet: Fleet, host: Host) -> None:
    """It hears nothing of the head, which hears it."""
    with host.machine.deaf_to(fleet.head.machine):
        time.sleep(_LONG_S)
    host.stop()
    host.start()


STRIKES: dict[str, Strike] = {
    "power off": _power,
    "kill -9 of Ray": _raylet,
    "ray stop": _stopped,
    "kill -9 of the agent": _killed("tuner.fleet.agent"),
    "kill -9 of the actor": _killed("ray::HostActor"),
    "cut off for 45 s": _cut_off,
    "cut off for 4 s": _cut_off_shortly,
    "network comes and goes": _flaps,
    "hears nothing for 45 s": _deaf,
}
