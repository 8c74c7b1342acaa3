"""`tuner pareto`: what throughput costs in latency."""

from typing import Any

from tuner.analysis import pareto, standings
from tuner.analysis.nearest import Nearest
from tuner.cli.console import print_blocks, print_json, print_text
from tuner.cli.study_options import ParetoOptions
from tuner.records import StudyRecord
from tuner.report import findings, fronts, nearest_text, objective_text
from tuner.report.columns import rows_table
from tuner.store.storage import Storage


def show_pareto(options: ParetoOptions) -> None:
    """Print the front of the load points and, of several objectives, that of the trials."""
    with Storage(options.db) as storage:
        study = storage.study(options.study, trials=False)
        on_front = storage.front_trials(study)
        if len(study.objectives) > 1:
            study = storage.study(study.name, brief=True)
        study = storage.in_full(study, on_front)
        front = pareto.trade_off(study)
        met = any(point["within"] for point in front)
        nearest = None if met else _nearest(storage, study.name)
    if options.as_json:
        print_json(_fronts(study) | {"nearest": nearest_text.nearest_document(nearest)})
        return
    print_blocks([fronts.pareto_table(front)])
    if nearest:
        print_text(findings.about_nearest(nearest))
    if len(study.objectives) > 1:
        rows = objective_text.front_rows(study, pareto.objectives_front(study))
        print_blocks([rows_table(rows)])
        print_text(objective_text.about_hypervolume(study))


def _nearest(storage: Storage, name: str) -> Nearest | None:
    """What comes closest to the budget where no load point of the front is within it."""
    study = storage.study(name, brief=True)
    return findings.nearest(study, standings.standings(study))


def _fronts(study: StudyRecord) -> dict[str, Any]:
    reference = study.baseline
    several = len(study.objectives) > 1
    return {
        "load_points": pareto.trade_off(study),
        "objectives": {
            "front": pareto.objectives_front(study),
            "reference": {o.value: reference.value(o) for o in study.objectives if reference},
            "hypervolume": pareto.hypervolume_over_baseline(study),
        }
        if several
        else None,
    }
