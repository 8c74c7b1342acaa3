"""The best configuration for a latency budget and an objective, from what a study measured."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tuner.analysis import answers
from tuner.analysis.answers import Answer
from tuner.analysis.nearest import nearest_unloaded
from tuner.analysis.standings import standings
from tuner.errors import InputError, NothingFeasibleError, unfit
from tuner.goals import LatencyBudget, Objective
from tuner.records import StudyRecord, TrialRecord
from tuner.report import answer_text, export, findings, nearest_text
from tuner.report.budgets import asked_budget
from tuner.store.storage import Storage

Measure = Callable[[StudyRecord, LatencyBudget, Objective], str]
"""Makes the command that measures what the load points of a study leave open."""


@dataclass(frozen=True, kw_only=True)
class BestWish:
    """What is asked for: of what is None, the study's own.

    `budget_ms` is in milliseconds, `min_throughput` in the unit of the study.
    """

    budget_ms: float | None = None
    percentile: float | None = None
    objective: Objective = Objective.THROUGHPUT
    min_throughput: float | None = None

    def check(self) -> None:
        """Refuse what can be refused without a study.

        Raises:
            InputError: `min_throughput` cannot be heeded, or is out of range.
        """
        if self.min_throughput is None:
            return
        if self.objective is Objective.THROUGHPUT:
            raise InputError(
                "`--min-throughput` needs another objective than throughput",
                hint="for example: `--objective memory --min-throughput 100`",
            )
        if not 0 < self.min_throughput < math.inf:
            raise unfit("--min-throughput", "above 0", self.min_throughput)


@dataclass(frozen=True, kw_only=True)
class Best:
    """What was found in a study, which is headed by the budget that was asked for.

    `remarks` are said beside a file that deploys it; the `document` has everything in it. Where
    nothing meets the budget, `trial` is None, and `refusal` says so.
    """

    study: StudyRecord
    document: dict[str, Any]
    trial: TrialRecord | None = None
    remarks: tuple[str, ...] = ()
    refusal: NothingFeasibleError | None = None


def best(storage: Storage, name: str | None, wish: BestWish, measure: Measure) -> Best:
    """That of the study called `name`, or of the newest one.

    For its own budget it is what the study confirmed, for others what its load points say.

    Raises:
        InputError: There is no such study, or what is wished for is out of range.
    """
    wish.check()
    study = storage.study(name, brief=True)
    budget = asked_budget(study, wish.budget_ms, wish.percentile)
    if budget == study.budget and wish.objective is Objective.THROUGHPUT:
        return _confirmed(storage, study)
    study = storage.study(study.name)
    found = answers.answer(study, budget, wish.objective, least_throughput=wish.min_throughput)
    return _answered(study, found, measure(study, budget, wish.objective))


def _confirmed(storage: Storage, study: StudyRecord) -> Best:
    """What the study itself confirmed."""
    found = standings(study).winner
    if found is None:
        nearest = nearest_text.nearest_document(nearest_unloaded(study))
        document = {"study": study.name, "best": None, "nearest": nearest}
        return Best(study=study, document=document, refusal=findings.nothing_feasible(study))
    number = found.trial.number
    measured = {t.number: t for t in storage.in_full(study, [number]).trials}
    winner = replace(found, trial=measured[number])
    return Best(
        study=study,
        document=export.standing(winner, study) | {"comparison": export.comparison(study)},
        trial=winner.trial,
        remarks=findings.about_comparison(study),
    )


def _answered(study: StudyRecord, answer: Answer, measure: str) -> Best:
    """What the load points say."""
    found = answer.best
    document = answer_text.answer_document(study, answer, measure)
    if found is None:
        refusal = answer_text.nothing_within(study, answer, measure)
        return Best(study=study, document=document, refusal=refusal)
    doubts = answer_text.doubts(answer, found)
    return Best(
        study=replace(study, budget=answer.budget),
        document=document | {"comparison": export.comparison(study)},
        trial=found.trial,
        remarks=(
            answer_text.headline(answer, found),
            *answer_text.remarks(answer, found),
            *doubts,
            *([f"to measure it: {measure}"] if doubts else []),
            *findings.about_comparison(study),
        ),
    )
