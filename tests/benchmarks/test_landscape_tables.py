"""What was measured of a landscape is read back, or refused where something is missing."""

import math
from pathlib import Path

import pytest

from benchmarks.landscapes.table import read
from tests.benchmarks.landscapes import BROKEN, ENTRIES, entry, written
from tuner.errors import InputError, Reason
from tuner.records import Phase, TrialState


def test_a_table_is_read(tmp_path: Path) -> None:
    """One row for each configuration, without warm-up bursts, the closed loop in order."""
    found = read(written(tmp_path, ENTRIES))

    assert list(found.rows) == list(found.space.grid())
    assert found.machine == "2 x Something"
    assert found.best.capacity == 350.0
    best = found.best
    assert [p.phase for p in best.points] == [Phase.UNLOADED, Phase.SATURATION, Phase.SEARCH]
    assert [p.load for p in best.ladder] == [1, 4]
    assert best.points[0].percentiles_s == {50: 0.001, 90: 0.002, 95: 0.003, 99: 0.004}
    broken = [each for each in found.rows.values() if each.state is TrialState.FAILED]
    assert [(each.reason, each.capacity) for each in broken] == [(Reason.CRASHED, 0.0)]


def test_repeats_of_the_defaults_say_how_noisy_the_table_is(tmp_path: Path) -> None:
    """Their median stands for the defaults, their spread on a log scale is the noise."""
    found = read(written(tmp_path, ENTRIES))

    assert found.rows[found.space.defaults].throughput == 110.0
    # 100, 110 and 121 are equally far from each other.
    assert found.noise == pytest.approx(math.log(1.1))


def test_repeats_of_any_configuration_count_as_noise(tmp_path: Path) -> None:
    """Each one's spread around its own mean, weighted by how many repeats tell it."""
    best = next(e for e in ENTRIES if e["throughput"] == 350.0)
    found = read(written(tmp_path, [*ENTRIES, {**best, "throughput": 350.0 * 1.21}]))

    # Two degrees of freedom with a standard deviation of log 1.1, one with that of log 1.21 / 2.
    own, other = math.log(1.1) ** 2, math.log(1.21) ** 2 / 2
    assert found.noise == pytest.approx(math.sqrt((2 * own + other) / 3))
    assert found.best.capacity == 350.0


def test_a_repeat_that_failed_says_nothing(tmp_path: Path) -> None:
    """The median and the spread are those of the feasible ones; a single one has no spread."""
    found = read(written(tmp_path, [*ENTRIES, entry(1, 0, 0.0, **BROKEN)]))
    alone = read(written(tmp_path, [e for e in ENTRIES if e["throughput"] not in (110.0, 121.0)]))

    assert found.rows[found.space.defaults].throughput == 110.0
    assert found.noise == pytest.approx(math.log(1.1))
    assert alone.noise == 0.0


def test_a_table_that_lacks_something_is_refused(tmp_path: Path) -> None:
    """It says what is missing, and which command measures it."""
    landscape = written(tmp_path, ENTRIES[:4])

    with pytest.raises(InputError) as refused:
        read(landscape)

    assert str(refused.value) == (
        f"{landscape.table}: every configuration of the space must be there, but 3 of 6 are not, "
        "such as `dynamic_batching=true instance_count=1 max_batch_size=8 "
        "max_queue_delay_microseconds=0`"
    )
    assert "python -m benchmarks.landscapes.measure tiny" in refused.value.hint
    landscape.table.unlink()
    with pytest.raises(InputError, match="but 6 of 6 are not"):
        read(landscape)
