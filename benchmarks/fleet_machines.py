"""Machines on a network, each in namespaces of its own: as good as separate, but on one kernel.

A machine has its own address, host name, process numbers, /tmp and /dev/shm. It shares with the
others the processors, the clock and all other folders. All that runs on it ends with its first
process, which ends with this one, even if that is killed. Needs root.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
NETWORK = "10.77.0"
_TMP = Path("/tmp")  # noqa: S108 - each machine has one of its own
# How long processes that were killed may take to be gone.
_GONE_S = 20.0
# The first process of a machine. As it ignores the end of children, the kernel takes up those
# whose parent is gone: none stays as a zombie.
_INIT = (
    "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN); print(flush=True)\n"
    "while True: signal.pause()"
)
# Their words are the first process' Python and its program; then the host name, what is to be its
# /etc/hosts and its /tmp, and what /tmp is to show besides.
_SWITCH = 'exec "$1" -c "$2"'
_MACHINE = """
python="$1"; init="$2"; hostname "$3"; hosts="$4"; tmp="$5"; shift 5; set -e
mount --bind "$hosts" /etc/hosts
for each in "$@"; do
    mkdir -p "$tmp/${each#/tmp/}"; mount --rbind "$each" "$tmp/${each#/tmp/}"
done
mount --rbind "$tmp" /tmp
mount -t tmpfs -o size=512m tmpfs /dev/shm
exec "$python" -c "$init"
"""
_ALONE = ("setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--pid", "--fork")


@dataclass(frozen=True)
class _First:
    """The first process of a machine, under its number outside, and the one that keeps it."""

    keeper: "subprocess.Popen[str]"
    pid: int

    def end(self) -> None:
        """All that runs there is gone afterwards."""
        left = [psutil.Process(self.pid), *psutil.Process(self.pid).children(recursive=True)]
        os.kill(self.pid, signal.SIGKILL)
        self.keeper.communicate()
        if psutil.wait_procs(left, timeout=_GONE_S)[1]:
            raise RuntimeError("processes of a machine are not gone with its first one")


def _first(namespaces: Sequence[str], script: str, words: Sequence[str] = ()) -> _First:
    """Begun, with its mounts made.

    Raises:
        RuntimeError: It could not be.
    """
    arguments = ["sh", "-c", script, "sh", sys.executable, _INIT, *words]
    command = [*_ALONE, "--kill-child=KILL", *namespaces, *arguments]
    keeper = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if keeper.stdout is None or not keeper.stdout.readline():
        raise RuntimeError(f"no machine could be made: {keeper.communicate()[1]}")
    [child] = psutil.Process(keeper.pid).children()
    return _First(keeper, child.pid)


def _run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


@dataclass
class Switch:
    """What machines are plugged into; there is no way out of it."""

    _process: _First = field(default_factory=lambda: _first((), _SWITCH))

    def __post_init__(self) -> None:
        self.ip("link", "add", "switch", "type", "bridge")
        self.ip("link", "set", "switch", "up")

    def ip(self, *words: str) -> None:
        _run("nsenter", "--target", str(self._process.pid), "--net", "ip", *words)

    def close(self) -> None:
        self._process.end()


class Machine:
    """One that is up as soon as it is made."""

    def __init__(
        self, switch: Switch, name: str, number: int, folder: Path, shown: Sequence[Path] = ()
    ) -> None:
        """In `folder` there is `hosts`; `shown` are folders below /tmp that all have in common."""
        self.name = name
        self.address = _address(number)
        self.tmp = folder / name / "tmp"
        self._hosts = folder / "hosts"
        self.tmp.mkdir(parents=True)
        self.tmp.chmod(0o1777)
        self._switch = switch
        self._port = f"port{number}"
        needed = (ROOT, Path(sys.prefix), *shown)
        self._shown = [str(path) for path in needed if _TMP in path.parents]
        self._first: _First | None = None
        self.switch_on()

    @property
    def pid(self) -> int:
        """Of its first process, outside.

        Raises:
            RuntimeError: It is off.
        """
        if self._first is None:
            raise RuntimeError(f"{self.name} is switched off")
        return self._first.pid

    @property
    def is_on(self) -> bool:
        return self._first is not None

    def switch_on(self) -> None:
        """Boot it; /tmp has what it had."""
        namespaces = ("--uts", "--ipc", "--mount", "--mount-proc")
        words = (self.name, str(self._hosts), str(self.tmp), *self._shown)
        self._first = _first(namespaces, _MACHINE, words)
        peer = ("peer", "name", "eth0", "netns", str(self.pid))
        self._switch.ip("link", "add", self._port, "type", "veth", *peer)
        self._switch.ip("link", "set", self._port, "master", "switch", "up")
        for command in (
            ("link", "set", "lo", "up"),
            ("addr", "add", f"{self.address}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
        ):
            self.run("ip", *command)

    def switch_off(self) -> None:
        """As a loss of power does: nothing there is told."""
        if self._first is not None:
            self._first.end()
            self._first = None

    def inside(self, words: Sequence[str]) -> list[str]:
        """The command, run on the machine."""
        namespaces = ("--net", "--uts", "--ipc", "--mount", "--pid")
        return ["nsenter", "--target", str(self.pid), *namespaces, *words]

    def run(self, *words: str, environment: Mapping[str, str] | None = None) -> str:
        """What it prints.

        Raises:
            CalledProcessError: It failed.
        """
        command = self.inside(words)
        return subprocess.run(
            command, check=True, capture_output=True, text=True, env=environment
        ).stdout

    def processes(self, *words: str) -> list[psutil.Process]:
        """Those that run there whose command has one of these words in it; all without words."""
        if self._first is None:
            return []
        space = _process_space(self.pid)
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                command = " ".join(process.cmdline())
                wanted = not words or any(word in command for word in words)
                if wanted and process.pid != self.pid and _process_space(process.pid) == space:
                    found.append(process)
        return found

    def cut_off(self) -> None:
        """Nothing that it sends arrives anywhere, and it is told nothing of that."""
        self._switch.ip("link", "set", self._port, "nomaster")

    def join(self) -> None:
        """The end of `cut_off`."""
        self._switch.ip("link", "set", self._port, "master", "switch")

    @contextmanager
    def away(self) -> Iterator[None]:
        self.cut_off()
        try:
            yield
        finally:
            if self.is_on:
                self.join()

    @contextmanager
    def deaf_to(self, other: "Machine") -> Iterator[None]:
        """Nothing that the other one sends arrives here, though what is sent from here does."""
        rule = ("INPUT", "--source", other.address, "--jump", "DROP")
        self.run("iptables", "--append", *rule)
        try:
            yield
        finally:
            if self.is_on:
                self.run("iptables", "--delete", *rule)

    def flap(self, times: int, down_s: float, up_s: float) -> None:
        """Cut it off and have it join, again and again."""
        for _ in range(times):
            with self.away():
                time.sleep(down_s)
            time.sleep(up_s)


def _address(number: int) -> str:
    return f"{NETWORK}.{number}"


def _process_space(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/pid").readlink())


@contextmanager
def machines(
    names: Sequence[str], folder: Path, shown: Sequence[Path] = ()
) -> Iterator[list[Machine]]:
    """So many on one switch; all that ran on them is gone afterwards."""
    with ExitStack() as stack:
        folder.mkdir(exist_ok=True)
        lines = [f"{_address(number)} {name}\n" for number, name in enumerate(names, start=1)]
        (folder / "hosts").write_text("".join(["127.0.0.1 localhost\n", *lines]))
        switch = Switch()
        stack.callback(switch.close)
        made = []
        for number, name in enumerate(names, start=1):
            machine = Machine(switch, name, number, folder, (folder, *shown))
            stack.callback(machine.switch_off)
            made.append(machine)
        yield made
