"""A tuner in small: holds one server until it is killed or interrupted; run as a program."""

import json
import sys
from pathlib import Path
from typing import Any

from runners.base import LaunchSpec
from runners.process import ProcessRunner


def main() -> None:
    wishes: dict[str, Any] = json.loads(sys.stdin.readline())
    runner = ProcessRunner(log_directory=Path(wishes["log_directory"]))
    spec = LaunchSpec(
        command=tuple(wishes["command"]),
        ports=("http",),
        leftovers=tuple(wishes["leftovers"]),
        stop_grace_s=wishes["stop_grace_s"],
    )
    try:
        with runner.start(spec) as server:
            print(json.dumps({"pid": server.pid, "log": str(server.log_path)}), flush=True)  # noqa: T201 - the test reads it
            sys.stdin.read()
    except KeyboardInterrupt:
        print("interrupted", flush=True)  # noqa: T201 - the test reads it
        raise


if __name__ == "__main__":
    main()
