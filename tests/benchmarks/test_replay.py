"""Searches on measured tables: who finds the best, at what cost, and who is better."""

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks import replay, replay_contestants
from benchmarks.landscapes.base import LANDSCAPES, Landscape
from benchmarks.replay_contestants import HINTS, QUICK, RANDOM, RandomOrder
from benchmarks.replay_metrics import comparison, reached, summary
from benchmarks.replayed_quick import measured, replayed_quick
from benchmarks.replayed_trials import Cost, Moment
from tests.analysis.known import known
from tests.benchmarks.landscapes import (
    BUDGET,
    ENTRIES,
    SPACE,
    failed,
    grid_table,
    row,
    table,
    written,
)
from tuner.errors import InputError
from tuner.space.space import Configuration


def test_when_a_search_got_there() -> None:
    """The first moment after which it never recommended less."""

    def moments(*capacities: float) -> list[Moment]:
        return [Moment(Cost(n, 5 * n, 9.0 * n), c) for n, c in enumerate(capacities, start=1)]

    assert reached(moments(50, 95, 100), 95) == Cost(2, 10, 18.0)
    assert reached(moments(50, 95, 80, 96, 95), 95) == Cost(4, 20, 36.0)
    assert reached(moments(100), 95) == Cost(1, 5, 9.0)
    assert reached(moments(100, 94), 95) is None
    assert reached(moments(), 95) is None


def test_a_summary() -> None:
    """Medians and worst deciles; who did not get there is charged with everything."""
    costs = [Cost(n, 10 * n, 100.0 * n) for n in range(1, 10)]

    found = summary([*costs, None], Cost(50, 500, 5000.0))

    assert found.trials.median == 5.5
    assert found.trials.worst_decile == pytest.approx(13.1)
    assert found.points.median == 55.0
    assert found.time_s.median == 550.0
    assert found.exhaustive_share == pytest.approx(0.11)
    assert found.found == pytest.approx(0.9)


def test_better_worse_or_a_tie() -> None:
    """By the interval of the ratio of means, from pairs with the same seeds."""
    theirs = [float(100 + n % 7) for n in range(50)]
    half = comparison([each / 2 for each in theirs], theirs)
    more = comparison([each + 5 + n % 3 for n, each in enumerate(theirs)], theirs)
    odd = [5.0 * (-1) ** n for n in range(50)]
    hardly_less = comparison([a + b - 0.1 for a, b in zip(theirs, odd, strict=True)], theirs)
    hardly_more = comparison([a + b + 0.1 for a, b in zip(theirs, odd, strict=True)], theirs)

    assert (half.verdict, more.verdict) == ("better", "worse")
    assert hardly_less.ratio.estimate < 1 < hardly_more.ratio.estimate
    assert (hardly_less.verdict, hardly_more.verdict) == ("tie", "tie")
    # Pairs: what all have in common is no noise.
    assert half.ratio.low == pytest.approx(0.5)
    assert half.ratio.high == pytest.approx(0.5)
    assert more.difference.estimate == pytest.approx(5.98)
    assert 5 < more.difference.low < 5.98 < more.difference.high < 7
    assert comparison(theirs, theirs).verdict == "tie"


def test_a_random_order_has_everything_once() -> None:
    """In another order for each seed, after what comes first."""
    everything, first = list(SPACE.grid()), [SPACE.defaults]

    def order(seed: int) -> list[Configuration]:
        proposer = RandomOrder(everything, seed, first)
        found: list[Configuration] = []
        while (proposal := proposer.ask()) is not None:
            assert proposal.number == len(found)
            found.append(proposal.configuration)
        return found

    assert order(1)[0] == SPACE.defaults
    assert len(order(1)) == len(everything)
    assert set(order(1)) == set(everything)
    assert order(1) == order(1) != order(2)


@pytest.mark.parametrize("name", ["tpe", "tpe/0", "random", RANDOM, HINTS, QUICK])
def test_every_contestant_searches(name: str) -> None:
    """The same twice with the same seed; it finds the best where there is no noise."""
    landscape = grid_table()

    moments = list(replay_contestants.search(name, landscape, seed=1))

    assert moments == list(replay_contestants.search(name, landscape, seed=1))
    assert moments[-1].capacity == landscape.best.capacity == 600.0
    assert moments[-1].cost.trials <= len(landscape.rows)


def test_the_number_of_small_steps_is_part_of_the_name() -> None:
    """Without them, the sampler goes another way."""
    ways = [
        [each.capacity for each in replay_contestants.search(name, grid_table(), seed=1)]
        for name in ("tpe", "tpe/0")
    ]

    assert ways[0] != ways[1]


@pytest.mark.parametrize("name", ["tpe", HINTS])
def test_hints_come_after_the_defaults(name: str) -> None:
    """As in a study: 100/s of the defaults, then what the hint is worth."""
    moments = list(replay_contestants.search(name, grid_table(), seed=1))

    assert [each.capacity for each in moments[:2]] == [100.0, 200.0]


@pytest.mark.parametrize("name", ["nobody", "tpe/", "tpe/x", "tpe/-1", "random-order/1"])
def test_an_unknown_contestant_is_refused(name: str) -> None:
    """The message names it, the hint all that there are."""
    with pytest.raises(InputError, match=f"^there is no contestant `{name}`$") as refused:
        replay_contestants.check(name)

    assert "random-order" in refused.value.hint


