"""Which parameters mattered, as the reports say it."""

import math
from dataclasses import replace

from tests.analysis.test_effects import factorial, trial
from tests.refusals import refused
from tests.report import studies, texts
from tests.report.test_terminal import shown
from tuner.analysis.standings import standings
from tuner.records import StudyRecord, TrialState
from tuner.report import effects_text, terminal
from tuner.report.effects_text import title


def told(study: StudyRecord) -> list[str]:
    """What the terminal says of the effects: the decided ones, then all."""
    result = standings(study)
    found = effects_text.of(study, result)
    tables = terminal.effects_tables(study, result, found)
    every = terminal.all_effects(found)
    return "\n".join(shown(table) for table in (*tables, every)).splitlines()


def test_every_kind_of_effects() -> None:
    """Decided, undecided, too vague, not known, along a line; and studies that cannot tell."""
    whole = factorial()
    together = [{"a": on, "b": on, "c": c} for on in (False, True) for c in (1, 2, 3)]
    lines = [{"size": 2 ** (n % 6), "on": n > 5} for n in range(12)]
    found = {
        "nothing is decided, and too vague": factorial(scatter=5.0),
        "too few configurations": replace(whole, trials=whole.trials[:3]),
        "parameters that changed together": studies.study(
            [trial(n, 100.0 + 7 * (n % 2), v) for n, v in enumerate(together)]
        ),
        "a line over many numbers": studies.study(
            [trial(n, 100 * 1.3 ** (n % 6) * (1 + 0.01 * (n % 4)), v) for n, v in enumerate(lines)]
        ),
    }

    texts.check("effects.txt", {title: told(study) for title, study in found.items()})


def test_more_than_three_are_counted() -> None:
    """A title names three effects, and says how many there are besides."""
    values = [dict(zip("abcde", map(bool, (n & 1, n & 2, n & 4, n & 8, n & 16)), strict=True))
              for n in range(32)]  # fmt: skip
    trials = [
        trial(n, 100 * math.exp(0.3 * sum(v.values()) + 0.01 * (n % 3)), v)
        for n, v in enumerate(values)
    ]
    study = studies.study(trials)

    found = title(effects_text.of(study, standings(study)))

    assert found.count("=true") == 3
    assert found.endswith(", and 2 others")


def test_nothing_to_compare() -> None:
    """A study of one configuration has no such section."""
    for study in (studies.study([studies.baseline()]), studies.study()):
        result = standings(study)
        assert terminal.effects_tables(study, result, effects_text.of(study, result)) == []


def test_defaults_that_won_are_not_multiplied() -> None:
    """Where the baseline itself is the best, it changes nothing that could multiply."""
    study = factorial()
    first = replace(study.trials[0], throughput=10_000.0)
    study = replace(study, trials=(first, *study.trials[1:]))
    result = standings(study)

    said = effects_text.remarks(result, effects_text.of(study, result))

    assert not any("Together" in sentence for sentence in said)


def test_what_the_effects_rest_on() -> None:
    """Bounds and configurations without a capacity are told, with how they count."""
    whole = factorial()
    bound = replace(whole.trials[14], state=TrialState.PRUNED, throughput=100.0)
    slow = replace(whole.trials[15], state=TrialState.INFEASIBLE, throughput=0.0)
    study = replace(whole, trials=(*whole.trials[:14], bound, slow))

    assert effects_text.counts(effects_text.of(study, standings(study))) == (
        "From 14 configurations with a measured capacity; 1 stopped because beaten count as "
        "below their bound; 1 without a capacity do not count."
    )


def test_a_refusal_of_parameters_that_changed_together() -> None:
    """Where no parameter was changed without the other, that is what is said."""
    study = studies.study([trial(n, 100.0 + n * n, {"a": 2**n, "b": 2**n}) for n in range(4)])

    message = "study `encoder-p99-50ms` varied its parameters only together with each other"
    with refused(message):  # the other refusals: tests/cli/test_effects.py
        effects_text.check(study, effects_text.of(study, standings(study)))
