"""A small HTTP server with every bad habit a runner must cope with; run as a program."""

import json
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any


def main() -> None:
    wishes: dict[str, Any] = json.loads(sys.argv[1])
    if "say" in wishes:
        os.write(2, wishes["say"].encode("latin-1"))
    if wishes.get("ignore_sigterm"):
        signal.signal(signal.SIGTERM, tell_of_the_signal)
    for path in wishes.get("leave", ()):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()
    for session in wishes.get("fork", ()):
        fork(Path(wishes["pid_file"]), new_session=session == "own session")
    if "write_facts" in wishes:
        write_facts(Path(wishes["write_facts"]), address=wishes["address"])
    if "exit_code" in wishes:
        sys.exit(wishes["exit_code"])
    if wishes.get("hang"):
        wait_forever()
    serve(wishes["address"], wishes["ports"], die_when_exists=wishes.get("die_when_exists"))


def tell_of_the_signal(_number: int, _frame: FrameType | None) -> None:
    print("SIGTERM? no", flush=True)  # noqa: T201 - this is the server's log


def fork(pid_file: Path, *, new_session: bool) -> None:
    if pid := os.fork():
        with pid_file.open("a") as pids:
            pids.write(f"{pid}\n")
        return
    if new_session:
        os.setsid()
    wait_forever()


def write_facts(path: Path, *, address: str) -> None:
    folders = [Path(word) for word in sys.argv[2:] if Path(word).is_dir()]
    facts = {
        "address": address,
        "files": {file.name: file.read_text() for each in folders for file in each.iterdir()},
        "arguments": sys.argv[2:],
        "environment": dict(os.environ),
        "directory": str(Path.cwd()),
        "processors": sorted(os.sched_getaffinity(0)),
        "sigint_is_default": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
        "descriptors": sorted(int(name) for name in os.listdir("/proc/self/fd")),  # noqa: PTH208
    }
    path.write_text(json.dumps(facts))


def serve(address: str, ports: list[str], *, die_when_exists: str | None) -> None:
    listeners = [socket.create_server((address, int(port))) for port in ports]
    for listener in listeners:
        listener.settimeout(0.01)
    while die_when_exists is None or not Path(die_when_exists).exists():
        for listener in listeners:
            answer(listener)
    os.kill(os.getpid(), signal.SIGUSR1)


def answer(listener: socket.socket) -> None:
    try:
        connection, _ = listener.accept()
    except TimeoutError:
        return
    with connection, suppress(OSError):
        connection.settimeout(1.0)
        if connection.recv(4096):
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nready")


def wait_forever() -> None:
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()
