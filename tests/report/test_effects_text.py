"""Which parameters mattered, as the reports say it."""

import math
from dataclasses import replace

import pytest

from tests.analysis.test_effects import factorial, trial
from tests.report import studies
from tests.report.test_terminal import row, shown
from tuner.analysis.standings import standings
from tuner.errors import InputError
from tuner.records import StudyRecord, TrialState
from tuner.report import effects_text, terminal
from tuner.report.effects_text import remarks_on_decided, title


def section(study: StudyRecord, *, width: int = 80) -> str:
    tables = terminal.effects_tables(study, standings(study))
    return "".join(shown(table, width=width) for table in tables)


def everything(study: StudyRecord, *, width: int = 80) -> str:
    return shown(terminal.all_effects(effects_text.of(study, standings(study))), width=width)


def refusal(study: StudyRecord) -> InputError:
    found = effects_text.of(study, standings(study))
    with pytest.raises(InputError) as caught:
        effects_text.check(study, found)
    return caught.value


def test_what_is_decided_is_in_the_title() -> None:
    """The largest effects come first, whether they helped or hurt."""
    study = factorial()

    assert title(effects_text.of(study, standings(study))) == (
        "What mattered for the capacity: a=true 1.64x, b=true 0.69x"
    )


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


def test_the_terminal_shows_the_decided_ones() -> None:
    """A row for each decided effect, and the others by name with the command for the rest."""
    text = section(factorial())

    assert row(text, "a")[:2] == ["true", "false"]
    assert row(text, "a")[2].startswith("1.64x (")
    assert row(text, "a")[3] == "8"
    assert "No proven effect: c, d. `tuner effects encoder-p99-50ms` shows all." in text
    assert "Together, what the best configuration changes gives " in text
    assert "single effects would be 1.62x (1.50 to 1.74).\n" in text


def test_nothing_decided() -> None:
    """Where nothing is proved there is no table, and each parameter is named."""
    study = factorial(scatter=5.0)
    text = section(study)

    assert text.startswith("No parameter is proved to have mattered\n")
    assert "No proven effect: a, b, c, d. `tuner effects" in text
    assert "pairs" not in text


def test_too_few_configurations() -> None:
    """A study that cannot tell says so in two lines."""
    whole = factorial()
    study = replace(whole, trials=whole.trials[:3])

    assert section(study) == (
        "No parameter is proved to have mattered\n"
        "Too few different configurations were measured to tell the parameters apart.\n"
    )


def test_nothing_to_compare() -> None:
    """A study of one configuration has no such section."""
    assert section(studies.study([studies.baseline()])) == ""
    assert section(studies.study()) == ""


def test_defaults_that_won_are_not_multiplied() -> None:
    """Where the baseline itself is the best, it changes nothing that could multiply."""
    study = factorial()
    first = replace(study.trials[0], throughput=10_000.0)
    study = replace(study, trials=(first, *study.trials[1:]))
    result = standings(study)

    said = effects_text.remarks(result, effects_text.of(study, result))

    assert not any("Together" in sentence for sentence in said)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("study", [factorial(), studies.night(), studies.small_study()])
def test_everything_fits(study: StudyRecord, width: int) -> None:
    """No line is wider than the terminal, and no row is broken."""
    text = section(study, width=width) + everything(study, width=width)

    assert max(len(line) for line in text.splitlines()) <= width


def test_all_effects_stand_under_their_parameters() -> None:
    """Each value has its ratio, verdict, pairs with what they show, and how much was measured."""
    lines = everything(factorial()).splitlines()

    at = lines.index("a, instead of false")
    assert lines[at + 1].split()[0] == "true"
    assert lines[at + 1].split()[-1] == "8/8"
    assert "helped" in lines[at + 1]
    assert "8 (1.64x)" in lines[at + 1]


def test_a_line_over_many_numbers() -> None:
    """A slope stands beside no single value: its name and its row say `each doubling`."""
    trials = [
        trial(n, 100 * 1.3 ** (n % 6) * (1 + 0.01 * (n % 4)), {"size": 2 ** (n % 6), "on": n > 5})
        for n in range(12)
    ]
    study = studies.study(trials)

    assert title(effects_text.of(study, standings(study))) == (
        "What mattered for the capacity: size (each doubling) 1.30x"
    )
    assert row(section(study), "size")[:2] == ["each doubling", "-"]
    assert "size" in [line.strip() for line in everything(study).splitlines()]


def test_an_interval_that_says_nothing() -> None:
    """Where the ends of an interval are more than 100 times apart, they are not shown."""
    lines = everything(factorial(scatter=5.0)).splitlines()

    assert all("(too vague)" in line for line in lines if "no proven effect" in line)
    assert max(map(len, lines)) <= 80


def test_why_an_effect_is_not_known_is_said() -> None:
    """Below a value that is not known stands the reason."""
    values = [{"a": on, "b": on, "c": c} for on in (False, True) for c in (1, 2, 3)]
    text = everything(studies.study([trial(n, 100.0 + n, v) for n, v in enumerate(values)]))

    assert "    not separable from b\n" in "\n".join(map(str.rstrip, text.splitlines())) + "\n"


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


def test_parameters_of_which_nothing_is_known() -> None:
    """They are named apart from those without a proven effect."""
    values = [{"a": on, "b": on, "c": c} for on in (False, True) for c in (1, 2, 3)]
    study = studies.study([trial(n, 100.0 + 7 * (n % 2), v) for n, v in enumerate(values)])
    result = standings(study)

    said = remarks_on_decided(study, result, effects_text.of(study, result))

    assert said == (
        "No proven effect: c; not known: a, b. `tuner effects encoder-p99-50ms` shows all.",
    )


def test_refusals_say_what_is_missing() -> None:
    """Too few configurations, or none to compare: what there is, and what it takes."""
    whole = factorial()
    few = refusal(replace(whole, trials=whole.trials[:3]))
    one = refusal(studies.study([studies.baseline()]))
    again = "run its `tuner optimize` again with `--study encoder-p99-50ms` and more `--trials`"

    assert few.hint == one.hint == again
    assert one.message == "in study `encoder-p99-50ms` no parameter has two values to compare"
    assert few.message == (
        "study `encoder-p99-50ms` measured the capacity of 3 configurations, but to tell the 2 "
        "effects apart takes at least 4"
    )


def test_a_refusal_of_parameters_that_changed_together() -> None:
    """Where no parameter was changed without the other, that is what is said."""
    study = studies.study([trial(n, 100.0 + n * n, {"a": 2**n, "b": 2**n}) for n in range(4)])

    assert refusal(study).message == (
        "study `encoder-p99-50ms` varied its parameters only together with each other"
    )
