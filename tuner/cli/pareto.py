"""`tuner pareto`: what throughput costs in latency."""

from typing import Any

from tuner.analysis import pareto
from tuner.cli.console import print_blocks, print_json, print_text
from tuner.cli.study_options import ParetoOptions
from tuner.records import StudyRecord
from tuner.report import fronts, objective_text
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
    if options.as_json:
        print_json(_fronts(study))
        return
    print_blocks([fronts.pareto_table(pareto.trade_off(study))])
    if len(study.objectives) > 1:
        rows = objective_text.front_rows(study, pareto.objectives_front(study))
        print_blocks([rows_table(rows)])
        print_text(objective_text.about_hypervolume(study))


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
