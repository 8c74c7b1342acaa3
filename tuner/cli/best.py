"""`tuner best`: the winning configuration, or that for another budget or objective."""

import math
import shlex
from dataclasses import replace
from typing import Any

import yaml

from tuner import demo
from tuner.analysis import answers, standings, tiers
from tuner.analysis.answers import Answer
from tuner.analysis.nearest import nearest_unloaded
from tuner.cli import asked
from tuner.cli.console import note, print_blocks, print_json, print_text
from tuner.cli.optimize_options import OptimizeOptions
from tuner.cli.options import DATABASE
from tuner.cli.study_options import BestOptions
from tuner.cli.values import check_meaning, latency_budget, unfit
from tuner.cli.values import tiers as parsed_tiers
from tuner.errors import InputError, masked
from tuner.exports import formats
from tuner.exports.forms import DOCUMENTS, ExportForm
from tuner.goals import LatencyBudget, Objective
from tuner.records import StudyRecord, TrialRecord
from tuner.report import answer_text, export, findings, nearest_text, tiers_text
from tuner.store.storage import Storage

# The options of `best` that say what the tiers say.
_OF_ONE_BUDGET = ("budget_ms", "percentile", "objective", "min_throughput")
# What `tuner optimize` takes where nothing is said.
_USUAL = {
    "percentile": OptimizeOptions.percentile,
    "objective": [Objective.THROUGHPUT.value],
}
_WITHOUT_IMAGE = (
    *(ExportForm.FILE, *DOCUMENTS),
    *(ExportForm.CONFIG_PBTXT, ExportForm.CONFIG_PROPERTIES, ExportForm.MODEL_CONFIG),
)


def best(options: BestOptions) -> None:
    """Print the configuration that is the best for the budget and the objective."""
    form = ExportForm.JSON if options.as_json else options.form
    if form in _WITHOUT_IMAGE:
        check_meaning(options, {"image"}, f"--format {form.value}", hint="leave it out")
    if options.tiers is not None:
        _best_of_tiers(options, options.tiers, form)
        return
    _check_min_throughput(options.min_throughput, options.objective)
    with Storage(options.db) as storage:
        study = storage.study(options.study, brief=True)
    budget = _asked_budget(study, options.budget_ms, options.percentile)
    if budget == study.budget and options.objective is Objective.THROUGHPUT:
        _print_winner(study, form, options)
        return
    with Storage(options.db) as storage:
        study = storage.study(study.name)
    found = answers.answer(
        study, budget, options.objective, least_throughput=options.min_throughput
    )
    _print_answer(study, found, form, options)


def _best_of_tiers(options: BestOptions, asked_for: str, form: ExportForm) -> None:
    """Print what each of several latency budgets allows, and what serves all of them best."""
    check_meaning(options, _OF_ONE_BUDGET, "--tiers", hint="leave one of them out")
    if form not in (ExportForm.FILE, *DOCUMENTS):
        raise InputError(
            f"`--tiers` prints a table, not `--format {form.value}`",
            hint="`--budget-ms` and `--percentile` say which tier is deployed; the formats `json` "
            "and `yaml` have all of them",
        )
    budgets = parsed_tiers(asked_for)
    with Storage(options.db) as storage:
        study = storage.study(options.study)
    found = tiers.tiers(study, budgets)
    measure = {
        budget: measure_command(study, budget, Objective.THROUGHPUT, options.db)
        for budget in budgets
    }
    if form is ExportForm.FILE:
        print_blocks([tiers_text.tiers_table(study, found)])
        for remark in tiers_text.remarks(study, found, standings.standings(study)):
            note(remark)
        for each in filter(tiers_text.to_measure, found.each):
            note(f"to measure {each.budget}: {measure[each.budget]}")
    else:
        _print_document(tiers_text.tiers_document(study, found, measure), form)
    if not found.met:
        nearest = tiers_text.nearest_tier(found)
        raise answer_text.nothing_within(study, nearest.answer, measure[nearest.budget])


