"""`tuner best`: the winning configuration, or that for another budget or objective."""

import shlex
from functools import partial
from typing import Any

import yaml

from tuner import demo
from tuner.analysis import standings, tiers
from tuner.cli import asked
from tuner.cli.console import note, print_blocks, print_json, print_text
from tuner.cli.optimize_options import OptimizeOptions
from tuner.cli.options import DATABASE
from tuner.cli.study_options import BestOptions
from tuner.cli.values import check_meaning
from tuner.errors import InputError, masked
from tuner.exports import formats
from tuner.exports.forms import DOCUMENTS, ExportForm
from tuner.goals import LatencyBudget, Objective
from tuner.records import StudyRecord
from tuner.report import answer_text, budgets, tiers_text
from tuner.report.best import BestWish
from tuner.report.best import best as find_best
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
    form = asked_form(options)
    if options.tiers is not None:
        _best_of_tiers(options, options.tiers, form)
        return
    wish = BestWish(
        budget_ms=options.budget_ms,
        percentile=options.percentile,
        objective=options.objective,
        min_throughput=options.min_throughput,
    )
    wish.check()
    with Storage(options.db) as storage:
        measure = partial(measure_command, database=options.db)
        found = find_best(storage, options.study, wish, measure)
    print_document(found.document, form)
    if found.refusal:
        raise found.refusal
    if form not in DOCUMENTS and found.trial:
        for remark in found.remarks:
            note(remark)
        print_text(formats.export(form, found.study, found.trial, image=options.image))


def asked_form(options: BestOptions) -> ExportForm:
    """What is to be printed.

    Raises:
        InputError: An image was named that is in no such file.
    """
    form = ExportForm.JSON if options.as_json else options.form
    if form in _WITHOUT_IMAGE:
        check_meaning(options, {"image"}, f"--format {form.value}", hint="leave it out")
    return form


def _best_of_tiers(options: BestOptions, asked_for: str, form: ExportForm) -> None:
    """Print what each of several latency budgets allows, and what serves all of them best."""
    check_meaning(options, _OF_ONE_BUDGET, "--tiers", hint="leave one of them out")
    if form not in (ExportForm.FILE, *DOCUMENTS):
        raise InputError(
            f"`--tiers` prints a table, not `--format {form.value}`",
            hint="`--budget-ms` and `--percentile` say which tier is deployed; the formats `json` "
            "and `yaml` have all of them",
        )
    said = budgets.tiers(asked_for)
    with Storage(options.db) as storage:
        study = storage.study(options.study)
    asked_budgets = [budgets.like_study(study, each) for each in said]
    found = tiers.tiers(study, asked_budgets)
    measure = {
        budget: measure_command(study, budget, Objective.THROUGHPUT, options.db)
        for budget in asked_budgets
    }
    if form is ExportForm.FILE:
        print_blocks([tiers_text.tiers_table(study, found)])
        for remark in tiers_text.remarks(study, found, standings.standings(study)):
            note(remark)
        for each in filter(tiers_text.to_measure, found.each):
            note(f"to measure {each.budget}: {measure[each.budget]}")
    else:
        print_document(tiers_text.tiers_document(study, found, measure), form)
    if not found.met:
        nearest = tiers_text.nearest_tier(found)
        raise answer_text.nothing_within(study, nearest.answer, measure[nearest.budget])


def measure_command(
    study: StudyRecord, budget: LatencyBudget, objective: Objective, database: str
) -> str:
    """The command that measures what the load points of `study` leave open."""
    changed: dict[str, Any] = {"objective": [objective.value], "percentile": budget.percentile}
    changed |= budgets.said_limits(budget)
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


def print_document(content: dict[str, Any], form: ExportForm) -> None:
    """Nothing where a file is asked for: it would deploy something."""
    if form is ExportForm.JSON:
        print_json(content)
    elif form is ExportForm.YAML:
        print_text(yaml.safe_dump(content, sort_keys=False))
