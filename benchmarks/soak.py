"""Does the memory of the load engine grow with the number of requests? One long run tells.

    python -m benchmarks.soak

A closed loop of 8 over HTTP sends 2 million requests, in one run, to a server that answers each at
once. The resident memory of the engine's processes is read twice a second, and must grow by less
than 10 MB from the start of the run to its end. Before it starts there is a run of 1000 requests,
so that all the code is loaded.

Exit status 1: it grew by more.
"""

import argparse
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from time import monotonic

import psutil

from benchmarks.options import count
from benchmarks.tables import machine, table
from tuner.load.calibration import null_server
from tuner.load.client import LoadEngine
from tuner.load.http1 import request_bytes
from tuner.load.measurement import Measurement
from tuner.load.profile import ClosedLoop, LoadRun
from tuner.load.requests import RequestSet

_ALLOWED_BYTES = 10_000_000
_EVERY_S = 0.5
_LONGEST_S = 86_400.0
_EARLY_SHARE = 0.1
_CONCURRENCY = 8
_FIRST_REQUESTS = 1000


@dataclass
class MemoryWatch:
    """The resident bytes of some processes together, read time and again."""

    pids: tuple[int, ...]
    moments_s: list[float] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Look at the begin and the end of the `with` block, and all the while in a thread."""
        ended = threading.Event()
        thread = threading.Thread(target=self._watch, args=(ended,))
        self.look()
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self.look()

    def _watch(self, ended: threading.Event) -> None:
        while not ended.wait(_EVERY_S):
            self.look()

    def look(self) -> None:
        self.moments_s.append(monotonic())
        self.resident.append(sum(psutil.Process(pid).memory_info().rss for pid in self.pids))

    def after(self, share: float) -> int:
        """What was resident when that share of the time had passed."""
        begin_s, end_s = self.moments_s[0], self.moments_s[-1]
        moment_s = begin_s + share * (end_s - begin_s)
        return next(
            resident
            for moment, resident in zip(self.moments_s, self.resident, strict=True)
            if moment >= moment_s
        )


def main() -> None:
    options = _options()
    print(
        f"{options.requests:,} requests in one run, closed loop of {_CONCURRENCY} over HTTP, on"
        f" a server that does nothing. {machine()}.\n"
    )
    with null_server() as endpoint, LoadEngine() as engine:
        request = request_bytes("/", host=endpoint.authority, headers={}, body=b"{}")
        engine.prepare(RequestSet((request,)))
        run = LoadRun(endpoint=endpoint, profile=ClosedLoop(_CONCURRENCY), duration_s=_LONGEST_S)
        engine.measure(replace(run, max_requests=_FIRST_REQUESTS))
        watch = MemoryWatch(engine.pids)
        with watch.running():
            measurement = engine.measure(replace(run, max_requests=options.requests))
    if measurement.failed or measurement.requests != options.requests:
        raise SystemExit(f"{measurement.requests} requests were sent: {measurement.errors}")
    print(_table(measurement, watch))
    growth = watch.resident[-1] - watch.resident[0]
    print(f"\nIt grew by {_megabytes(growth)} MB; {_megabytes(_ALLOWED_BYTES)} MB are allowed.")
    if growth >= _ALLOWED_BYTES:
        raise SystemExit(1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=count, default=2_000_000)
    return parser.parse_args()


def _table(measurement: Measurement, watch: MemoryWatch) -> str:
    resident = [watch.resident[0], watch.after(_EARLY_SHARE), watch.resident[-1]]
    headings = ["requests", "requests/s", "resident MB at the start", f"after {_EARLY_SHARE:.0%}"]
    cells = [f"{measurement.requests:,}", f"{measurement.throughput:.0f}"]
    cells += [_megabytes(each) for each in (*resident, max(watch.resident))]
    return table([*headings, "at the end", "largest seen"], [cells])


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f}"


if __name__ == "__main__":
    main()
