"""A cluster of Ray on this machine, until its standard input ends; prints its address.

A program of its own: whatever becomes of the tests, it ends, and Ray's signal handlers and threads
are not in theirs.
"""

import sys
from typing import Any

from ray.cluster_utils import Cluster

# Of each host, as small as Ray allows: nothing large goes through it.
_STORE_BYTES = 80_000_000
_HOST: dict[str, Any] = {
    "num_cpus": 0,
    "resources": {"tuner_host": 1},
    "object_store_memory": _STORE_BYTES,
    "include_dashboard": False,
    "include_log_monitor": False,
}


def main(hosts: int) -> None:
    """The head is a host as well."""
    cluster = Cluster(initialize_head=True, head_node_args={**_HOST, "gcs_server_port": 0})
    try:
        for _ in range(1, hosts):
            cluster.add_node(**_HOST)
        sys.stdout.write(f"{cluster.address}\n")
        sys.stdout.flush()
        sys.stdin.read()
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
