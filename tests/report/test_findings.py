"""What a study found, in sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from tests.report import studies
from tests.report.studies import BEST, DEFAULTS, configuration
from tuner.analysis.standings import standings
from tuner.errors import Reason
from tuner.records import StudyRecord, TrialState, Usage
from tuner.report import findings
from tuner.space.space import Configuration


def headline(study: StudyRecord) -> str:
    return findings.headline(study, standings(study))


def remarks(study: StudyRecord) -> str:
    return " ".join(findings.remarks(study, standings(study)))


def measured_again(capacities: Mapping[Configuration, Sequence[float]]) -> StudyRecord:
    """A search that had the server's defaults and these, and finals of them in rounds."""
    search = [
        studies.trial(n, 300.0, configuration=tried) for n, tried in enumerate(capacities, 1)
    ]
    finals = [
        replace(studies.final(100 + 10 * number + column, tried, capacity), round=number)
        for column, (tried, own) in enumerate(capacities.items())
        for number, capacity in enumerate(own)
    ]
    return studies.study([studies.baseline(), *search, *finals])


def test_a_proven_gain() -> None:
    """The headline says how many times the defaults it is, and that the finals prove it."""
    study = measured_again({BEST: (396.0, 398.0, 400.0), DEFAULTS: (149.0, 150.0, 151.0)})

    assert headline(study) == (
        "The best configuration carries 398 inferences/s within p99 <= 50 ms: 2.65x what the "
        "server's defaults carry, proved on fresh starts"
    )
    assert remarks(study) == ""


def test_a_proven_gain_of_a_server_of_somebody_else() -> None:
    """It was not started for the finals: what confirmed the gain are reloads, and called so."""
    study = measured_again({BEST: (396.0, 398.0, 400.0), DEFAULTS: (149.0, 150.0, 151.0)})
    study = replace(study, trials=tuple(replace(t, applied="reload") for t in study.trials))

    assert headline(study).endswith("2.65x what the server's defaults carry, proved on reloads")
    winner = standings(study).winner
    assert winner is not None
    assert findings.grounds(winner) == "measured again on 3 reloads"


def test_a_gain_of_too_few_rounds() -> None:
    """Two rounds are not called a proof, and a remark says what is missing."""
    study = measured_again({BEST: (396.0, 398.0), DEFAULTS: (149.0, 150.0)})

    assert headline(study).endswith(": 2.66x what the server's defaults carry")
    assert remarks(study) == (
        "The gain is beyond the uncertainty and not proved yet: a proof takes three rounds of "
        "fresh starts."
    )


def test_a_gain_of_the_search_alone() -> None:
    """What no fresh start has confirmed is not called proved."""
    study = studies.study([studies.baseline(150.0), studies.trial(1, 400.0)])

    assert headline(study).endswith(": 2.67x what the server's defaults carry")


def test_ties_are_called_ties() -> None:
    """Who is tied with the best is named, and that there is nothing to gain from them."""
    study = measured_again(
        {
            configuration(3): (396.0, 398.0, 400.0),
            configuration(2): (393.0, 394.0, 397.0),
            configuration(5): (390.0, 392.0, 397.0),
            DEFAULTS: (149.0, 150.0, 151.0),
        }
    )

    assert remarks(study) == (
        "Tied with the best within the uncertainty: trial 2 and trial 3; none within 2 % of "
        "it is cheaper or simpler."
    )


@pytest.mark.parametrize(
    ("other", "usages", "reason"),
    [
        (configuration(3), (), "it is simpler: 1 instance instead of 4"),
        (configuration(5), (), "it is simpler: 5 changed parameters instead of 6"),
        (
            configuration(5),
            (Usage(memory_bytes=1.5 * 2**30), Usage(memory_bytes=0.5 * 2**30)),
            "it takes less memory: 0.5 GiB instead of 1.5 GiB",
        ),
        (
            configuration(5),
            (Usage(cpu_s=0.005), Usage(cpu_s=0.0025)),
            "it takes less processor time: 2.50 ms for each inference instead of 5.00 ms",
        ),
    ],
    ids=["instances", "changes", "memory", "processor"],
)
def test_why_another_than_the_fastest(
    other: Configuration, usages: tuple[Usage, ...], reason: str
) -> None:
    """Of several that are tied the report says which is recommended, and why."""
    study = measured_again(
        {
            configuration(2): (402.0, 404.0, 406.0),
            other: (396.0, 398.0, 400.0),
            DEFAULTS: (149.0, 150.0, 151.0),
        }
    )
    took = dict(zip((configuration(2), other), usages, strict=False))
    trials = [replace(t, usage=took.get(t.configuration, Usage())) for t in study.trials]
    study = replace(study, trials=tuple(trials))

    assert headline(study) == (
        "The recommended configuration carries 398 inferences/s within p99 <= 50 ms: 2.65x what "
        "the server's defaults carry, proved on fresh starts"
    )
    assert remarks(study) == (
        "Tied with trial 2 within the uncertainty: trial 1 (it measured 1.5 % more); trial 2 is "
        f"recommended because {reason}."
    )


