"""`tuner serve`: the service, with what it has to know of `tuner optimize`."""

import os
import sys
from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

from tuner.cli import asked, values
from tuner.cli.best import measure_command
from tuner.cli.console import print_text
from tuner.cli.fleet import address
from tuner.cli.job import job
from tuner.cli.optimize_options import OF_COMMAND, OptimizeOptions, PlanOptions
from tuner.cli.options import DATABASE, SERVICE_VARIABLE
from tuner.cli.resume import optimize_command
from tuner.cli.serve_options import ServeOptions
from tuner.cli.signature import UsageError, group_title
from tuner.errors import InputError, masked
from tuner.goals import LatencyBudget, Objective, SearchBudget
from tuner.records import StudyRecord
from tuner.service.command import OptimizeCommand
from tuner.service.serving import serve as run
from tuner.service.settings import Settings
from tuner.study.time_plan import planned_s


def serve(options: ServeOptions) -> None:
    """Serve until Ctrl-C."""
    # Jobs run here, and are not handed on to another service.
    os.environ.pop(SERVICE_VARIABLE, None)
    settings = Settings(
        database=options.db,
        folder=options.folder.absolute(),
        host=options.host,
        port=options.port,
        models=tuple(each.absolute() for each in options.models or ()),
        spaces=tuple(each.absolute() for each in options.spaces or ()),
        images=tuple(options.image or ()),
        remotes=tuple(options.remote or ()),
        fleets=tuple(map(address, options.fleet or ())),
        allow_commands=options.allow_commands,
        token_file=options.token_file and options.token_file.absolute(),
        allowed_hosts=tuple(options.allowed_host or ()),
        certificate=options.tls_certificate,
        certificate_key=options.tls_key,
        largest_upload=options.upload_gib * 2**30,
    )
    run(settings, OptimizeCommand(job_options(), words, limits, measure), say=_said)


def _said(text: str) -> None:
    """On stdout at once: what is copied into a browser; the service goes on for days."""
    print_text(text)
    sys.stdout.flush()


def words(said: Mapping[str, Any]) -> list[str]:
    """The words after `tuner optimize` for these options.

    Raises:
        InputError: One of them cannot be used.
    """
    values.headers(said.get("header"))  # `@FILE` would be a file of the service
    found = asked.words(said, OptimizeOptions)
    try:
        optimize_command().make_context("tuner optimize", list(found))
    except UsageError as error:
        raise InputError(error.format_message()) from None
    job(asked.options_of(said, OptimizeOptions))
    return found


def limits(said: Mapping[str, Any]) -> SearchBudget:
    """What a job with these options is given, its time no longer than its trials take.

    Raises:
        InputError: One of them cannot be used.
    """
    wanted = job(asked.options_of(said, OptimizeOptions))
    given = wanted.search_budget
    return replace(given, timeout_s=planned_s(wanted.budget, given, None))


def measure(study: StudyRecord, budget: LatencyBudget, objective: Objective) -> str:
    """The command that measures what a study leaves open, in the usual database."""
    return masked(measure_command(study, budget, objective, DATABASE))


@cache
def job_options() -> type[BaseModel]:
    """The options of a job: those of `tuner optimize`, as its help says them."""
    hints = get_type_hints(OptimizeOptions, include_extras=True)
    planned = {each.name for each in fields(PlanOptions)}
    found: dict[str, Any] = {}
    for each in fields(OptimizeOptions):
        if each.name in OF_COMMAND:
            continue
        hint, info = _taken_apart(hints[each.name])
        default = ... if each.default is MISSING else each.default
        extra: dict[str, Any] = {
            "group": group_title(OptimizeOptions, each) or "",
            "plans": each.name in planned,
        }
        described = Field(description=getattr(info, "help", None), json_schema_extra=extra)
        found[each.name] = (Annotated[hint, described], default)
    return create_model(
        "JobOptions", __doc__="The options of `tuner optimize`.",
        __config__=ConfigDict(extra="forbid", allow_inf_nan=False), **found,
    )  # fmt: skip


def _taken_apart(hint: Any) -> tuple[Any, Any]:
    value, info = get_args(hint)[:2] if get_origin(hint) is Annotated else (hint, None)
    return value, info