def measure_command(
    study: StudyRecord, budget: LatencyBudget, objective: Objective, database: str
) -> str:
    """The command that measures what the load points of `study` leave open."""
    changed = {"budget_ms": budget.limit_s * 1e3, "objective": [objective.value]}
    changed["percentile"] = budget.percentile
    options = {
        name: value
        for name, value in ((dict(study.options) or _known_options(study)) | changed).items()
        if _USUAL.get(name) != value
    }
    words = ["tuner", "optimize", *asked.words(options, OptimizeOptions)]
    words += ["--warm-start", study.name]
    return shlex.join(words if database == DATABASE else [*words, "--db", masked(database)])


def _known_options(study: StudyRecord) -> dict[str, Any]:
    """What a study says of its options that was begun before they were stored."""
    if study.model == demo.MODEL:
        return {}
    return {"server": study.server, "model_repository": "FOLDER", "model": study.model}


def _check_min_throughput(min_throughput: float | None, objective: Objective) -> None:
    if min_throughput is None:
        return
    if objective is Objective.THROUGHPUT:
        raise InputError(
            "`--min-throughput` needs another objective than throughput",
            hint="for example: `--objective memory --min-throughput 100`",
        )
    if not 0 < min_throughput < math.inf:
        raise unfit("--min-throughput", "above 0", min_throughput)


def _asked_budget(
    study: StudyRecord, budget_ms: float | None, percentile: float | None
) -> LatencyBudget:
    """The study's own budget but for what was asked for."""
    own = study.budget
    limit_ms = own.limit_s * 1e3 if budget_ms is None else budget_ms
    asked = latency_budget(limit_ms, own.percentile if percentile is None else percentile)
    return replace(asked, limit_s=own.limit_s) if budget_ms is None else asked


def _print_winner(study: StudyRecord, form: ExportForm, options: BestOptions) -> None:
    """What the study itself confirmed."""
    found = standings.standings(study).winner
    if found is None:
        nearest = nearest_text.nearest_document(nearest_unloaded(study))
        _print_document({"study": study.name, "best": None, "nearest": nearest}, form)
        raise findings.nothing_feasible(study)
    number = found.trial.number
    with Storage(options.db) as storage:
        measured = {t.number: t for t in storage.in_full(study, [number]).trials}
    winner = replace(found, trial=measured[number])
    content = export.standing(winner, study) | {"comparison": export.comparison(study)}
    _note_comparison(study, form)
    _print_best(study, winner.trial, content, form, options.image)


def _print_answer(
    study: StudyRecord, answer: Answer, form: ExportForm, options: BestOptions
) -> None:
    """What the load points say; the file comes with remarks, documents have it all in them."""
    measure = measure_command(study, answer.budget, answer.objective, options.db)
    found = answer.best
    content = answer_text.answer_document(study, answer, measure)
    if found is None:
        _print_document(content, form)
        raise answer_text.nothing_within(study, answer, measure)
    if form not in DOCUMENTS:
        note(answer_text.headline(answer, found))
        doubts = answer_text.doubts(answer, found)
        for remark in (*answer_text.remarks(answer, found), *doubts):
            note(remark)
        if doubts:
            note(f"to measure it: {measure}")
    _note_comparison(study, form)
    content |= {"comparison": export.comparison(study)}
    # What is deployed is headed by the budget that was asked for.
    asked_for = replace(study, budget=answer.budget)
    _print_best(asked_for, found.trial, content, form, options.image)


def _note_comparison(study: StudyRecord, form: ExportForm) -> None:
    """What was not compared, beside the file; documents have it in them."""
    if form not in DOCUMENTS:
        for remark in findings.about_comparison(study):
            note(remark)


def _print_document(content: dict[str, Any], form: ExportForm) -> None:
    """Nothing where a file is asked for: it would deploy something."""
    if form is ExportForm.JSON:
        print_json(content)
    elif form is ExportForm.YAML:
        print_text(yaml.safe_dump(content, sort_keys=False))


def _print_best(
    study: StudyRecord, trial: TrialRecord, content: dict[str, Any], form: ExportForm, image: str
) -> None:
    if form in DOCUMENTS:
        _print_document(content, form)
    else:
        print_text(formats.export(form, study, trial, image=image))
