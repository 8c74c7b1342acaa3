"""What Triton's front ends cost: one model over HTTP, over gRPC, and through the C API.

    python -m benchmarks.c_api

A Triton listens, another one lives in the load engine's process; both have the same trivial model
and the same requests. They are measured in turn, each round in another order. CPU time is that of
all processes that take part: load engine, server, model.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.options import count, seconds
from benchmarks.processes import cpu_s
from benchmarks.tables import machine, median, spread, table
from benchmarks.trivial_triton import MODEL, trivial_triton, write_model
from tuner.clients.v2_address import V2Address
from tuner.load.client import LoadEngine
from tuner.load.profile import ClosedLoop, Endpoint, LoadRun
from tuner.protocols.v2 import V2Protocol
from tuner.sweep.in_process import InProcessService, InProcessTriton
from tuner.sweep.service import Service
from tuner.sweep.v2 import V2Form, V2Service

C_API = "c_api"
_WARM_UP_S = 1.0


@dataclass(frozen=True)
class Way:
    """One way to ask the model: who sends, what, and the processes that are busy meanwhile."""

    name: str
    service: Service
    engine: LoadEngine
    pids: frozenset[int]

    def measured(self, concurrency: int, seconds: float) -> "Figures":
        """A closed loop of so many requests in flight."""
        profile = ClosedLoop(concurrency)
        run = LoadRun(endpoint=self.service.endpoint, profile=profile, duration_s=seconds)
        before_s = sum(map(cpu_s, self.pids))
        seen = self.engine.measure(run)
        used_s = sum(map(cpu_s, self.pids)) - before_s
        if seen.failed or seen.unanswered:
            raise SystemExit(f"requests failed: {seen.errors}, {seen.unanswered} unanswered")
        if seen.client_overloaded:
            raise SystemExit(f"{self.name}: {seen.client_overloaded}")
        q = seen.percentile
        return Figures(seen.throughput, q(50) * 1e6, q(99) * 1e6, used_s / seen.requests * 1e6)


@dataclass(frozen=True)
class Figures:
    """What one run says; times are in microseconds."""

    throughput: float
    p50_us: float
    p99_us: float
    cpu_us: float


@dataclass(frozen=True)
class Round:
    """All ways at one concurrency, one after the other."""

    concurrency: int
    figures: dict[str, Figures]


def main() -> None:
    options = _options()
    print(
        f"One trivial model over HTTP, over gRPC and through the C API in turn, {options.rounds}"
        f" rounds of {options.seconds:g} s each. {machine()}. Medians over the rounds; differences"
        " with their range.\n"
    )
    with ExitStack() as stack:
        ways = [*_over_network(stack), _in_process(stack)]
        for way in ways:
            way.measured(8, _WARM_UP_S)
        rounds = list(_rounds(options, ways))
    print(_latencies(rounds), _rates(rounds), sep="\n\n")
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(each) for each in rounds], indent=2) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--concurrency", type=count, nargs="+", default=[1, 8, 32])
    parser.add_argument("--rounds", type=count, default=6)
    parser.add_argument("--seconds", type=seconds, default=4.0, help="length of one run")
    parser.add_argument("--json", type=Path, help="a file for the figures of every round")
    return parser.parse_args()


def _over_network(stack: ExitStack) -> Iterator[Way]:
    server = stack.enter_context(trivial_triton())
    for protocol in V2Protocol:
        endpoint = Endpoint(server.host, server.ports[protocol])
        service = V2Service(V2Address(endpoint, protocol), MODEL, V2Form())
        engine = LoadEngine()
        yield _ready(stack, protocol, service, engine, server.pid)


def _in_process(stack: ExitStack) -> Way:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
    write_model(folder)
    service = InProcessService(InProcessTriton(repository=folder), MODEL, V2Form())
    stack.enter_context(service)
    engine = service.engine
    engine.prepare(service.requests)
    return Way(C_API, service, engine, frozenset(engine.pids))


def _ready(
    stack: ExitStack, name: str, service: Service, engine: LoadEngine, server_pid: int
) -> Way:
    stack.enter_context(service)
    stack.enter_context(engine)
    engine.prepare(service.requests)
    return Way(name, service, engine, frozenset({server_pid, *engine.pids}))


def _rounds(options: argparse.Namespace, ways: Sequence[Way]) -> Iterator[Round]:
    for number in range(options.rounds):
        for concurrency in options.concurrency:
            print(f"round {number + 1}: concurrency {concurrency}", file=sys.stderr)
            first = number % len(ways)
            order = [*ways[first:], *ways[:first]]
            figures = {way.name: way.measured(concurrency, options.seconds) for way in order}
            yield Round(concurrency, figures)


def _latencies(rounds: Sequence[Round]) -> str:
    names = list(rounds[0].figures)
    headings = ["concurrency", *(f"p50 us: {each}" for each in names)]
    headings += [f"{each} - {C_API}" for each in names[:-1]]
    headings += [f"p99 us: {each}" for each in names]
    rows = []
    for concurrency, some in _by_concurrency(rounds):
        p50s = {name: [each.figures[name].p50_us for each in some] for name in names}
        rows.append(
            [
                str(concurrency),
                *(median(p50s[name], 0) for name in names),
                *(
                    spread([a - b for a, b in zip(p50s[name], p50s[C_API], strict=True)], 0)
                    for name in names[:-1]
                ),
                *(median([each.figures[name].p99_us for each in some], 0) for name in names),
            ]
        )
    return table(headings, rows)


def _rates(rounds: Sequence[Round]) -> str:
    names = list(rounds[0].figures)
    headings = ["concurrency", *(f"requests/s: {each}" for each in names)]
    headings += [f"CPU us/request: {each}" for each in names]
    rows = [
        [
            str(concurrency),
            *(median([each.figures[name].throughput for each in some], 0) for name in names),
            *(median([each.figures[name].cpu_us for each in some], 0) for name in names),
        ]
        for concurrency, some in _by_concurrency(rounds)
    ]
    return table(headings, rows)


def _by_concurrency(rounds: Sequence[Round]) -> Iterator[tuple[int, list[Round]]]:
    for concurrency in dict.fromkeys(each.concurrency for each in rounds):
        yield concurrency, [each for each in rounds if each.concurrency == concurrency]


if __name__ == "__main__":
    main()
