"""Starts a load engine, as the tuner does, and is killed or interrupted by a test; a program."""

import signal
import sys

from tests.load.runs import REQUESTS, load_run
from tuner.load.client import LoadEngine
from tuner.load.profile import ClosedLoop, Endpoint


def main(port: int, duration_s: float) -> None:
    """Report the engine's process, then what it measured."""
    with LoadEngine() as engine:
        print(engine.pids[0], flush=True)  # noqa: T201 - this is what is told
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        engine.prepare(REQUESTS)
        run = load_run(Endpoint("127.0.0.1", port), ClosedLoop(2), duration_s=duration_s)
        print(engine.measure(run).requests, flush=True)  # noqa: T201
        signal.pause()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
