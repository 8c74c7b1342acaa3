"""Compares `tuner measure` with GuideLLM and AIPerf on streams of tokens.

    python -m benchmarks.token_peers --guidellm PATH --aiperf PATH

All of them put the same load on the same kind of server, in turn, each round in another order:
the stand-in, which knows when it sent each token, and a real llama.cpp with a tiny model. The
processor time is that of all that a tool needs, user and system, from the start of its command to
the end; what it takes beyond the load is found by a second, much shorter run, and taken off:
(long - short) / (tokens of long - tokens of short). The server counts the tokens, for all alike.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import httpx
import numpy as np

from benchmarks import local_tokenizer
from benchmarks.options import count, program, seconds
from benchmarks.processes import own_cpu_s
from benchmarks.tables import machine, median, spread, table
from benchmarks.token_answers import AnswerForm
from benchmarks.token_requests import MODEL
from benchmarks.token_server import Schedule, token_server
from benchmarks.token_tools import AiPerf, GuideLlm, Load, Seen, Tool, Tuner
from tests.servers import llama_cpp
from tuner.load.histogram import percentile

_TOKENS = 64
# Requests of the short run, for each stream.
_FEW = 1
# The stand-in: times to the first token from 20 to 120 ms, and gaps that grow with the streams, as
# those of a server do.
_TTFTS_S = np.random.default_rng(0).uniform(0.02, 0.12, 1 << 12)
_MEAN_TTFT_S = 0.07
_GAP_OF_ONE_S = 0.002
_LONGEST_GAP_S = 0.04
_PREDICTED = "llamacpp:tokens_predicted_total"


@dataclass
class Server:
    """One that a tool meets fresh. When it has ended it says what it sent: `None`, if unknown."""

    url: str
    model: str
    tokens: Callable[[], int]
    truth: Seen | None = None


@dataclass(frozen=True)
class Run:
    """One start of a tool; `truth` is what the server says of the same tokens."""

    cpu_s: float
    tokens: int
    seen: Seen
    truth: Seen | None


@dataclass(frozen=True)
class Result:
    """What one round says of one tool under one load; None where it gave no answer."""

    server: str
    streams: int
    tool: str
    long: Run | None = None
    short: Run | None = None

    @property
    def cpu_us(self) -> float:
        """Of a token, the start of the command taken off."""
        if self.long is None or self.short is None:
            return float("nan")
        tokens = self.long.tokens - self.short.tokens
        return (self.long.cpu_s - self.short.cpu_s) / tokens * 1e6

    @property
    def start_cpu_s(self) -> float:
        """What the command takes beside the load."""
        if self.short is None:
            return float("nan")
        return self.short.cpu_s - self.short.tokens * self.cpu_us * 1e-6


@dataclass
class Results:
    """Those of all rounds."""

    all: list[Result] = field(default_factory=list)

    def of(self, server: str, streams: int, tool: str) -> list[Result]:
        wanted = (server, streams, tool)
        found = [each for each in self.all if (each.server, each.streams, each.tool) == wanted]
        return [each for each in found if each.long is not None and each.short is not None]


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="tokenizer-") as name:
        tokenizer = local_tokenizer.write(Path(name) / MODEL)
        tools: list[Tool] = [Tuner()]
        if options.guidellm:
            tools.append(GuideLlm(options.guidellm, tokenizer))
        if options.aiperf:
            tools.append(AiPerf(options.aiperf, tokenizer))
        print(
            f"{', '.join(each.name for each in tools)} in turn, {options.rounds} rounds,"
            f" some {options.seconds:g} s each, answers of {_TOKENS} tokens. {machine()}. Ratios"
            " are tuner / the tool: median (range) over the rounds.\n"
        )
        results = Results(list(_results(options, tools)))
    names = [each.name for each in tools]
    print(_cost_table(options, results, names), _truth_table(options, results, names), sep="\n\n")
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(each) for each in results.all], indent=2))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--guidellm", type=program, help="its program")
    parser.add_argument("--aiperf", type=program, help="its program")
    parser.add_argument("--server", nargs="+", choices=list(_SERVERS), default=list(_SERVERS))
    parser.add_argument("--streams", type=count, nargs="+", default=[1, 8, 64])
    parser.add_argument("--rounds", type=count, default=3)
    parser.add_argument("--seconds", type=seconds, default=20.0, help="length of a long run")
    parser.add_argument("--json", type=Path, help="a file for the figures of every round")
    return parser.parse_args()


def _results(options: argparse.Namespace, tools: Sequence[Tool]) -> Iterator[Result]:
    for number in range(options.rounds):
        shift = number % len(tools)
        for server in options.server:
            for streams in options.streams:
                for tool in [*tools[shift:], *tools[:shift]]:
                    said = f"round {number + 1}: {server}, {streams}, {tool.name}"
                    print(said, file=sys.stderr, flush=True)
                    each_s = _MEAN_TTFT_S + (_TOKENS - 1) * _gap_s(streams)
                    answers = max(_FEW + 1, round(options.seconds / each_s))
                    load = Load(streams, streams * answers, _TOKENS)
                    brief = replace(load, requests=streams * _FEW)
                    runs = [_run(server, tool, each) for each in (load, brief)]
                    yield Result(server, streams, tool.name, *runs)


def _run(server: str, tool: Tool, load: Load) -> Run | None:
    with (
        tempfile.TemporaryDirectory(prefix="load-") as folder,
        _SERVERS[server](load.streams) as met,
    ):
        used_s = own_cpu_s()
        seen = tool.send(met.url, met.model, load, Path(folder))
        used_s = own_cpu_s() - used_s
        if seen is None:
            return None
        tokens = met.tokens()
    return Run(used_s, tokens, seen, met.truth)


def _gap_s(streams: int) -> float:
    return min(_LONGEST_GAP_S, _GAP_OF_ONE_S * streams)


@contextmanager
def _stand_in(streams: int) -> Iterator[Server]:
    schedule = Schedule(
        ttfts_s=_TTFTS_S, gaps_s=np.full(1, _gap_s(streams)), form=AnswerForm(tokens=_TOKENS)
    )
    with token_server(schedule) as running:

        def end() -> int:
            sent = running.sent()
            ttfts_ms, itls_ms = np.sort(sent.ttfts_s) * 1e3, np.sort(sent.itls_s) * 1e3
            number = len(sent.ttfts_s) + len(sent.gaps_s)
            server.truth = Seen(
                ttft_p50_ms=percentile(ttfts_ms, 50),
                ttft_p99_ms=percentile(ttfts_ms, 99),
                itl_p50_ms=percentile(itls_ms, 50),
                itl_p99_ms=percentile(itls_ms, 99),
                output=number,
            )
            return number

        server = Server(f"http://{running.endpoint.authority}", MODEL, end)
        yield server


@contextmanager
def _llama(streams: int) -> Iterator[Server]:
    del streams  # it is as fast as it can
    with llama_cpp.serving() as running:

        def predicted() -> int:
            page = httpx.get(f"{running.url}/metrics").text
            line = next(each for each in page.splitlines() if each.startswith(_PREDICTED))
            return int(float(line.split()[-1]))

        yield Server(running.url, llama_cpp.MODEL, predicted)


_SERVERS: dict[str, Callable[[int], AbstractContextManager[Server]]] = {
    "stand-in": _stand_in,
    "llama.cpp": _llama,
}


def _cost_table(options: argparse.Namespace, results: Results, tools: Sequence[str]) -> str:
    ours, *peers = tools
    headings = ["server", "streams", f"CPU us/token: {ours}"]
    for peer in peers:
        headings += [peer, "ratio"]
    headings += [f"CPU ms/request: {each}" for each in tools]
    headings += [f"CPU s to start and report: {each}" for each in tools]
    rows = []
    for server in options.server:
        for streams in options.streams:
            costs = {t: [r.cpu_us for r in results.of(server, streams, t)] for t in tools}
            cells = [server, str(streams), _middle(costs[ours], 1)]
            for peer in peers:
                pairs = zip(costs[ours], costs[peer], strict=False)
                ratios = [us / them for us, them in pairs]
                cells += [_middle(costs[peer], 1), spread(ratios) if ratios else "-"]
            requests = [[us * _TOKENS / 1e3 for us in costs[each]] for each in tools]
            starts = [[r.start_cpu_s for r in results.of(server, streams, t)] for t in tools]
            rows.append([*cells, *(_middle(each, 2) for each in (*requests, *starts))])
    return table(headings, rows)


def _truth_table(options: argparse.Namespace, results: Results, tools: Sequence[str]) -> str:
    """What each said, and what the server had sent; the round in the middle."""
    headings = ["server", "streams", "tool", "tokens sent", "counted"]
    kinds = ("ttft_p50_ms", "ttft_p99_ms", "itl_p50_ms", "itl_p99_ms")
    for kind in ("TTFT p50 ms", "TTFT p99 ms", "ITL p50 ms", "ITL p99 ms"):
        headings += [f"{kind}: sent", "said"]
    rows = []
    for server in options.server:
        for streams in options.streams:
            for tool in tools:
                runs = [r.long for r in results.of(server, streams, tool) if r.long]
                if not runs:
                    rows.append([server, str(streams), tool, "no answer", *["-"] * 9])
                    continue
                run = sorted(runs, key=lambda each: each.seen.itl_p99_ms)[len(runs) // 2]
                cells = [server, str(streams), tool, str(run.tokens), f"{run.seen.output:.0f}"]
                for kind in kinds:
                    cells.append(f"{getattr(run.truth, kind):.2f}" if run.truth else "-")
                    cells.append(f"{getattr(run.seen, kind):.2f}")
                rows.append(cells)
    return table(headings, rows)


def _middle(values: Sequence[float], digits: int) -> str:
    return median(values, digits) if values else "no answer"


if __name__ == "__main__":
    main()
