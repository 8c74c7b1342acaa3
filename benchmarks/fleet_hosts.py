"""A fleet of real Ray nodes, each on a machine of its own (see fleet_machines).

The head is the driver's machine, and measures nothing. Each host is a machine with a raylet that
has the resource `tuner_host`. Ray's own time limits are left as they are.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.chaos import wait_until
from benchmarks.fleet_machines import ROOT, Machine, machines

TUNER = Path(sys.executable).with_name("tuner")
_RAY = Path(sys.executable).with_name("ray")
_PORT = 6379
_CLIENT_PORT = 10001
# Ray's least is 75 MiB; nothing large travels through it.
_OBJECT_STORE_BYTES = 80 * 2**20
_STARTED = "Ray runtime started."
_STARTS_S = 60.0
# What belongs to the study on a host: the agent, the load engine, the server and its guardian.
STUDYS = (
    "tuner.fleet.agent",
    "tuner.load.engine",
    "guardian.py",
    "tritonserver",
    "tuner-workspace-",
)


@dataclass
class Host:
    """A machine and its Ray; `environment` and `ray` are its own where they differ."""

    machine: Machine
    log: Path
    options: Sequence[str]
    environment: Mapping[str, str]
    ray: Path = _RAY
    _ray: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def name(self) -> str:
        return self.machine.name

    def start(self) -> None:
        """Ray, once it has joined; the machine is switched on if it is off.

        Raises:
            RuntimeError: It ended at once; its last words are the message.
        """
        if not self.machine.is_on:
            self.machine.switch_on()
        address = ("--node-ip-address", self.machine.address)
        store = ("--object-store-memory", str(_OBJECT_STORE_BYTES))
        command = [str(self.ray), "start", *self.options, *address, *store]
        command += ["--num-cpus", "0", "--disable-usage-stats", "--block"]
        with self.log.open("wb") as log:
            self._ray = subprocess.Popen(
                self.machine.inside(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )
        ray = self._ray
        wait_until(
            lambda: _STARTED in self.log.read_text() or ray.poll() is not None,
            f"Ray on {self.name}",
            _STARTS_S,
        )
        if ray.poll() is not None:
            raise RuntimeError(self.log.read_text()[-2000:])

    def kill(self, word: str) -> None:
        """SIGKILL to those of its processes whose command has this word in it."""
        for process in self.machine.processes(word):
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def switch_off(self) -> None:
        self.machine.switch_off()
        self._forget()

    def stop(self) -> None:
        """Ray ends as with `ray stop`: it says that it goes."""
        if self._ray is not None and self._ray.poll() is None:
            os.killpg(self._ray.pid, signal.SIGTERM)
            self._ray.wait(_STARTS_S)
        self._forget()

    def left(self) -> list[str]:
        """What runs there for a study."""
        found = []
        for process in self.machine.processes(*STUDYS):
            with suppress(psutil.Error):
                found.append(" ".join(process.cmdline())[:120])
        return found

    def folders(self) -> list[str]:
        """What lies there of a study."""
        return [path.name for path in self.machine.tmp.glob("tuner-*")]

    def _forget(self) -> None:
        if self._ray is not None:
            self._ray.wait(_STARTS_S)
            self._ray = None


@dataclass(frozen=True)
class Fleet:
    """A head with a driver's commands, and hosts that have joined."""

    head: Host
    hosts: Sequence[Host]
    folder: Path
    environment: Mapping[str, str]

    @property
    def client(self) -> str:
        """What `--fleet` takes from a machine that is no part of it."""
        return f"ray://{self.head.machine.address}:{_CLIENT_PORT}"

    def begin(self, words: Sequence[str], log: Path) -> "subprocess.Popen[bytes]":
        """A command on the driver's machine, in a session of its own."""
        with log.open("ab") as file:
            return subprocess.Popen(
                self.head.machine.inside(words),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """A command on the driver's machine, to its end."""
        return subprocess.run(
            self.head.machine.inside(words),
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **self.environment},
        )

    def left(self) -> dict[str, list[str]]:
        """What runs for a study, on each machine where something does."""
        found = {each.name: each.left() for each in (self.head, *self.hosts) if each.machine.is_on}
        return {name: those for name, those in found.items() if those}


def names(number: int) -> list[str]:
    return [f"host-{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"[:number]]


@contextmanager
def fleet(
    number: int,
    *,
    environments: Mapping[str, Mapping[str, str]] | None = None,
    started: bool = True,
    shown: Sequence[Path] = (),
) -> Iterator[Fleet]:
    """So many hosts; nothing of them is left afterwards.

    Args:
        number: Of hosts, beside the head.
        environments: What a host has in its environment beyond what all have, by its name.
        started: Whether Ray is started on the hosts, and not on the head alone.
        shown: Folders below /tmp that machines are to see, beside the fleet's own.
    """
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    common = {
        **token,
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": str(ROOT),
        "PATH": f"{_RAY.parent}:{os.environ['PATH']}",
    }
    with tempfile.TemporaryDirectory(prefix="fleet-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with machines(["head", *names(number)], folder / "machines", (folder, *shown)) as made:
            first, *others = made
            head = Host(first, folder / "head.log", _head_options(), common)
            head.start()
            joined = f"{first.address}:{_PORT}"
            resource = ("--resources", json.dumps({"tuner_host": 1}))
            hosts = [
                Host(
                    machine,
                    folder / f"{machine.name}.log",
                    ("--address", joined, *resource),
                    {**common, **(environments or {}).get(machine.name, {})},
                )
                for machine in others
            ]
            if started:
                for host in hosts:
                    host.start()
            yield Fleet(head, hosts, folder, common)


def _head_options() -> tuple[str, ...]:
    ports = ("--port", str(_PORT), "--ray-client-server-port", str(_CLIENT_PORT))
    return ("--head", *ports, "--include-dashboard=false")
