"""What holds a host for the driver: it starts an agent there, and passes messages on.

It travels to the host by value and needs nothing but Python there, so that it can say what else a
host lacks. What measures and what is measured are processes of the agent, not of Ray's.
"""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic

# The agent is nobody's child: Ray kills the children of its workers before they can clean up.
_LAUNCH = """
import os, sys
if os.fork():
    os._exit(0)
os.setsid()
os.execv(sys.executable, [sys.executable, "-P", "-m", "tuner.fleet.agent", *sys.argv[1:]])
"""
# Seconds of silence after which the driver is taken for gone, or this host for cut off.
_DRIVER_SILENCE_S = 60.0
_POLL_S = 1.0
# Seconds that an agent has to end its server, its engine and itself.
_ENDING_S = 45.0
# Of what an agent said before it ended, so many bytes are kept.
_LAST_WORDS = 2000
_FACTS_S = 60.0


class HostActor:
    """One on each host; the methods are called by the driver, over Ray."""

    def __init__(self) -> None:
        self._messages: list[bytes] = []
        self._first = 0  # the number of the first of them
        self._ended = ""
        self._asked_s = monotonic()
        self._raylet = os.getppid()
        self._news = asyncio.Event()
        self._sending = ThreadPoolExecutor(1)
        self._pipe: Connection | None = None

    async def clock(self) -> float:
        """Seconds since 1970, by the clock of the host."""
        return datetime.now(UTC).timestamp()

    async def facts(self, *words: str) -> tuple[int, str, str]:
        """What `tuner.fleet.host_facts` prints: its exit status, and both outputs."""
        command = [sys.executable, "-P", "-m", "tuner.fleet.host_facts", *words]
        process = await asyncio.create_subprocess_exec(
            *command,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), _FACTS_S)
        except TimeoutError:
            process.kill()
            return -1, "", f"it took longer than {_FACTS_S:.0f} s"
        return process.returncode or 0, out.decode(), err.decode(errors="replace")

    async def start(self) -> None:
        """Start the agent."""
        ours, theirs = socket.socketpair()
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the agent lives
        with theirs:
            launcher = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-P", "-c", _LAUNCH, str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
            )
            await launcher.wait()
        self._asked_s = monotonic()
        self._pipe = Connection(ours.detach())
        loop = asyncio.get_running_loop()

        def listen() -> None:
            with suppress(EOFError, OSError):
                while True:
                    if self._pipe and self._pipe.poll(_POLL_S):
                        loop.call_soon_threadsafe(self._heard, self._pipe.recv_bytes())
                    elif self._is_forsaken:
                        os._exit(1)  # which the agent sees
            loop.call_soon_threadsafe(self._over, _last_words(errors.fileno()))

        threading.Thread(target=listen, daemon=True).start()

    async def tell(self, message: bytes) -> None:
        """Pass it on; returns once it is on its way."""
        self._asked_s = monotonic()
        pipe = self._pipe
        if pipe is not None:
            with suppress(OSError):  # that it ended is said by `said`
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._sending, pipe.send_bytes, message)

    async def said(self, after: int, timeout_s: float) -> tuple[list[bytes], str]:
        """The messages of the agent but for the first `after`; and how it ended, if it did.

        Waits for one so many seconds. Those before are known to the driver, and forgotten.
        """
        self._asked_s = monotonic()
        del self._messages[: after - self._first]
        self._first = max(self._first, after)
        if not self._messages and not self._ended:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), timeout_s)
        self._news.clear()
        return list(self._messages), self._ended

    async def end(self) -> bool:
        """Have the agent end all that it runs, and itself; whether it did."""
        if self._pipe is None:
            return True
        with suppress(OSError):
            shutting = socket.socket(fileno=os.dup(self._pipe.fileno()))
            with shutting:
                shutting.shutdown(socket.SHUT_WR)
        deadline_s = monotonic() + _ENDING_S
        while not self._ended and monotonic() < deadline_s:
            await asyncio.sleep(0.01)
        return bool(self._ended)

    @property
    def _is_forsaken(self) -> bool:
        """Whether the driver is silent, or Ray's daemon is gone, of which this is a child."""
        silence_s = monotonic() - self._asked_s
        return silence_s > _DRIVER_SILENCE_S or os.getppid() != self._raylet

    def _heard(self, message: bytes) -> None:
        self._messages.append(message)
        self._news.set()

    def _over(self, last_words: str) -> None:
        self._ended = last_words or "it was killed, or ended without a word"
        self._news.set()


def _environment() -> dict[str, str]:
    """As this process was started with: Ray sets variables in it that servers heed.

    Among them are CUDA_VISIBLE_DEVICES, empty without GPUs that Ray counts, and OMP_NUM_THREADS.
    """
    begun = Path("/proc/self/environ").read_bytes().split(b"\0")
    pairs = (os.fsdecode(each).partition("=") for each in begun if b"=" in each)
    return {name: value for name, _, value in pairs if not name.startswith("RAY_")}


def _last_words(file: int) -> str:
    size = os.fstat(file).st_size
    kept = os.pread(file, _LAST_WORDS, max(0, size - _LAST_WORDS))
    return kept.decode(errors="replace").strip()
