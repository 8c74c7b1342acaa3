"""Sums over trials, and numbers for people."""

import itertools
import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.report import studies
from tuner.analysis.standings import Ratio, standings
from tuner.records import TrialState
from tuner.report import figures, formats, page
from tuner.space.space import Configuration


class TestFigures:
    def test_overhead_is_what_is_neither_warm_up_nor_measuring(self) -> None:
        """Applying, verifying, validating and the unnamed rest are overhead."""
        assert figures.overhead_s(studies.trial(1, 200.0)) == pytest.approx(
            0.6 + 0.1 + 0.05 + 0.25
        )

    def test_total_is_the_sum_where_it_was_not_stored(self) -> None:
        """A trial without a total took what its steps took."""
        trial = replace(studies.trial(1), timings_s={"apply": 1.0, "search": 2.0})

        assert figures.total_s(trial) == 3.0

    def test_median_reload_overhead_ignores_restarts_and_failures(self) -> None:
        """Only trials that reloaded and were measured count."""
        study = studies.study(
            [
                studies.baseline(),
                studies.trial(1, 200.0),
                replace(studies.trial(2), state=TrialState.FAILED, timings_s={"apply": 90.0}),
            ]
        )

        assert figures.median_reload_overhead_s(study) == pytest.approx(1.0)

    def test_median_reload_overhead_of_no_reload(self) -> None:
        """Without a reload it is not known."""
        assert math.isnan(figures.median_reload_overhead_s(studies.study([studies.baseline()])))

    def test_time_by_step_splits_starts_from_reloads(self) -> None:
        """The steps add up to the trials' whole time."""
        study = studies.small_study()

        steps = {step.name: step.spent_s for step in figures.time_by_step(study)}

        assert steps["start the server"] == pytest.approx(3.2)
        assert steps["reload the model"] == pytest.approx(5 * 0.6)
        assert steps["start or reload that failed"] == pytest.approx(4.0)
        assert sum(steps.values()) == pytest.approx(sum(map(figures.total_s, study.trials)))
        assert sum(s.share for s in figures.time_by_step(study)) == pytest.approx(1.0)

    def test_time_by_step_of_an_empty_study(self) -> None:
        """No trial, no step."""
        assert figures.time_by_step(studies.study()) == ()
        assert figures.measuring_share(studies.study()) == 0.0

    def test_margin_follows_the_log_error(self) -> None:
        """An unknown error gives no margin."""
        standing = standings(studies.night()).ranked[0]

        assert figures.margin(standing) == pytest.approx(0.0171 * standing.throughput, rel=0.01)
        assert figures.margin(replace(standing, log_error=math.inf)) == 0.0

    def test_measuring_facts(self) -> None:
        """They cover the open-loop points and nothing else."""
        facts = figures.measuring_facts(studies.study([studies.baseline()]))

        assert facts is not None
        assert (facts.points, facts.priorities) == (5, ("real-time",))
        assert facts.worst_lag_s == 0.00012
        assert figures.measuring_facts(studies.study()) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (formats.rate(9.876), "9.88"),
        (formats.rate(98.76), "98.8"),
        (formats.rate(12345.6), "12,346"),
        (formats.rate(0.0412), "0.0412"),
        (formats.rate(0.64), "0.640"),
        (formats.with_margin(0.0412, 0.006), "0.0412 ± 0.0060"),
        (formats.rate(0.0), "-"),
        (formats.rate(math.nan), "-"),
        (formats.with_margin(398.2, 15.93), "398 ± 16"),
        (formats.with_margin(41.27, 1.638), "41.3 ± 1.6"),
        (formats.with_margin(0.0, 0.0), "-"),
        (formats.with_margin(5.0, 0.0), "5.00"),
        (formats.latency(0.01234), "12.3 ms"),
        (formats.latency(1.5), "1,500 ms"),
        (formats.latency(math.nan), "-"),
        (formats.latency(math.inf), "∞"),
        (formats.duration(8.21), "8.2 s"),
        (formats.duration(59.4), "59 s"),
        (formats.duration(303.0), "5 min 03 s"),
        (formats.duration(7800.0), "2 h 10 min"),
        (formats.duration(math.nan), "-"),
        (formats.per_cent(0.584), "58 %"),
        (formats.per_cent(0.004), "0.4 %"),
        (formats.gain(Ratio(2.5, 2.65, 2.8)), "2.65x (2.50 to 2.80)"),
        (formats.stamp(datetime(2026, 3, 7, 22, 5, tzinfo=UTC)), "2026-03-07 22:05 UTC"),
        (formats.value(True), "true"),
        (formats.value(None), "-"),
        (formats.fact("memory_bytes", 8 << 30), "8.0 GiB"),
        (formats.fact("zero", False), "false"),
        (formats.fact("image", ""), "-"),
        (formats.label("memory_bytes"), "memory"),
    ],
    ids=map(str, itertools.count()),
)
def test_formats(text: str, expected: str) -> None:
    """Numbers have the digits that a person needs, and a unit."""
    assert text == expected


CHANGED = Configuration.of({"instance_count": 4, "threads": 2, "dynamic_batching": False})


@pytest.mark.parametrize(
    ("configuration", "baseline", "said"),
    [
        (CHANGED, studies.DEFAULTS, "instance_count=4"),
        (studies.DEFAULTS, studies.DEFAULTS, "server's defaults"),
        (studies.BEST, None, str(studies.BEST)),
    ],
    ids=["what is changed", "the defaults have a name", "without a baseline everything"],
)
def test_short(configuration: Configuration, baseline: Configuration | None, said: str) -> None:
    """Only the values that differ from the server's defaults are told."""
    assert formats.short(configuration, baseline) == said


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([12.0, 600.0], [10, 20, 50, 100, 200, 500, 1000]),
        ([12.0, 60.0], [10, 15, 20, 30, 40, 50, 70, 100, 150]),
        ([50.0], [20, 30, 40, 50, 70, 100]),
        ([], []),
    ],
)
def test_log_ticks(values: list[float], expected: list[float]) -> None:
    """The ticks are round and reach a little beyond the values."""
    assert page.log_ticks(values) == expected
