"""A tuner in small: shares memory with a server until it is killed; run as a program."""

import json
import sys
from typing import Any

from tuner.clients.shared_memory import SharedMemory
from tuner.clients.v2_address import V2Address
from tuner.load.profile import Endpoint
from tuner.load.requests import Tensor
from tuner.protocols.v2 import V2Protocol


def main() -> None:
    wishes: dict[str, Any] = json.loads(sys.stdin.readline())
    address = V2Address(Endpoint("127.0.0.1", wishes["port"]), V2Protocol(wishes["protocol"]))
    inputs = [[Tensor("numbers", "FP32", (1, 4), b"\0" * 16)]]
    with SharedMemory(address, inputs, {"doubled": 64}) as memory:
        [([numbers], [doubled])] = memory.requests
        regions = [numbers.region, doubled.region]
        print(json.dumps(regions), flush=True)  # noqa: T201 - the test reads it
        sys.stdin.read()


if __name__ == "__main__":
    main()
