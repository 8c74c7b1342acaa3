"""`tuner measure`: the load engine alone, against a server that already runs."""

from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime

from tuner.cli.console import err, note, print_blocks, print_json
from tuner.cli.measure_options import MeasureOptions
from tuner.cli.measure_plan import collectors, first_workers, sweep_plan, traced
from tuner.cli.measure_results import check_files, write_files
from tuner.cli.measure_services import service
from tuner.cli.values import cpus
from tuner.load.client import LoadEngine
from tuner.report import sweep_json
from tuner.report.sweep_tables import sweep_tables
from tuner.sweep.point import SweepPoint
from tuner.sweep.sweep import Sweep, SweepPlan
from tuner.workload.traces import Trace


def measure(options: MeasureOptions) -> None:
    """Measure each load point, print all of them, and write the files that were asked for."""
    started_at = datetime.now(UTC)
    trace = traced(options)
    plan = sweep_plan(options, trace)
    check_files(options)
    points: list[SweepPoint] = []
    try:
        _sweep(options, plan, trace, points)
    finally:
        # Also what was measured before an interrupt, or before the server broke down.
        if points:
            _print(options, plan, points)
            write_files(options, plan, points, started_at)


def _sweep(
    options: MeasureOptions, plan: SweepPlan, trace: Trace | None, points: list[SweepPoint]
) -> None:
    """Measure, and add each point to `points` as soon as it is known."""
    engine_cpus = cpus(options.engine_cpus, "--engine-cpus")
    with ExitStack() as stack:
        with err.status("asking the server for its model"):
            measured = stack.enter_context(service(options, trace))
        for remark in measured.remarks:
            note(remark)
        if options.shared_memory == "cuda":
            note("`--shared-memory cuda` is experimental: it was never tried on a GPU")
        workers = first_workers(options)
        engine = measured.engine or stack.enter_context(
            LoadEngine(cpus=engine_cpus, workers=workers)
        )
        server_pid = engine.pids[0] if measured.engine else None
        watching = stack.enter_context(collectors(options, measured.endpoint, server_pid))
        engine.prepare(measured.requests)
        points.extend(Sweep(measured, engine, plan, watching, _announce).points())
        if watching.metrics is not None and watching.metrics.warning:
            note(f"warning: {watching.metrics.warning}")


def _print(options: MeasureOptions, plan: SweepPlan, points: list[SweepPoint]) -> None:
    if options.as_json:
        print_json(
            [sweep_json.point_document(each, plan.judged, limits=plan.limits) for each in points]
        )
    else:
        print_blocks(sweep_tables(points, plan.judged, limits=plan.limits))


def _announce(what: str, length_s: float) -> AbstractContextManager[object]:
    return err.status(f"measuring {what} for {length_s:g} s")