@pytest.mark.parametrize(
    ("concurrency", "throughput", "latency_s"),
    [(1, 100.0, 0.002), (2, 200.0, 0.004), (4, 400.0, 0.008), (64, 400.0, 1000.0)],
)
def test_quick_search_sees_the_closed_loop(
    concurrency: int, throughput: float, latency_s: float
) -> None:
    """Straight between two concurrencies on logarithmic scales, and level beyond the last."""
    found, faster = (
        known(measured(row(400.0), concurrency, table([row(400.0)]), factor))
        for factor in (1.0, 1.25)
    )

    assert found.throughput == pytest.approx(throughput)
    assert found.latency_s == pytest.approx(latency_s)
    assert faster.throughput == pytest.approx(1.25 * throughput)
    assert faster.latency_s == pytest.approx(latency_s / 1.25)


def test_quick_search_has_no_result_of_a_failure() -> None:
    """Where the trial failed, there was no closed loop."""
    assert measured(failed(), 2, table([failed()]), 1.0) is None


def test_failed_requests_of_a_closed_loop_are_over_any_limit() -> None:
    """Their latency is infinite in the table; the interpolation stays finite and far too high."""
    far = known(measured(row(400.0), 12, table([row(400.0)]), 1.0))

    assert BUDGET.limit_s < far.latency_s < math.inf


def test_what_quick_search_costs() -> None:
    """15 s for each load point, a start where the configuration changes; new ones are trials."""
    landscape = grid_table()

    moments = list(replayed_quick(landscape, seed=0))

    costs = [each.cost for each in moments]
    assert costs[:2] == [Cost(1, 1, 16.5), Cost(2, 2, 33.0)]
    assert [cost.points for cost in costs] == list(range(1, len(costs) + 1))
    # It has nine configurations and the defaults to choose from.
    assert costs[-1].trials <= 10
    steps_s = {round(after.time_s - before.time_s, 6) for before, after in pairwise(costs)}
    assert steps_s == {15.0, 16.5}


def test_quick_search_knows_no_delay() -> None:
    """It tries what has none, so what fails with a delay does not disturb it."""
    moments = list(replayed_quick(grid_table(), seed=0))

    assert moments[-1].capacity == 600.0


def test_quick_search_passes_over_failures() -> None:
    """A failure costs its trial's time and a load point, and is never recommended."""
    landscape = grid_table()
    rows = [failed(c) if c.get("max_batch_size") == 2 else r for c, r in landscape.rows.items()]

    moments = list(replayed_quick(table(rows), seed=0))

    times_s = [each.cost.time_s for each in moments]
    assert 4.0 in [b - a for a, b in pairwise(times_s)]
    assert moments[-1].capacity == 600.0


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Landscape:
    landscape = written(tmp_path, ENTRIES)
    monkeypatch.setitem(LANDSCAPES, "tiny", landscape)
    return landscape


@pytest.mark.usefixtures("tiny")
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Prints a row for each contestant beside the random orders, and writes all figures."""
    file = tmp_path / "figures.json"

    replay.main(
        f"--searches 4 --landscape tiny --contestant {QUICK} --processes 1 --json {file}".split()
    )

    out = capsys.readouterr().out
    assert "6 configurations, 5 of them feasible for p99 <= 10 ms, 1 fail." in out
    assert "Exhaustive: 66 load points. Measured on 2 x Something." in out
    for title in ("to 95% of the best", "to 99% of the best", "load points to 95%"):
        assert f"| {title} |" in out
    assert out.count(f"\n| {QUICK} |") == out.count(f"\n| {RANDOM} |") == 4
    figures = json.loads(file.read_text())["tiny"]
    assert list(figures["contestants"]) == [QUICK, RANDOM, HINTS]
    random_order = figures["contestants"][RANDOM]
    assert random_order["searches"] == 4
    assert random_order["beside"][RANDOM]["verdict"] == "tie"
    assert figures["exhaustive"] == {"trials": 6, "points": 66, "time_s": 22.0}


@pytest.mark.usefixtures("tiny")
def test_processes_change_nothing(tmp_path: Path) -> None:
    """Two find what one finds."""
    file = tmp_path / "figures.json"

    def figures(processes: int) -> str:
        options = f"--landscape tiny --contestant {HINTS} --processes {processes} --json {file}"
        replay.main(["--searches", "7", *options.split()])
        return file.read_text()

    assert figures(1) == figures(2)


def test_the_command_refuses(tiny: Landscape, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown contestant, and a landscape that was never measured: exit status 2 and a hint."""
    with pytest.raises(SystemExit, match="2"):
        replay.main(["--landscape", tiny.name, "--contestant", "nobody"])
    assert capsys.readouterr().err.startswith("error: there is no contestant `nobody`\nhint: ")

    tiny.table.unlink()
    with pytest.raises(SystemExit, match="2"):
        replay.main(["--landscape", tiny.name])
    assert "hint: `python -m benchmarks.landscapes.measure tiny`" in capsys.readouterr().err
