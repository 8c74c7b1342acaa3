"""The options of `tuner plan` and `tuner optimize`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from tuner.cli.fleet_options import FleetOptions
from tuner.cli.options import (
    DATABASE,
    AsJson,
    Batch,
    Database,
    Detach,
    EngineCpus,
    Headers,
    InputData,
    Inputs,
    Notify,
    NotifyUrl,
    RequestParameters,
    Seed,
    SequenceCount,
    SequenceIds,
    SequenceLength,
    SequenceVariation,
    ServiceOptions,
    Shapes,
    StringData,
    StringLength,
    Timeout,
    Until,
)
from tuner.cli.prompt_options import PromptOptions
from tuner.cli.runner_options import RunnerOptions
from tuner.errors import Reason
from tuner.goals import Loop, Objective
from tuner.protocols.tensors.input_data import STRING_LENGTH
from tuner.protocols.v2 import V2Protocol
from tuner.search.samplers import Sampler

# What is said to the command, and is no option of a job that a service runs: the study and the
# webhook have fields of their own there, and what runs on its machine is nobody else's to say.
OF_COMMAND = frozenset(
    {
        *("as_json", "db", "detach", "notify", "notify_url", "output", "retry", "service"),
        *("study", "wait"),
    }
)


@dataclass(frozen=True, kw_only=True)
class BudgetOptions:
    """The latency that is accepted, and the time that the study may take."""

    title: ClassVar = "Latency budget and time"
    budget_ms: Annotated[
        float | None, typer.Option(help="Latency that your users accept, in milliseconds.")
    ] = None
    budget_ttft_ms: Annotated[
        float | None,
        typer.Option(help="Of a language model: time to the first token that they accept."),
    ] = None
    budget_itl_ms: Annotated[
        float | None,
        typer.Option(help="Of a language model: mean time between two tokens of an answer."),
    ] = None
    # An argument; it stands here for the order of words in a command that is suggested.
    model_file: Annotated[
        Path | None,
        typer.Argument(
            help="Model to tune on Triton: an ONNX file, or a TorchScript file with --input.",
            show_default="a model of --model-repository",
        ),
    ] = None
    percentile: Annotated[
        float, typer.Option(help="Percentile of the latency that must meet the budget.")
    ] = 99
    timeout: Timeout = None
    until: Until = None


@dataclass(frozen=True, kw_only=True)
class TuneOptions:
    """The server, its model, and the forms of it that may be chosen from."""

    title: ClassVar = "Model"
    server: Annotated[
        str,
        typer.Option(
            help="triton, torchserve, tensorflow_serving (experimental), llama_cpp, or command.",
            show_default="that of --space, or triton",
        ),
    ] = ""
    model_repository: Annotated[
        Path | None,
        typer.Option(help="Folder of models; without it the bundled model is tuned."),
    ] = None
    model: Annotated[
        str | None,
        typer.Option(help="Model to tune, if there are several; llama_cpp: a GGUF file."),
    ] = None
    input: Inputs = None
    variant: Annotated[
        list[str] | None,
        typer.Option(help="Another form of the model, to choose from; several times."),
    ] = None
    with_model: Annotated[
        list[str] | None,
        typer.Option(
            help="Another model of the repository that the model asks; several times, or '*'.",
            show_default="those that its Python names",
        ),
    ] = None
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="How far outputs may be from the defaults', as a share of the largest value: "
            "0.05.",
            show_default="each number within 1 % or 0.001",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """What is searched for, where, and how."""

    title: ClassVar = "Search"
    space: Annotated[
        Path | None,
        typer.Option(help="A built-in search space, or a file that extends or replaces it."),
    ] = None
    trials: Annotated[int, typer.Option(min=1, help="Trials of the search at most.")] = 60
    finalists: Annotated[
        int, typer.Option(min=1, help="Best configurations that are measured again.")
    ] = 3
    confirmations: Annotated[int, typer.Option(min=0, help="Fresh starts of each finalist.")] = 3
    objective: Annotated[
        list[Objective] | None,
        typer.Option(
            help="What to search for; several for a Pareto front.", show_default="throughput"
        ),
    ] = None
    sampler: Annotated[Sampler, typer.Option(help="What proposes configurations.")] = Sampler.TPE


@dataclass(frozen=True, kw_only=True)
class RequestOptions:
    """What the requests carry, and how they arrive."""

    title: ClassVar = "Load"
    arrivals: Annotated[
        Loop, typer.Option(help="poisson: users do not wait; closed: they do.")
    ] = Loop.OPEN
    batch: Batch = 1
    shape: Shapes = None
    input_data: InputData = None
    string_length: StringLength = STRING_LENGTH
    string_data: StringData = None
    request_parameter: RequestParameters = None
    header: Headers = None
    protocol: Annotated[
        V2Protocol | None,
        typer.Option(
            *("--protocol", "-i"),
            help="What the requests speak: http, grpc.",
            show_default="http; grpc for decoupled models",
        ),
    ] = None
    num_of_sequences: SequenceCount = 16
    sequence_length: SequenceLength = 20
    sequence_length_variation: SequenceVariation = 20.0
    sequence_id_range: SequenceIds = "1"
    body: Annotated[
        list[Path] | None,
        typer.Option(help="torchserve: file with a request's body; several in turn."),
    ] = None
    content_type: Annotated[str, typer.Option(help="torchserve: of the body.")] = ""


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """What is printed."""

    title: ClassVar = "Study and results"
    as_json: AsJson = False


@dataclass(frozen=True, kw_only=True)
class PlanOptions(
    ServiceOptions,
    OutputOptions,
    FleetOptions,
    RunnerOptions,
    PromptOptions,
    RequestOptions,
    SearchOptions,
    TuneOptions,
    BudgetOptions,
):
    """Say what `optimize` with these options would do, without doing it."""


@dataclass(frozen=True, kw_only=True)
class MachineOptions:
    """What the server and the load engine have of this machine."""

    title: ClassVar = RunnerOptions.title
    engine_cpus: EngineCpus = ""
    server_cpus: Annotated[str, typer.Option(help="CPUs for the server: 1,4-7.")] = ""
    start_timeout: Annotated[
        str, typer.Option(help="How long a start or a reload of the server may take.")
    ] = "2m"


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """Where the study is kept, and what it begins with."""

    title: ClassVar = OutputOptions.title
    warm_start: Annotated[
        list[str] | None,
        typer.Option(help="Study whose best are tried first; several times."),
    ] = None
    study: Annotated[str, typer.Option(help="Name of the study; continues one that exists.")] = ""
    db: Database = DATABASE
    output: Annotated[Path, typer.Option(help="Folder for reports and configurations.")] = Path(
        "reports"
    )
    retry: Annotated[
        list[Reason] | None,
        typer.Option(
            help="Run trials again that failed for this reason; several times.",
            metavar="REASON",
        ),
    ] = None
    detach: Detach = False
    notify: Notify = ""
    notify_url: NotifyUrl = ""
    seed: Seed = 0


@dataclass(frozen=True, kw_only=True)
class WaitOptions:
    """What a job of a service has beside."""

    title: ClassVar = ServiceOptions.title
    wait: Annotated[
        bool, typer.Option("--wait", help="Show what the job does until it ends, and its result.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class OptimizeOptions(WaitOptions, StudyOptions, MachineOptions, PlanOptions):
    """Find the configuration that carries the most traffic within the latency budget."""
