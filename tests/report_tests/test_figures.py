"""Sums over trials, numbers for people and sentences about findings."""

import itertools
import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.report_tests import studies
from tuner.errors import Reason
from tuner.finals import Ratio, standings
from tuner.records import StudyRecord, TrialState
from tuner.report import charts, figures, findings, formats
from tuner.space import Configuration


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

        assert figures.margin(standing) == pytest.approx(0.061 * standing.throughput, rel=0.05)
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


class TestShort:
    def test_names_what_is_changed(self) -> None:
        """Only the values that differ from the server's defaults are told."""
        tried = Configuration.of({"instance_count": 4, "threads": 2, "dynamic_batching": False})

        assert formats.short(tried, studies.DEFAULTS) == "instance_count=4"

    def test_of_the_defaults(self) -> None:
        """The defaults have a name."""
        assert formats.short(studies.DEFAULTS, studies.DEFAULTS) == "server's defaults"

    def test_without_a_baseline(self) -> None:
        """Without a baseline everything is told."""
        assert formats.short(studies.BEST, None) == str(studies.BEST)


def headline(study: StudyRecord) -> str:
    return findings.headline(study, standings(study))


def remarks(study: StudyRecord) -> str:
    return " ".join(findings.remarks(study, standings(study)))


class TestFindings:
    def test_a_proven_gain(self) -> None:
        """The headline says what the winner carries and how many times the defaults that is."""
        assert headline(studies.night()) == (
            "The best configuration carries 398 inferences/s within p99 <= 50 ms: 2.65x what the "
            "server's defaults carry"
        )

    def test_ties_are_called_ties(self) -> None:
        """A finalist within the uncertainty of the winner is named."""
        assert remarks(studies.night()) == "Tied with the best within the uncertainty: trial 6."

    def test_the_search_alone_is_no_proof(self) -> None:
        """Without finals the sentence says that nothing was confirmed."""
        assert "from the search alone" in remarks(studies.small_study())

    def test_keeps_the_defaults_that_won(self) -> None:
        """Where the baseline is the best, the advice is to keep it."""
        study = studies.study([studies.baseline(200.0), studies.trial(1, 100.0)])

        assert headline(study) == (
            "Keep the server's defaults: nothing that was tried beats their 200 inferences/s "
            "within p99 <= 50 ms"
        )
        assert findings.about_curves(study, standings(study)) == (
            "The server with its defaults stays within p99 <= 50 ms up to 200 inferences/s"
        )

    def test_a_tie_with_the_defaults(self) -> None:
        """A gain within the uncertainty is called no proven gain."""
        study = studies.study([studies.baseline(200.0), studies.trial(1, 203.0)])

        assert headline(study).endswith("no proven gain over the server's defaults")
        assert "the server's defaults: without a proven gain, keep the defaults" in remarks(study)

    def test_defaults_that_win_by_nothing(self) -> None:
        """A configuration that ties with the winning defaults is no reason to change them."""
        study = studies.study([studies.baseline(203.0), studies.trial(1, 200.0)])

        assert "there is no reason to change the defaults" in remarks(study)

    def test_several_ties_are_listed(self) -> None:
        """Names are joined as in a sentence."""
        study = studies.study([studies.trial(n, 400.0 - n) for n in range(1, 4)])

        assert "within the uncertainty: trial 2 and trial 3." in remarks(study)

    def test_infeasible_defaults(self) -> None:
        """Defaults that meet the budget at no load leave no gain to tell."""
        slow = studies.infeasible(studies.baseline(), unloaded_s=0.061)
        study = studies.study([slow, studies.trial(1, 300.0)])

        assert headline(study) == (
            "The best configuration carries 300 inferences/s within p99 <= 50 ms"
        )
        assert (
            "The server's defaults do not meet p99 <= 50 ms at any load; their latency with one "
            "request at a time is 61.0 ms."
        ) in remarks(study)

    def test_defaults_that_failed(self) -> None:
        """The reason for which the defaults were not measured is told."""
        broken = studies.baseline(state=TrialState.FAILED, reason=Reason.START_TIMEOUT)
        study = studies.study([broken, studies.trial(1, 300.0)])

        assert "could not be measured (failed: start timeout)." in remarks(study)

    def test_defaults_that_were_not_measured(self) -> None:
        """A study without a baseline says so."""
        study = studies.study([studies.trial(1, 300.0)])

        assert "The server's defaults were not measured." in remarks(study)

    def test_defaults_that_were_not_confirmed(self) -> None:
        """Defaults that missed the budget on a fresh start are no yardstick."""
        missed = replace(
            studies.final(3, studies.DEFAULTS, 0.0), state=TrialState.INFEASIBLE, throughput=0.0
        )
        finals = [studies.final(2, studies.BEST, 400.0), missed]
        study = studies.study([studies.baseline(), *finals])

        assert "did not meet p99 <= 50 ms when measured again." in remarks(study)

    def test_nothing_feasible(self) -> None:
        """Where nothing meets the budget the closest trial is named."""
        study = studies.study(
            [
                studies.infeasible(studies.baseline(), unloaded_s=0.090),
                studies.infeasible(studies.trial(1), unloaded_s=0.061),
            ]
        )

        assert headline(study) == "No configuration meets p99 <= 50 ms"
        assert "The closest is trial 1: 61.0 ms with one request at a time." in remarks(study)
        assert findings.about_front(study) == "No load point meets p99 <= 50 ms"

    def test_everything_failed(self) -> None:
        """A study of failures says that nothing was measured."""
        study = studies.study([studies.failed(0, Reason.START_FAILED, "no such model")])

        assert headline(study) == "No configuration could be measured: every trial failed"

    def test_an_empty_study(self) -> None:
        """Before the first trial there is nothing to say."""
        assert headline(studies.study()) == "No trial was run yet"
        assert remarks(studies.study()) == ""

    def test_how_trials_ended(self) -> None:
        """The ways in which trials ended are counted."""
        assert findings.about_trials(studies.small_study()) == (
            "7 trials: 4 within the latency budget, 1 over it at any load, "
            "1 stopped because beaten, 1 failed"
        )

    def test_capacity_of_a_pruned_trial_is_a_bound(self) -> None:
        """What a pruned trial reached is not known, only what it cannot reach."""
        capacities = [findings.capacity(trial) for trial in studies.small_study().trials]

        assert capacities == ["152", "260", "401", "< 180", "-", "-", "395"]

    def test_verification_counts_grades(self) -> None:
        """The grades of the winner's parameters are counted in words."""
        winner = standings(studies.night()).winner

        assert findings.about_verification(winner) == (
            "Parameters of the best configuration: 3 confirmed by the server itself, "
            "3 set without a way to prove the effect"
        )
        assert findings.about_verification(None) == "Nothing was read back from the server"


@pytest.mark.parametrize(
    ("values", "expected"),
    [([12.0, 60.0], [10, 20, 50, 100]), ([50.0], [20, 50, 100]), ([], [])],
)
def test_log_ticks(values: list[float], expected: list[float]) -> None:
    """The ticks are round and reach a little beyond the values."""
    assert charts.log_ticks(values) == expected
