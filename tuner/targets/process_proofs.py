"""What the processes of a server prove of its settings: their environment and their libraries.

Sources: proc(5) for `environ` and `maps`; ld.so(8) for LD_PRELOAD, whose libraries are silently
left out where they are not found.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from tuner.errors import HIDDEN, is_secret
from tuner.records import Grade, SettingVerdict
from tuner.space.expressions import Value, value_text
from tuner.space.settings import EnvironmentVariables, Setting
from tuner.targets.system_libraries import PRELOAD

# The init process of a container; statically linked, it has no libraries.
_INIT = "docker-init"


ACCEPTED = SettingVerdict(Grade.ACCEPTED)
CONFIRMED = SettingVerdict(Grade.CONFIRMED)

Judge = Callable[[str, Value], SettingVerdict]
"""The verdict on what the server calls by a name, and its value."""


def refuted(found: str) -> SettingVerdict:
    """The verdict on a setting where `found` was found instead."""
    return SettingVerdict(Grade.REFUTED, found)


def judged(sets: Setting, value: Value, pid: int, **judges: Judge) -> SettingVerdict:
    """The verdict of the judge for this kind of setting on a server whose first process is `pid`.

    Accepted is what is left out, or has no judge. Variables of the environment need none.
    """
    if value == sets.omit:
        return ACCEPTED
    if isinstance(sets, EnvironmentVariables):
        return environment_verdict(pid, dict.fromkeys(sets.names, value_text(value)))
    judge = judges.get(sets.kind)
    return judge(sets.names[0], value) if judge else ACCEPTED


def family(pid: int) -> tuple[psutil.Process, ...]:
    """The server's first process and all that descend from it; none if they cannot be seen."""
    with suppress(psutil.Error, ValueError):
        server = psutil.Process(pid)
        others = tuple(server.children(recursive=True))
        return others if server.name() == _INIT else (server, *others)
    return ()


def command_lines(pid: int) -> list[tuple[psutil.Process, list[str]]]:
    """The processes of the family that can be looked into, with the words they began with."""
    found = []
    for process in family(pid):
        with suppress(psutil.Error):  # it ends, or is another user's
            found.append((process, process.cmdline()))
    return found


def environment_verdict(pid: int, expected: Mapping[str, str]) -> SettingVerdict:
    """Whether the server and its worker processes were started with these variables.

    The libraries that LD_PRELOAD names must be loaded, which proves more.
    """
    if PRELOAD in expected:
        return preload_verdict(family(pid), expected[PRELOAD].split(":"))
    for process in family(pid):
        with suppress(psutil.Error):  # it ends, or is another user's
            environment = process.environ()
            for name, value in expected.items():
                if (found := environment.get(name)) != value:
                    shown = HIDDEN if is_secret(name) else found
                    return refuted(f"process {process.name()} has {name}={shown}")
    return ACCEPTED


def preload_verdict(
    processes: Iterable[psutil.Process], libraries: Iterable[str]
) -> SettingVerdict:
    """Whether the libraries are in every one of the processes that can be looked into."""
    looked = False
    for process in processes:
        with suppress(OSError, psutil.Error):
            maps = Path(f"/proc/{process.pid}/maps").read_text()
            looked = looked or bool(maps)
            for library in libraries if maps else ():
                if Path(library).name not in maps:
                    return refuted(f"process {process.name()} has not loaded {library}")
    return CONFIRMED if looked else ACCEPTED
