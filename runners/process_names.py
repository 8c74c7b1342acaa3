"""Names of processes that no other ever has: who owns a container, or runs a study."""

import os
import socket
from functools import cache
from pathlib import Path

# States of a process that has ended, and that its parent has not asked after yet (proc(5)).
_ENDED = ("Z", "X")


def own_name() -> str:
    """Of this process: its machine, its number, when it began, in which start of the machine."""
    return name_of(os.getpid())


def is_here(name: str) -> bool:
    """Whether it is one of this machine (and of this namespace of numbers), so can be seen."""
    return name.partition("/")[0] == _place()


def is_gone(name: str) -> bool:
    """Whether a process of this machine is no more; of another machine's, nobody can tell."""
    _, pid, _ = f"{name}//".split("/", 2)
    # Names that an older version wrote do not say in which start of the machine.
    return is_here(name) and pid.isdigit() and not f"{name_of(int(pid))}/".startswith(f"{name}/")


def machine() -> str:
    """The name of this machine, or of this container."""
    return socket.gethostname()


def is_of_another_start(name: str) -> bool:
    """Whether it is none of this start of this machine, or of this container."""
    return not (is_here(name) and name.endswith(f"/{_boot()}"))


def in_words(name: str) -> str:
    """For people: its number and its machine."""
    place, pid, _ = f"{name}//".split("/", 2)
    return f"process {pid} on {place.rpartition(':')[0]}"


def name_of(pid: int) -> str:
    """Of the process with this number; empty if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # The name in parentheses may itself hold blanks; the 3rd field is the state, the 22nd the
    # start (proc(5)).
    fields = stat[stat.rindex(")") + 2 :].split()
    if fields[0] in _ENDED:
        return ""
    return f"{_place()}/{pid}/{fields[19]}/{_boot()}"


def _place() -> str:
    """Without its namespace, a number means other processes in another container."""
    return f"{machine()}:{Path('/proc/self/ns/pid').stat().st_ino}"


@cache
def _boot() -> str:
    """This start of the machine; of another start, no process is left (random(4))."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().partition("-")[0]
