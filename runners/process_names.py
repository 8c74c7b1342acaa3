"""Names of processes that no other ever has: who owns a container, or runs a study."""

import os
import socket
from pathlib import Path

# States of a process that has ended, and that its parent has not asked after yet (proc(5)).
_ENDED = ("Z", "X")


def own_name() -> str:
    """Of this process: its machine, its number, and when it began."""
    return _name_of(os.getpid())


def is_here(name: str) -> bool:
    """Whether it is one of this machine (and of this namespace of numbers), so can be seen."""
    return name.partition("/")[0] == own_name().partition("/")[0]


def is_gone(name: str) -> bool:
    """Whether a process of this machine is no more; of another machine's, nobody can tell."""
    _, pid, _ = f"{name}//".split("/", 2)
    return is_here(name) and pid.isdigit() and _name_of(int(pid)) != name


def in_words(name: str) -> str:
    """For people: its number and its machine."""
    place, pid, _ = f"{name}//".split("/", 2)
    return f"process {pid} on {place.rpartition(':')[0]}"


def _name_of(pid: int) -> str:
    """Empty if there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # The name in parentheses may itself hold blanks; the 3rd field is the state, the 22nd the
    # start (proc(5)).
    fields = stat[stat.rindex(")") + 2 :].split()
    if fields[0] in _ENDED:
        return ""
    # Without its namespace, a number means other processes in another container.
    numbers = Path("/proc/self/ns/pid").stat().st_ino
    return f"{socket.gethostname()}:{numbers}/{pid}/{fields[19]}"
