"""The options of `tuner plan` and `tuner optimize`."""

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuner.cli import asked, options
from tuner.cli.runner_options import RunnerOptions
from tuner.goals import Objective

if TYPE_CHECKING:
    from tuner.study.job import Job
    from tuner.targets.request_form import RequestForm


class ArrivalsChoice(StrEnum):
    """How the load arrives under which capacities are searched."""

    POISSON = "poisson"
    CLOSED = "closed"


class SamplerChoice(StrEnum):
    """What proposes configurations."""

    TPE = "tpe"
    RANDOM = "random"
    EXHAUSTIVE = "exhaustive"


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """What to search, in what time, for which latency budget."""

    budget_ms: options.BudgetMs
    model_file: options.ModelFile = None
    percentile: options.Percentile = 99
    server: Annotated[
        str,
        typer.Option(
            help="triton, torchserve, tensorflow_serving, or command.",
            show_default="that of --space, or triton",
        ),
    ] = ""
    model_repository: options.ModelRepository = None
    model: options.Model = None
    input: options.Inputs = None
    variant: options.Variants = None
    tolerance: options.Tolerance = None
    space: options.SpaceFile = None
    trials: options.Trials = 60
    timeout: options.Timeout = None
    until: options.Until = None
    finalists: Annotated[
        int, typer.Option("--finalists", help="Best configurations that are measured again.")
    ] = 3
    confirmations: Annotated[
        int, typer.Option("--confirmations", help="Fresh starts of each finalist.")
    ] = 3
    objective: Annotated[
        list[Objective] | None,
        typer.Option("--objective", help="What to search for; several for a Pareto front."),
    ] = None
    arrivals: Annotated[
        ArrivalsChoice,
        typer.Option("--arrivals", help="poisson: users do not wait; closed: they do."),
    ] = ArrivalsChoice.POISSON
    sampler: Annotated[
        SamplerChoice, typer.Option("--sampler", help="What proposes configurations.")
    ] = SamplerChoice.TPE
    batch: options.Batch = 1
    shape: options.Shapes = None
    input_data: options.InputData = "random"
    body: Annotated[
        list[Path] | None,
        typer.Option("--body", help="torchserve: file with a request's body; several in turn."),
    ] = None
    content_type: Annotated[str, typer.Option(help="torchserve: of the body.")] = ""
    as_json: options.AsJson = False


@dataclass(frozen=True, kw_only=True)
class PlanOptions(RunnerOptions, SearchOptions):
    """Also where the server runs."""

    def job(self) -> "Job":
        """The job, as far as these options say it.

        Raises:
            InputError: One of them cannot be used.
        """
        from tuner.goals import Loop, SearchBudget
        from tuner.search.samplers import Sampler
        from tuner.study.job import Job

        budget = options.latency_budget(self.budget_ms, self.percentile)
        container, remote = self.container(), self.remote()
        return Job(
            budget=budget,
            repository=self.model_repository,
            model=self.model,
            model_file=self.model_file,
            inputs=options.inputs(self.input),
            variants=tuple(dict.fromkeys(self.variant or ())),
            tolerance=options.tolerance(self.tolerance),
            space_file=self.space,
            search_budget=SearchBudget(
                trials=self.trials,
                timeout_s=options.timeout_s(self.timeout, self.until, budget),
                finalists=self.finalists,
                confirmations=self.confirmations,
            ),
            objectives=tuple(dict.fromkeys(self.objective or [Objective.THROUGHPUT])),
            arrivals=Loop(self.arrivals.value),
            sampler=Sampler(self.sampler.value),
            form=self._form(),
            server=self.server,
            place=container or remote,
            options=self._asked(),
        )

    def _asked(self) -> dict[str, Any]:
        variants = self.variant
        if self.model_file and variants:
            # Files with their whole paths: the words are not always used in the same folder.
            variants = [str(Path(each).absolute()) for each in variants]
        return asked.document(replace(self, variant=variants))

    def _form(self) -> "RequestForm":
        from tuner.sweep.http import read_bodies

        form = options.request_form(self.batch, self.input_data, self.shape)
        bodies = read_bodies(self.body or ())
        return replace(form, bodies=bodies, content_type=self.content_type)


@dataclass(frozen=True, kw_only=True)
class OptimizeOptions(PlanOptions):
    """Also where the study is kept, and how it runs."""

    warm_start: Annotated[
        list[str] | None,
        typer.Option("--warm-start", help="Study whose best are tried first; several times."),
    ] = None
    study: Annotated[
        str, typer.Option("--study", help="Name of the study; continues one that exists.")
    ] = ""
    db: options.Database = options.DATABASE
    output: Annotated[
        Path, typer.Option("--output", help="Folder for reports and configurations.")
    ] = Path("reports")
    seed: options.Seed = 0
    engine_cpus: options.EngineCpus = ""
    server_cpus: Annotated[str, typer.Option(help="CPUs for the server: 1,4-7.")] = ""
    start_timeout: Annotated[
        str, typer.Option(help="How long a start or a reload of the server may take.")
    ] = "2m"

    def job(self) -> "Job":
        return replace(
            super().job(),
            warm_start=tuple(self.warm_start or ()),
            database=self.db,
            study=self.study,
            seed=self.seed,
            engine_cpus=options.cpus(self.engine_cpus, "--engine-cpus"),
            server_cpus=options.cpus(self.server_cpus, "--server-cpus"),
            start_timeout_s=options.duration_s(self.start_timeout, "--start-timeout"),
        )
