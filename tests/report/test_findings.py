"""What a study found, in sentences."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pytest

from tests.report import studies, texts
from tests.report.studies import BEST, DEFAULTS, configuration
from tuner.analysis.point_frame import point_frame
from tuner.analysis.standings import standings
from tuner.errors import Reason
from tuner.records import Comparison, StudyRecord, TrialRecord, TrialState, Usage
from tuner.report import answer_sheets, findings
from tuner.space.space import Configuration

PROVED = {BEST: (396.0, 398.0, 400.0), DEFAULTS: (149.0, 150.0, 151.0)}
# Two that are tied, the first of them a little ahead.
AHEAD = (402.0, 404.0, 406.0)
BEHIND = (396.0, 398.0, 400.0)


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


def cheaper(other: Configuration, *usages: Usage) -> StudyRecord:
    """The fastest takes the first of `usages`, `other`, which is tied with it, the second."""
    study = measured_again(
        {configuration(2): AHEAD, other: BEHIND, DEFAULTS: (149.0, 150.0, 151.0)}
    )
    took = dict(zip((configuration(2), other), usages, strict=False))
    trials = [replace(t, usage=took.get(t.configuration, Usage())) for t in study.trials]
    return replace(study, trials=tuple(trials))


def reloaded(study: StudyRecord) -> StudyRecord:
    return replace(study, trials=tuple(replace(t, applied="reload") for t in study.trials))


def missed(trial: TrialRecord) -> TrialRecord:
    return replace(trial, state=TrialState.INFEASIBLE, throughput=0.0)


STUDIES = {
    "a proven gain": measured_again(PROVED),
    "a proven gain on a remote server": reloaded(measured_again(PROVED)),
    "a gain of too few rounds": measured_again({BEST: (396.0, 398.0), DEFAULTS: (149.0, 150.0)}),
    "a gain of the search alone": studies.study(
        [studies.baseline(150.0), studies.trial(1, 400.0)]
    ),
    "a tie of which none is cheaper": measured_again(
        {
            configuration(3): BEHIND,
            configuration(2): (393.0, 394.0, 397.0),
            configuration(5): (390.0, 392.0, 397.0),
            DEFAULTS: (149.0, 150.0, 151.0),
        }
    ),
    "recommended for its instances": cheaper(configuration(3)),
    "recommended for its changes": cheaper(configuration(5)),
    "recommended for its memory": cheaper(
        configuration(5), Usage(memory_bytes=1.5 * 2**30), Usage(memory_bytes=0.5 * 2**30)
    ),
    "recommended for its processor time": cheaper(
        configuration(5), Usage(cpu_s=0.005), Usage(cpu_s=0.0025)
    ),
    "defaults that are tied are kept": measured_again({BEST: AHEAD, DEFAULTS: BEHIND}),
    "defaults that won in the search": studies.study(
        [studies.baseline(200.0), studies.trial(1, 100.0)]
    ),
    "a tie with the defaults in the search": studies.study(
        [studies.baseline(200.0), studies.trial(1, 203.0)]
    ),
    "defaults that win by nothing": studies.study(
        [studies.baseline(203.0), studies.trial(1, 200.0)]
    ),
    "several ties, and no defaults": studies.study(
        [studies.trial(n, 400.0 - n) for n in (1, 2, 3)]
    ),
    "infeasible defaults": studies.study(
        [studies.infeasible(studies.baseline(), unloaded_s=0.061), studies.trial(1, 300.0)]
    ),
    "defaults that failed": studies.study(
        [
            studies.baseline(state=TrialState.FAILED, reason=Reason.START_TIMEOUT),
            studies.trial(1, 300.0),
        ]
    ),
    "defaults that missed the budget on a fresh start": studies.study(
        [
            studies.baseline(),
            studies.final(2, BEST, 400.0),
            missed(studies.final(3, DEFAULTS, 1.0)),
        ]
    ),
    "nothing feasible": studies.study(
        [
            studies.infeasible(studies.baseline(), unloaded_s=0.090),
            studies.infeasible(studies.trial(1), unloaded_s=0.061),
        ]
    ),
    "everything failed": studies.study([studies.failed(0, Reason.START_FAILED, "no such model")]),
    "an empty study": studies.study(),
    "one trial of each ending": studies.small_study(),
    "a whole night": studies.night(),
}


def result(study: StudyRecord) -> Iterator[str]:
    found = standings(study)
    yield findings.headline(study, found)
    yield from (f"- {remark}" for remark in findings.remarks(study, found))
    for name, side in findings.sides(found).items():
        yield f"{name}: {findings.carried(side)}, {findings.grounds(side)}"


def titles(study: StudyRecord) -> Iterator[str]:
    result = standings(study)
    yield findings.about_export(result)
    yield answer_sheets.about_front(study, point_frame(study))
    yield findings.about_curves(study, result)
    yield findings.about_trials(study)
    yield findings.about_time(study)
    yield findings.about_reloads(study) or "(no reloads)"
    yield findings.about_verification(result.winner)
    trials = (f"{findings.capacity(t)} ({findings.ended(t)})" for t in study.trials)
    yield f"Capacities: {', '.join(trials)}"


def test_every_kind_of_result() -> None:
    """Headline, remarks, and what stands side by side."""
    texts.check("results.txt", {title: result(study) for title, study in STUDIES.items()})


def test_titles_of_sections() -> None:
    """Each is a finding."""
    chosen = ["defaults that won in the search", "nothing feasible", "an empty study"]
    chosen += ["one trial of each ending", "infeasible defaults"]
    texts.check("titles.txt", {title: titles(STUDIES[title]) for title in chosen})


@pytest.mark.parametrize(
    ("compare", "comparison", "said"),
    [
        (None, Comparison(), ""),
        (
            None,
            Comparison(("answer.id", "answer.created")),
            (
                "Not compared with the baseline's, because they differ from one answer of the "
                "baseline to the next: `answer.id`, `answer.created`."
            ),
        ),
        (
            None,
            Comparison(("answer",), nothing_left=True),
            (
                "Outputs cannot be compared: all of them differ from one answer of the baseline "
                "to the next (`answer`). What can be checked is their types and shapes, and that "
                "they have no NaN."
            ),
        ),
        (
            ["$.label", "$.score"],
            Comparison(),
            (
                "Of the outputs, only `$.label` and `$.score` counted, as the space file says "
                "(`compare`)."
            ),
        ),
        ([], Comparison(), "Outputs were not compared, as the space file says (`compare: none`)."),
    ],
)
def test_what_was_not_compared(
    compare: list[str] | None, comparison: Comparison, said: str
) -> None:
    """It is said of every study of which something was left out, and why."""
    request = {} if compare is None else {"compare": compare}
    study = replace(studies.small_study(), request=request, comparison=comparison)
    assert findings.about_comparison(study) == ((said,) if said else ())
    assert not said or said in findings.remarks(study, standings(study))


def test_processor_time_of_a_language_model() -> None:
    """It is of a request, as its throughputs are."""
    own = cheaper(configuration(5), Usage(cpu_s=0.005), Usage(cpu_s=0.0025))
    study = replace(own, request={"prompts": {"task": "chat"}})

    said = " ".join(findings.remarks(study, standings(study)))

    assert "less processor time: 2.50 ms for each request instead of 5.00 ms" in said
