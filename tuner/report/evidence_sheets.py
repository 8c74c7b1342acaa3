"""The evidence of a study as tables: effects, failures, verification, machine and environment."""

import textwrap
from collections.abc import Mapping, Sequence

from tuner.analysis.effects import Effects, Judgement
from tuner.analysis.standings import Standing
from tuner.errors import Reason
from tuner.records import StudyRecord
from tuner.report import effects_text, failures, formats, markup
from tuner.report.sheet import Sheet

# Trials that are named in one row,
_MOST_NAMED = 8
# rows of failures,
_MOST_GROUPS = 20
# and characters of a line of a log.
_LONGEST_LINE = 300


def effects(found: Effects) -> Sheet:
    """What each value does to the capacity."""
    rows = [
        (
            markup.code(each.parameter),
            markup.code(formats.value(each.value)),
            markup.code(effects_text.reference(each)),
            effects_text.gain(each),
            f"{each.judgement.value}: {each.why}" if each.why else each.judgement.value,
            effects_text.pairs(each),
            effects_text.tried(each),
        )
        for each in found.effects
    ]
    return Sheet(
        "The effect of each value",
        (
            "Parameter",
            "Value",
            "Instead of",
            "Capacity, 95 % interval",
            "Verdict",
            "Pairs",
            "Measured",
        ),
        tuple(rows),
        numbers=frozenset({1, 2, 3, 5, 6}),
        best=frozenset(
            n for n, each in enumerate(found.effects) if each.judgement is Judgement.HELPED
        ),
    )


def failed(groups: Sequence[failures.FailureGroup]) -> Sheet:
    """What failed most often, with the line of the server's log that says why."""
    rows = [_failure(each) for each in groups[:_MOST_GROUPS]]
    return Sheet(
        "What failed, and why",
        ("Failed as", "Trials", "What was said", "What the server's log says", "What may help"),
        tuple(rows),
    )


def left_out(groups: Sequence[failures.FailureGroup]) -> str:
    """How many groups are not in the table; empty if all are."""
    more = len(groups) - _MOST_GROUPS
    return f"{formats.counted(more, 'rarer kind')} of failure left out." if more > 0 else ""


def verification(study: StudyRecord, winner: Standing) -> Sheet:
    """What is known of each parameter of the winner."""
    rows = [
        (
            markup.code(name),
            markup.code(formats.value(winner.configuration.get(name))),
            study.parameters.get(name, formats.NOTHING),
            verdict.grade.value,
            verdict.found or formats.NOTHING,
        )
        for name, verdict in winner.trial.verdicts.items()
    ]
    return Sheet(
        "The parameters of the best configuration, verified",
        ("Parameter", "Value", "What varied", "Grade", "Found"),
        tuple(rows),
        numbers=frozenset({1}),
    )


def facts(study: StudyRecord) -> dict[str, Sheet]:
    """Where it was measured, and with what, by title; nothing that is empty."""
    everything: Mapping[str, Mapping[str, object]] = {
        "Hardware": study.hardware,
        "Environment": study.environment,
        "Requests": study.request,
        "What varied": study.parameters,
    }
    return {
        title: Sheet(
            title,
            (title, ""),
            tuple((formats.label(n), formats.fact(n, found)) for n, found in known.items()),
        )
        for title, known in everything.items()
        if known
    }


def _failure(group: failures.FailureGroup) -> tuple[str, ...]:
    numbers = [str(trial.number) for trial in group.trials]
    named = ", ".join(numbers[:_MOST_NAMED])
    more = len(numbers) - _MOST_NAMED
    others = f" and {more:,} more" if more > 0 else ""
    last = group.last
    line = textwrap.shorten(failures.complaint(last), _LONGEST_LINE, placeholder=" …")
    return (
        _reason(last.reason),
        f"{len(numbers):,}: {named}{others}" if len(numbers) > 1 else named,
        last.message or formats.NOTHING,
        markup.code(line) if line else formats.NOTHING,
        failures.cure(last) or formats.NOTHING,
    )


def _reason(reason: Reason | None) -> str:
    return reason.value.replace("_", " ") if reason else formats.NOTHING
