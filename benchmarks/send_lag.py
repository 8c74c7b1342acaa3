"""How late are the sends of an open loop? Below 200 us (p99) at half of what the engine can do.

    python -m benchmarks.send_lag

What the engine can do is found as the tuner finds it (`tuner.load.calibration`): against a server
that does nothing, and that takes its part of the machine too. Then open loops send 10 %, 25 % and
50 % of it to that server, Poisson and constant, in turn, round after round; figures are medians
over the rounds, with their range.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.options import count, seconds
from benchmarks.tables import machine, spread, table
from tuner.load.calibration import calibrate, null_server
from tuner.load.client import LoadEngine
from tuner.load.http1 import request_bytes
from tuner.load.profile import Arrivals, Endpoint, LoadRun, OpenLoop
from tuner.load.requests import RequestSet

_SHARES = (0.1, 0.25, 0.5)


@dataclass(frozen=True)
class Load:
    """An open loop at a share of the calibrated rate."""

    share: float
    arrivals: Arrivals


@dataclass(frozen=True)
class Sent:
    """How one run of a load went; `cpu_share` is of one core."""

    load: Load
    rate: float
    lag_p99_us: float
    cpu_share: float


def main() -> None:
    options = _options()
    rate = calibrate(duration_s=options.seconds).rate
    print(
        f"Calibrated rate: {rate:.0f} requests/s over HTTP; {options.rounds} rounds of"
        f" {options.seconds:g} s each. {machine()}.\n"
    )
    with null_server() as endpoint, LoadEngine() as engine:
        request = request_bytes("/", host=endpoint.authority, headers={}, body=b"{}")
        engine.prepare(RequestSet((request,)))
        print(_table(list(_rounds(options, engine, endpoint, rate))))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=count, default=5)
    parser.add_argument("--seconds", type=seconds, default=3.0, help="length of one run")
    return parser.parse_args()


def _rounds(
    options: argparse.Namespace, engine: LoadEngine, endpoint: Endpoint, rate: float
) -> Iterator[Sent]:
    loads = [Load(share, arrivals) for share in _SHARES for arrivals in Arrivals]
    for number in range(options.rounds):
        for load in loads:
            print(f"round {number + 1}: {load.arrivals}, {load.share:.0%}", file=sys.stderr)
            profile = OpenLoop(load.share * rate, load.arrivals, seed=number)
            seen = engine.measure(
                LoadRun(endpoint=endpoint, profile=profile, duration_s=options.seconds)
            )
            if seen.failed or seen.unanswered:
                raise SystemExit(f"requests of the load engine failed: {seen.errors}")
            yield Sent(load, profile.rate, seen.send_lag_p99_s * 1e6, seen.engine_cpu_share)


def _table(sent: Sequence[Sent]) -> str:
    headings = ["share of the rate", "arrivals", "requests/s", "send lag p99, us"]
    loads = dict.fromkeys(each.load for each in sent)
    rows = [_row([each for each in sent if each.load == load]) for load in loads]
    return table([*headings, "engine's share of a core"], rows)


def _row(rounds: Sequence[Sent]) -> list[str]:
    load = rounds[0].load
    return [
        f"{load.share:.0%}",
        load.arrivals,
        f"{rounds[0].rate:.0f}",
        spread([each.lag_p99_us for each in rounds], 0),
        spread([each.cpu_share for each in rounds]),
    ]


if __name__ == "__main__":
    main()
