"""Stands by until the tuner ends, and does what the tuner did not live to do.

Run as a program of its own, in a session of its own, so that neither Ctrl-C nor `kill -9` of the
tuner reaches it. It reads its order from standard input: a pickled callable without arguments, of
as many bytes as its second argument says; its first is the tuner's pid. One byte more means that
there is nothing left to do. Nothing is unpickled, hence imported, before that is needed.
"""

import os
import pickle
import select
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self


class Keeper:
    """Calls `action` in another process once the `with` block has ended, however that happened.

    `action` is pickled. Leaving the block waits until it is done.
    """

    def __init__(self, action: Callable[[], object]) -> None:
        self._order = pickle.dumps(action)
        self._word = b""

    def __enter__(self) -> Self:
        import_path = os.pathsep.join(folder or str(Path.cwd()) for folder in sys.path)
        numbers = str(os.getpid()), str(len(self._order))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tuner.clients.keeper", *numbers],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": import_path},
            start_new_session=True,
        )
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):  # it was killed
                self._process.stdin.write(self._order)
                self._process.stdin.flush()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(self._word)

    def dismiss(self) -> None:
        """There is nothing left to do: end without calling the action."""
        self._word = b"."


def main() -> None:
    tuner_pid, size = (int(number) for number in sys.argv[1:])
    order = sys.stdin.buffer.read(size)
    if len(order) == size and not _is_dismissed(tuner_pid):
        action = pickle.loads(order)  # noqa: S301 - from the process that started this one
        action()


def _is_dismissed(tuner_pid: int) -> bool:
    """Wait for the tuner's last word or its death."""
    poll = select.poll()
    poll.register(0, select.POLLIN)
    # A forked child of the tuner may hold the pipe open after the tuner's death; where the kernel
    # has no pidfd the pipe alone has to do.
    try:
        poll.register(os.pidfd_open(tuner_pid), select.POLLIN)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    os.set_blocking(0, False)
    poll.poll()
    return bool(sys.stdin.buffer.read(1))


if __name__ == "__main__":
    main()
