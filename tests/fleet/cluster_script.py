"""A cluster of Ray on this machine, until its standard input ends; prints its addresses.

The first one is for drivers on this machine, the second one for clients. A program of its own:
whatever becomes of the tests, it ends, and Ray's signal handlers and threads are not in theirs.
"""

import sys
from typing import Any

from ray.cluster_utils import Cluster

from runners.ports import choose_free_ports

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
    client = choose_free_ports(["client"])["client"]
    ports = {"gcs_server_port": 0, "ray_client_server_port": client}
    cluster = Cluster(initialize_head=True, head_node_args={**_HOST, **ports})
    try:
        for _ in range(1, hosts):
            cluster.add_node(**_HOST)
        sys.stdout.write(f"{cluster.address} ray://127.0.0.1:{client}\n")
        sys.stdout.flush()
        sys.stdin.read()
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
