"""Many who watch one job of a service, and ask for it meanwhile.

    python -m benchmarks.watcher_load http://127.0.0.1:8900 7 --token-file tuner-service/token

The load of `service_watchers` alone: against a service that runs, for so many seconds, to see what
it does to a measurement. Prints what the watchers were told and how the service answered, as JSON.
Streams and requests are written by hand, so that the load takes little of the machine itself.
"""

import argparse
import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.options import count, seconds

# Polls are shared by so many connections, as by so many clients.
_CLIENTS = 10
_EVENT = re.compile(rb"^event: ", re.MULTILINE)
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass
class Seen:
    """What came: events by watcher, answers by status, and their times in seconds."""

    events: list[int] = field(default_factory=list)
    cut_off: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    slowest_s: float = 0.0

    def answered(self, head: bytes) -> None:
        status = head.split(b" ", 2)[1].decode()
        self.statuses[status] = self.statuses.get(status, 0) + 1


@dataclass(frozen=True)
class Load:
    """Whom to ask for what."""

    host: str
    port: int
    job: str
    token: str

    def request(self, path: str, accept: str) -> bytes:
        lines = (
            f"GET /api/v1/jobs/{self.job}{path} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            f"Authorization: Bearer {self.token}",
            f"Accept: {accept}",
        )
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def watch(load: Load, seen: Seen, watcher: int) -> None:
    """Until it is cancelled, or the service ends the stream."""
    reader, writer = await asyncio.open_connection(load.host, load.port)
    try:
        writer.write(load.request("/events", "text/event-stream"))
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.partition(b"\r\n")[0]:
            seen.answered(head)
            return
        while chunk := await reader.read(1 << 16):
            seen.events[watcher] += len(_EVENT.findall(chunk))
        seen.cut_off += 1
    finally:
        writer.close()


async def poll(load: Load, seen: Seen, every_s: float, offset_s: float) -> None:
    """Ask for the job at a steady rate, on one connection."""
    reader, writer = await asyncio.open_connection(load.host, load.port)
    request = load.request("", "application/json")
    due_s = time.monotonic() + offset_s
    try:
        while True:
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            began_s = time.monotonic()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            found = _LENGTH.search(head)
            await reader.readexactly(int(found[1]) if found else 0)
            seen.answered(head)
            seen.slowest_s = max(seen.slowest_s, time.monotonic() - began_s)
            due_s += every_s
    finally:
        writer.close()


async def run(
    load: Load, watchers: int, polls: float, lasts_s: float, joined: Callable[[], Awaitable[None]]
) -> Seen:
    """The load for so many seconds after all have joined."""
    seen = Seen(events=[0] * watchers)
    tasks = []
    for watcher in range(watchers):
        tasks.append(asyncio.create_task(watch(load, seen, watcher)))
        await asyncio.sleep(0.005)  # not all in one moment: the queue of a socket is short
    clients = _CLIENTS if polls else 0
    every_s = clients / polls if polls else 0.0
    tasks += [
        asyncio.create_task(poll(load, seen, every_s, each * every_s / clients))
        for each in range(clients)
    ]
    await asyncio.sleep(2.0)  # what was before is told
    seen.events = [0] * watchers
    await joined()
    await asyncio.sleep(lasts_s)
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
    return seen


def loaded(url: str, job: str, token: str) -> Load:
    parts = urlsplit(url)
    return Load(parts.hostname or "127.0.0.1", parts.port or 80, job, token)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--watchers", type=count, default=200)
    parser.add_argument("--polls", type=seconds, default=50.0, help="a second")
    parser.add_argument("--seconds", type=seconds, default=20.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("job", help="its number, or the name of its study")
    parser.add_argument("--token-file", type=Path, required=True)
    options(parser)
    asked = parser.parse_args()
    load = loaded(asked.url, asked.job, asked.token_file.read_text().strip())

    async def joined() -> None:
        print("joined", flush=True)

    seen = asyncio.run(run(load, asked.watchers, asked.polls, asked.seconds, joined))
    print(json.dumps(asdict(seen)))


if __name__ == "__main__":
    main()
