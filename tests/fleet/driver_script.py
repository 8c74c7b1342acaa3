"""A driver that waits for a host, at the address that is its argument; says what became of it.

It waits for a head that is gone no longer than a test does. Ray's server for clients may fail to
start one for it on a busy machine: it asks again.
"""

import sys

from tuner.errors import TunerError
from tuner.fleet import ray_cluster
from tuner.fleet.ray_cluster import connected

_ATTEMPTS = 3


def main(address: str) -> str:
    """Returns the error that ends it."""
    ray_cluster._AWAY_S, ray_cluster._SHUTDOWN_S = 2.0, 1.0
    for left in reversed(range(_ATTEMPTS)):
        is_ready = False
        try:
            with connected(address) as cluster:
                remote = cluster.actor(cluster.nodes()[0], alone=False)
                remote.answer(remote.ask("clock"))
                is_ready = True
                say("ready")
                silent = remote.ask("said", 0, 600.0)
                while not cluster.first([silent], 1.0):
                    cluster.nodes()
        except TunerError as error:
            if is_ready or not left:
                return f"{error.message}; {error.hint}"
    return "the host said something"


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    say(main(sys.argv[1]))