def test_defaults_that_are_tied_are_kept() -> None:
    """Where nothing is proved to beat the defaults, the advice is to keep them."""
    study = measured_again({BEST: (402.0, 404.0, 406.0), DEFAULTS: (396.0, 398.0, 400.0)})

    assert headline(study) == (
        "Keep the server's defaults: nothing that was tried is proved to beat their "
        "398 inferences/s within p99 <= 50 ms"
    )
    assert remarks(study) == (
        "Tied with the server's defaults within the uncertainty: trial 1 (it measured 1.5 % "
        "more): without a proven gain, there is no reason to change the defaults."
    )


def test_the_search_alone_is_no_proof() -> None:
    """Without finals the sentence says that nothing was confirmed."""
    assert "from the search alone" in remarks(studies.small_study())


def test_keeps_the_defaults_that_won() -> None:
    """Where the baseline is the best, the advice is to keep it."""
    study = studies.study([studies.baseline(200.0), studies.trial(1, 100.0)])

    assert headline(study) == (
        "Keep the server's defaults: nothing that was tried beats their 200 inferences/s "
        "within p99 <= 50 ms"
    )
    assert findings.about_curves(study, standings(study)) == (
        "The server with its defaults stays within p99 <= 50 ms up to 200 inferences/s"
    )


def test_a_tie_with_the_defaults() -> None:
    """A gain within the uncertainty is called no proven gain."""
    study = studies.study([studies.baseline(200.0), studies.trial(1, 203.0)])

    assert headline(study).endswith("no proven gain over the server's defaults")
    assert (
        "the server's defaults: that it carries more than they do is not proved; a longer "
        "`--timeout` may do it"
    ) in remarks(study)


def test_defaults_that_win_by_nothing() -> None:
    """A configuration that ties with the winning defaults is no reason to change them."""
    study = studies.study([studies.baseline(203.0), studies.trial(1, 200.0)])

    assert "there is no reason to change the defaults" in remarks(study)


def test_several_ties_are_listed() -> None:
    """Names are joined as in a sentence."""
    study = studies.study([studies.trial(n, 400.0 - n) for n in range(1, 4)])

    assert "within the uncertainty: trial 2 and trial 3." in remarks(study)


def test_infeasible_defaults() -> None:
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


def test_defaults_that_failed() -> None:
    """The reason for which the defaults were not measured is told."""
    broken = studies.baseline(state=TrialState.FAILED, reason=Reason.START_TIMEOUT)
    study = studies.study([broken, studies.trial(1, 300.0)])

    assert "could not be measured (failed: start timeout)." in remarks(study)


def test_defaults_that_were_not_measured() -> None:
    """A study without a baseline says so."""
    study = studies.study([studies.trial(1, 300.0)])

    assert "The server's defaults were not measured." in remarks(study)


def test_defaults_that_were_not_confirmed() -> None:
    """Defaults that missed the budget on a fresh start are no yardstick."""
    missed = replace(
        studies.final(3, studies.DEFAULTS, 0.0), state=TrialState.INFEASIBLE, throughput=0.0
    )
    finals = [studies.final(2, studies.BEST, 400.0), missed]
    study = studies.study([studies.baseline(), *finals])

    assert "did not meet p99 <= 50 ms when measured again." in remarks(study)


def test_nothing_feasible() -> None:
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


def test_everything_failed() -> None:
    """A study of failures says that nothing was measured."""
    study = studies.study([studies.failed(0, Reason.START_FAILED, "no such model")])

    assert headline(study) == "No configuration could be measured: every trial failed"


def test_an_empty_study() -> None:
    """Before the first trial there is nothing to say."""
    assert headline(studies.study()) == "No trial was run yet"
    assert remarks(studies.study()) == ""


def test_how_trials_ended() -> None:
    """The ways in which trials ended are counted."""
    assert findings.about_trials(studies.small_study()) == (
        "7 trials: 4 within the latency budget, 1 over it at any load, "
        "1 stopped because beaten, 1 failed"
    )


def test_capacity_of_a_pruned_trial_is_a_bound() -> None:
    """What a pruned trial reached is not known, only what it cannot reach."""
    capacities = [findings.capacity(trial) for trial in studies.small_study().trials]

    assert capacities == ["152", "260", "401", "< 180", "-", "-", "395"]


def test_verification_counts_grades() -> None:
    """The grades of the winner's parameters are counted in words."""
    winner = standings(studies.night()).winner

    assert findings.about_verification(winner) == (
        "Parameters of the best configuration: 3 confirmed by the server itself, "
        "3 set without a way to prove the effect"
    )
    assert findings.about_verification(None) == "Nothing was read back from the server"
