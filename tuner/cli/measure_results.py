"""The files that `tuner measure` writes."""

from collections.abc import Sequence
from datetime import datetime

from tuner.cli.console import note
from tuner.cli.measure_options import MeasureOptions
from tuner.cli.values import check_needed
from tuner.report import sweep_csv, sweep_json
from tuner.report.json_text import json_text
from tuner.report.whole_file import check_writable, write_whole
from tuner.sweep.point import SweepPoint
from tuner.sweep.sweep import SweepPlan


def check_files(options: MeasureOptions) -> None:
    """Refuse now what could not be written in the end, or would change nothing there.

    Raises:
        InputError: A file cannot be written, or an option has no meaning.
    """
    if options.csv is None:
        check_needed(options, "verbose_csv", "--latency-report-file")
    if not options.collect_metrics and not options.metrics_url:
        check_needed(options, "metrics_interval", "--collect-metrics")
    for path in (options.csv, options.export, options.plot):
        if path is not None:
            check_writable(path)


def write_files(
    options: MeasureOptions, plan: SweepPlan, points: Sequence[SweepPoint], started_at: datetime
) -> None:
    """Write the files that were asked for; latencies that are the client's are in none of them."""
    trusted = [point for point in points if not point.measurement.client_overloaded]
    if options.export is not None:
        content = sweep_json.export(
            points,
            plan.judged,
            endpoint=options.url,
            model=options.model,
            started_at=started_at,
            limits=plan.limits,
        )
        write_whole(options.export, json_text(content, indent=None))
        note(f"JSON: {options.export}")
    if not trusted:
        if options.csv is not None or options.plot is not None:
            note("no CSV and no plot: the client was overloaded at every load point")
        return
    if options.csv is not None:
        write_whole(options.csv, sweep_csv.text(trusted, plan.judged, verbose=options.verbose_csv))
        note(f"CSV: {options.csv}")
    if options.plot is not None:
        # Plotly is slow to import, and few want a plot.
        from tuner.report import sweep_plot

        page = sweep_plot.render(
            trusted,
            plan.judged,
            endpoint=options.url,
            model=options.model,
            started_at=started_at,
        )
        write_whole(options.plot, page)
        note(f"plot: {options.plot}")
