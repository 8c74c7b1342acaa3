"""`tuner pareto`: what throughput costs in latency."""

from tuner.cli.console import print_blocks, print_json
from tuner.cli.study_options import ParetoOptions
from tuner.report import fronts
from tuner.store.storage import Storage


def show_pareto(options: ParetoOptions) -> None:
    """Print the front of the load points and, of several objectives, that of the trials."""
    with Storage(options.db) as storage:
        found = fronts.front_of(storage, options.study)
    if options.as_json:
        print_json(fronts.front_document(found))
        return
    print_blocks(fronts.front_blocks(found))
