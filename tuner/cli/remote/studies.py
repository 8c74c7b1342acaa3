"""`tuner studies list` and `show`, `report`, `pareto` and `best` of the studies of a service."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from tuner.cli.best import asked_form, print_document
from tuner.cli.console import note, print_blocks, print_json, print_text
from tuner.cli.remote.connection import connected
from tuner.cli.results import report_folder, write_texts
from tuner.cli.study_options import (
    BestOptions,
    ListOptions,
    ParetoOptions,
    ReportFormat,
    ReportOptions,
    ShowOptions,
)
from tuner.clients.service import ServiceClient, study_path
from tuner.errors import InputError
from tuner.exports.forms import DOCUMENTS, ExportForm
from tuner.report.studies import studies_table
from tuner.report.summaries import SummaryForm
from tuner.targets import exported
from tuner.targets.catalog import server_kind

# Studies that are asked for at once.
_PAGE = 100


def list_studies(options: ListOptions) -> None:
    """Print a line for each study, the newest first."""
    with connected(options) as service:
        found = all_items(service, "/studies")
    print_json(found) if options.as_json else print_blocks([studies_table(found)])


def show(options: ShowOptions) -> None:
    """Print a study's result and trials."""
    with connected(options) as service:
        study = named(service, options.study)
        if options.as_json:
            print_json(service.get(study_path(study)))
        else:
            print_summary(service, study, SummaryForm.STUDY)


def show_pareto(options: ParetoOptions) -> None:
    """Print the front of the load points and, of several objectives, that of the trials."""
    with connected(options) as service:
        study = named(service, options.study)
        if options.as_json:
            print_json(service.get(f"{study_path(study)}/pareto"))
        else:
            print_summary(service, study, SummaryForm.FRONT)


def report(options: ReportOptions) -> None:
    """Write the report, and print the result and the trials, or the Markdown itself."""
    with connected(options) as service:
        study = named(service, options.study)
        written = write_report(service, study, options.output, options.form)
        if options.as_json:
            files = {"files": [str(path) for path in written]}
            print_json(service.get(study_path(study)) | files)
        elif options.form is ReportFormat.MARKDOWN:
            print_text(written[0].read_text(encoding="utf-8").rstrip())
            note(f"written: {written[0]}")
        else:
            print_summary(service, study, SummaryForm.STUDY)
            for path in written:
                print_text(f"{path.name}: {path}")


def best(options: BestOptions) -> None:
    """Print the configuration that is the best for the budget and the objective."""
    form = asked_form(options)
    if options.tiers is not None:
        raise InputError(
            "`--tiers` cannot be asked of a service",
            hint="`--budget-ms` and `--percentile` ask for one of the tiers",
        )
    wish = {
        "budget_ms": options.budget_ms,
        "percentile": options.percentile,
        "objective": options.objective.value,
        "min_throughput": options.min_throughput,
    }
    with connected(options) as service:
        study = named(service, options.study)
        path = study_path(study)
        if form in DOCUMENTS:
            found = service.get(f"{path}/best", **wish)
            print_document(found, form)
            check_found(service, study, found.get("best", found), wish)
            return
        text = service.text(f"{path}/exports/{form.value}", image=options.image or None, **wish)
        for remark in service.get(f"{path}/best", remarks=True, **wish)["remarks"]:
            note(remark)
        print_text(text)


def check_found(
    service: ServiceClient, study: str, found: object, wish: Mapping[str, Any]
) -> None:
    """Where nothing was found, let the service say what comes nearest.

    Raises:
        NothingFeasibleError: No configuration meets the latency budget.
    """
    if found is None:
        service.text(f"{study_path(study)}/exports/{ExportForm.FILE.value}", **wish)


def print_summary(service: ServiceClient, study: str, form: SummaryForm) -> None:
    """What the terminal is told of the study, as wide as the terminal is now."""
    width = min(max(Console().width, 40), 1000)
    path = f"{study_path(study)}/summary"
    styled = sys.stdout.isatty()
    print_text(service.text(path, form=form.value, width=width, styled=styled))


def write_report(
    service: ServiceClient, study: str, output: Path, form: ReportFormat = ReportFormat.HTML
) -> list[Path]:
    """Write the report, and the winner's configuration if there is one; the paths written.

    Raises:
        TunerError: The folder cannot be written, or see `ServiceClient.get`.
    """
    path = study_path(study)
    contents = {f"report.{form.value}": service.text(f"{path}/report", format=form.value)}
    facts = service.get(path)
    if facts["best"] is not None:
        name = server_kind(facts["server"]).configuration_file
        export = service.text(f"{path}/exports/{ExportForm.FILE.value}")
        contents |= exported.files(export, name)
    return write_texts(contents, report_folder(output, study), study)


def named(service: ServiceClient, study: str | None) -> str:
    """The study, or the newest one.

    Raises:
        InputError: There is none.
    """
    if study is not None:
        return study
    newest = service.get("/studies", limit=1)["items"]
    if not newest:
        raise InputError("there is no study yet", hint="`tuner optimize --budget-ms 50` makes one")
    return str(newest[0]["study"])


def all_items(service: ServiceClient, path: str, **query: Any) -> list[dict[str, Any]]:
    """What is listed at `path`, from all pages."""
    found: list[dict[str, Any]] = []
    while True:
        got = service.get(path, limit=_PAGE, offset=len(found), **query)
        found += got["items"]
        if not got["items"] or len(found) >= got["total"]:
            return found
