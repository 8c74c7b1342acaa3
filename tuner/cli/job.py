"""The options of `tuner plan` and `tuner optimize` made into a job."""

from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from tuner.cli import asked, values
from tuner.cli.detached import own_log
from tuner.cli.fleet import fleet_of
from tuner.cli.optimize_options import OptimizeOptions, PlanOptions
from tuner.cli.place import container, remote
from tuner.cli.prompt_forms import openai_form
from tuner.goals import LatencyBudget, Loop, Objective, SearchBudget
from tuner.protocols.tensors.inputs import RANDOM, ZERO, mixed_sources
from tuner.report.budgets import latency_budget
from tuner.study.given_space import given_space
from tuner.study.job import Job
from tuner.study.time_plan import default_timeout_s
from tuner.sweep.http import read_bodies
from tuner.targets.command.model import given_model
from tuner.targets.command.target import CommandTarget
from tuner.targets.llama_cpp.target import LlamaCppTarget
from tuner.targets.request_form import RequestForm

Options = TypeVar("Options", bound=PlanOptions)


def planned_job(options: PlanOptions) -> Job:
    """The job, as far as the options of `plan` say it.

    Raises:
        InputError: One of them cannot be used.
    """
    options = _with_given_model(with_model_file(options))
    budget = latency_budget(
        options.budget_ms,
        options.percentile,
        ttft_ms=options.budget_ttft_ms,
        itl_ms=options.budget_itl_ms,
    )
    if not options.confirmations:
        hint = "leave one of them out"
        values.check_meaning(options, {"finalists"}, "--confirmations 0", hint=hint)
    place = container(options, elsewhere=bool(options.fleet)), remote(options)
    return Job(
        budget=budget,
        repository=options.model_repository,
        model=options.model,
        model_file=options.model_file,
        inputs=values.inputs(options.input),
        variants=tuple(dict.fromkeys(options.variant or ())),
        with_models=tuple(dict.fromkeys(options.with_model or ())),
        tolerance=values.tolerance(options.tolerance),
        space_file=options.space,
        search_budget=SearchBudget(
            trials=options.trials,
            timeout_s=timeout_s(options.timeout, options.until, budget),
            ends_at=values.moment(options.until) if options.until else None,
            finalists=options.finalists,
            confirmations=options.confirmations,
        ),
        objectives=tuple(dict.fromkeys(options.objective or [Objective.THROUGHPUT])),
        arrivals=options.arrivals,
        sampler=options.sampler,
        form=request_form(options),
        server=options.server,
        place=place[0] or place[1],
        fleet=fleet_of(options),
        group=options.group,
        options=_asked(options),
    )


def with_model_file(options: Options) -> Options:
    """`options`, where what `--model` names for llama.cpp is the file of the model, if it is one.

    Raises:
        InputError: The space cannot be used.
    """
    named = Path(options.model or "")
    if options.model_file or options.model_repository or not named.is_file():
        return options
    if _server(options) != LlamaCppTarget.server:
        return options
    return replace(options, model_file=named, model=None)


def _with_given_model(options: PlanOptions) -> PlanOptions:
    """`options`, where what `--model` names for a server of a space file is what it will get.

    What is stored is what was run, in whichever folder the study goes on.
    """
    if not options.model or _server(options) != CommandTarget.server:
        return options
    return replace(options, model=given_model(options.model))


def _server(options: PlanOptions) -> str:
    """The one that the options or their space name; empty: nobody does."""
    given = given_space(options.space, server=options.server)
    return given.server if given else options.server


def job(options: OptimizeOptions) -> Job:
    """The whole job.

    Raises:
        InputError: One of the options cannot be used.
    """
    return replace(
        planned_job(options),
        log=own_log(),
        retry=tuple(dict.fromkeys(options.retry or ())),
        warm_start=tuple(options.warm_start or ()),
        database=options.db,
        study=options.study,
        seed=options.seed,
        engine_cpus=_cpus(options, "--engine-cpus", options.engine_cpus),
        server_cpus=_cpus(options, "--server-cpus", options.server_cpus),
        start_timeout_s=values.duration_s(options.start_timeout, "--start-timeout"),
    )


def _cpus(options: OptimizeOptions, option: str, text: str) -> frozenset[int]:
    return values.cpus(text, option, elsewhere=bool(options.fleet))


def timeout_s(timeout: str | None, until: str | None, budget: LatencyBudget) -> float:
    """A clock time, a duration, or what is usual for such a latency budget.

    Raises:
        InputError: One cannot be read, or both were given.
    """
    values.check_one_end(timeout, until)
    if until:
        return values.seconds_until(until)
    return values.duration_s(timeout, "--timeout") if timeout else default_timeout_s(budget)


def request_form(options: PlanOptions) -> RequestForm:
    """What each request carries.

    Raises:
        InputError: An option cannot be used.
    """
    sources = tuple(options.input_data or ())
    values.check_data(options)
    if options.arrivals is Loop.CLOSED:
        hint = "leave it out: there are as many as requests in flight"
        values.check_meaning(options, {"num_of_sequences"}, "--arrivals closed", hint=hint)
    made_up = [source for source in sources if source in (RANDOM, ZERO)]
    if made_up and len(sources) > 1:
        raise mixed_sources(made_up[0])
    return RequestForm(
        batch=options.batch,
        zero=made_up == [ZERO],
        shapes=values.shapes(options.shape),
        files=() if made_up else tuple(map(Path, sources)),
        string_length=options.string_length,
        string_data=options.string_data,
        parameters=values.request_parameters(options.request_parameter),
        headers=values.headers(options.header),
        protocol=options.protocol,
        sequences=values.sequence_form(options),
        bodies=read_bodies(options.body or ()),
        content_type=options.content_type,
        prompts=openai_form(options),
    )


def _asked(options: PlanOptions) -> dict[str, Any]:
    # Files with their whole paths: the words are not always used in the same folder.
    variants, data = options.variant, options.input_data
    if options.model_file and variants:
        variants = [str(Path(each).absolute()) for each in variants]
    if data:
        data = [str(Path(each).absolute()) if Path(each).exists() else each for each in data]
    whole = replace(options, variant=variants, input_data=data)
    return asked.document(whole)
