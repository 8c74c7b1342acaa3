"""Which search finds the best configuration with the least measuring? Replayed on real tables.

    python -m benchmarks.replay --searches 200

Every search runs on what was measured of a landscape (benchmarks/landscapes/tables), so hundreds
of them take minutes. A search has found a configuration when it recommends it from then on to its
end. Figures are medians over the searches, the worst decile in brackets; a search that never gets
there is charged with the whole space.

With `--noise` no search sees the table as it is: what it measures of a configuration differs by
one random factor, whose spread is that of the configurations that were measured several times.
Contestants meet the same noise in the search of the same number.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from benchmarks import replay_report
from benchmarks.landscapes.base import LANDSCAPES, Landscape
from benchmarks.landscapes.table import Table, read
from benchmarks.options import count
from benchmarks.replay_contestants import CONTESTANTS, HINTS, RANDOM, check, search
from benchmarks.replay_metrics import reached
from benchmarks.replay_report import SHARES, Costs, Replays
from tuner.errors import TunerError

_CHUNK = 5

# A landscape, whether with noise, a contestant and a seed.
Task = tuple[Landscape, bool, str, int]
Workers = Callable[[Callable[[Task], Costs], Iterable[Task]], Iterable[Costs]]


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    try:
        landscapes = [LANDSCAPES[name] for name in options.landscapes or LANDSCAPES]
        tables = [_read(landscape, noise=options.noise) for landscape in landscapes]
        contestants = _contestants(options.contestants)
    except TunerError as error:
        print(f"error: {error}\nhint: {error.hint}", file=sys.stderr)
        raise SystemExit(2) from None
    with _workers(options.processes) as workers:
        replays = [
            Replays(table, _costs(landscape, contestants, options, workers))
            for table, landscape in zip(tables, landscapes, strict=True)
        ]
    print(replay_report.markdown(replays))
    if options.json:
        options.json.write_text(replay_report.as_json(replays))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--searches", type=count, default=200, help="of each contestant")
    parser.add_argument(
        "--landscape", action="append", choices=LANDSCAPES, dest="landscapes", help="default: all"
    )
    parser.add_argument(
        "--contestant",
        action="append",
        dest="contestants",
        metavar="NAME",
        help=f"default: {', '.join(CONTESTANTS)}; `tpe/2` is a sampler and its small steps",
    )
    parser.add_argument("--noise", action="store_true", help="that of repeated measurements")
    parser.add_argument("--processes", type=count, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser.parse_args(arguments)


def _contestants(wanted: Sequence[str] | None) -> list[str]:
    """Those that were asked for, or all; and the random orders always.

    Raises:
        InputError: There is no such contestant.
    """
    for name in wanted or ():
        check(name)
    return list(dict.fromkeys([*(wanted or CONTESTANTS), RANDOM, HINTS]))


def _costs(
    landscape: Landscape, contestants: Sequence[str], options: argparse.Namespace, workers: Workers
) -> dict[str, list[Costs]]:
    """For each contestant, what each of its searches took."""
    costs, searches = {}, options.searches
    for name in contestants:
        began = time.perf_counter()
        tasks = [(landscape, options.noise, name, seed) for seed in range(searches)]
        costs[name] = list(workers(_search, tasks))
        took_s = time.perf_counter() - began
        print(f"{landscape.name}: {searches} x {name} in {took_s:.1f} s", file=sys.stderr)
    return costs


def _search(task: Task) -> Costs:
    landscape, noise, name, seed = task
    table = _table(landscape, noise=noise)
    moments = list(search(name, table, seed))
    return tuple(reached(moments, share * table.best.capacity) for share in SHARES)


def _read(landscape: Landscape, *, noise: bool) -> Table:
    table = read(landscape)
    return table if noise else replace(table, noise=0.0)


_table = cache(_read)


@contextmanager
def _workers(processes: int) -> Iterator[Workers]:
    if processes == 1:
        yield map
        return
    # Not by fork: what the libraries have started would not be there in the copies.
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield partial(pool.imap, chunksize=_CHUNK)


if __name__ == "__main__":
    main()
