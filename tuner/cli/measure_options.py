"""The options of `tuner measure`, by what they are about."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from tuner.cli.options import (
    AsJson,
    Batch,
    EngineCpus,
    Headers,
    InputData,
    RequestParameters,
    Seed,
    SequenceCount,
    SequenceIds,
    SequenceLength,
    SequenceVariation,
    Shapes,
    StringData,
    StringLength,
)
from tuner.cli.prompt_options import ConversationOptions, PromptOptions
from tuner.load.profile import Arrivals
from tuner.protocols.tensors.input_data import STRING_LENGTH
from tuner.protocols.v2 import MemoryKind, V2Protocol


class ServiceKind(StrEnum):
    """Which server, and so which protocol."""

    TRITON = "triton"
    TORCHSERVE = "torchserve"
    TFSERVING = "tfserving"
    HTTP = "http"
    OPENAI = "openai"


class TensorFormat(StrEnum):
    """How V2 tensors travel over HTTP."""

    BINARY = "binary"
    JSON = "json"


class Compression(StrEnum):
    """How request bodies are compressed."""

    NONE = "none"
    GZIP = "gzip"
    DEFLATE = "deflate"


def _memory_kind(text: str) -> MemoryKind | None:
    kinds = {"none": None, **{kind.value: kind for kind in MemoryKind}}
    if text not in kinds:
        raise ValueError(f"{text!r} is not one of {', '.join(map(repr, kinds))}.")
    return kinds[text]


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """Where the server is, and what is spoken there."""

    title: ClassVar = "The server"
    url: Annotated[
        str,
        typer.Argument(
            help="http://, https://, grpc:// or grpcs://, then HOST:PORT; or "
            "triton-c-api:///MODEL_REPOSITORY."
        ),
    ]
    model: Annotated[str, typer.Option("--model", "-m", help="Model to ask.")] = ""
    model_version: Annotated[
        str,
        typer.Option("--model-version", "-x", help="Its version; the server's choice without."),
    ] = ""
    service_kind: Annotated[
        ServiceKind, typer.Option(help="Which server it is; triton: any that speaks V2.")
    ] = ServiceKind.TRITON
    protocol: Annotated[
        V2Protocol | None,
        typer.Option("--protocol", "-i", help="For a URL that does not say it."),
    ] = None
    triton_server_directory: Annotated[
        Path | None,
        typer.Option(help="triton-c-api: the folder of a Triton; else the one that is installed."),
    ] = None
    streaming: Annotated[
        bool, typer.Option("--streaming", help="gRPC streams (decoupled models need them).")
    ] = False
    unix_socket: Annotated[
        Path | None, typer.Option(help="Connect to this socket in place of host and port.")
    ] = None
    header: Headers = None
    ca_file: Annotated[
        Path | None, typer.Option(help="Certificates to believe, in place of the system's.")
    ] = None
    client_certificate: Annotated[Path | None, typer.Option(help="Who we are.")] = None
    client_key: Annotated[Path | None, typer.Option(help="The certificate's key.")] = None
    server_name: Annotated[
        str, typer.Option(help="Name in the server's certificate, if it is not the host.")
    ] = ""
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Believe any certificate of the server.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """How much load, for how long."""

    title: ClassVar = "The load"
    concurrency: Annotated[
        str | None,
        typer.Option(
            *("--concurrency", "--concurrency-range"),
            help="Requests in flight (closed loop): 8, or START:END:STEP.",
            show_default="1 where no other load is given",
        ),
    ] = None
    rate: Annotated[
        str | None,
        typer.Option(
            *("--rate", "--request-rate-range"),
            help="Requests per second (open loop): 200, or START:END:STEP.",
        ),
    ] = None
    ramp: Annotated[
        str | None,
        typer.Option(help="One open loop that climbs: START:END:STEP requests per second."),
    ] = None
    request_intervals: Annotated[
        Path | None, typer.Option(help="Replay a file of intervals in microseconds.")
    ] = None
    trace: Annotated[
        Path | None,
        typer.Option(help="openai: the moments and lengths of a trace (Mooncake's JSON lines)."),
    ] = None
    trace_speed: Annotated[
        float, typer.Option(min=1e-3, max=1e3, help="Play the trace so many times as fast.")
    ] = 1.0
    arrivals: Annotated[
        Arrivals,
        typer.Option("--arrivals", "--request-distribution", help="How an open loop is spread."),
    ] = Arrivals.POISSON
    duration: Annotated[
        str | None,
        typer.Option(
            help="Length of each load point: 5s, 1m.", show_default="5s, or that of the trace"
        ),
    ] = None
    request_count: Annotated[
        int, typer.Option(min=0, help="End each load point after so many requests.")
    ] = 0
    warm_up: Annotated[str, typer.Option(help="Load before the first point.")] = "1s"
    timeout: Annotated[str, typer.Option(help="When a request counts as lost.")] = "10s"
    stability: Annotated[
        str | None,
        typer.Option(
            *("--stability", "-s"),
            help="Repeat each point until three in a row differ by no more: 10%.",
        ),
    ] = None
    budget_ms: Annotated[
        float | None,
        typer.Option(
            *("--budget-ms", "--latency-threshold"),
            help="Report the goodput within it; a range ends at the first point beyond it.",
        ),
    ] = None
    budget_ttft_ms: Annotated[
        float | None, typer.Option(help="openai: of the time to first token; within all, goodput.")
    ] = None
    budget_itl_ms: Annotated[
        float | None, typer.Option(help="openai: of the mean time between an answer's tokens.")
    ] = None
    percentile: Annotated[
        float | None,
        typer.Option(help="Percentile to judge stability and budget by (else: mean, 99)."),
    ] = None
    workers: Annotated[
        str, typer.Option(help="Processes of the load engine, or auto: more where one is full.")
    ] = "1"
    engine_cpus: EngineCpus = ""
    seed: Seed = 0


@dataclass(frozen=True, kw_only=True)
class RequestOptions:
    """What the requests carry."""

    title: ClassVar = "The requests"
    batch: Batch = 1
    shape: Shapes = None
    input: Annotated[
        list[str] | None,
        typer.Option(help="Input that the server does not name, several times: x:FP32:1,128."),
    ] = None
    input_data: InputData = None
    string_length: StringLength = STRING_LENGTH
    string_data: StringData = None
    input_tensor_format: Annotated[TensorFormat, typer.Option(help="V2 over HTTP: inputs.")] = (
        TensorFormat.BINARY
    )
    output_tensor_format: Annotated[TensorFormat, typer.Option(help="V2 over HTTP: outputs.")] = (
        TensorFormat.BINARY
    )
    compression: Annotated[Compression, typer.Option(help="Of request bodies.")] = Compression.NONE
    request_parameter: RequestParameters = None
    shared_memory: Annotated[
        MemoryKind | None,
        typer.Option(
            parser=_memory_kind,
            metavar="[none|system|cuda]",
            show_default="none",
            help="Inputs and outputs of a server on this machine.",
        ),
    ] = None
    output_shared_memory_size: Annotated[
        int, typer.Option(min=1, help="Bytes for each output in shared memory.")
    ] = 102_400
    num_of_sequences: SequenceCount = 4
    sequence_length: SequenceLength = 20
    sequence_length_variation: SequenceVariation = 20.0
    sequence_id_range: SequenceIds = "1"
    method: Annotated[
        str, typer.Option(help="http: the method; GET without a body, else POST.")
    ] = ""
    path: Annotated[str, typer.Option(help="http: the path.")] = "/"
    body: Annotated[
        list[Path] | None, typer.Option(help="http, torchserve: files to send, in turn.")
    ] = None
    content_type: Annotated[str, typer.Option(help="http, torchserve: of the body.")] = ""
    json_path: Annotated[
        str | None, typer.Option(help='http: must be in the answer: $.label, or $.label="cat".')
    ] = None
    signature_name: Annotated[str, typer.Option(help="tfserving: the signature.")] = ""


@dataclass(frozen=True, kw_only=True)
class ResultOptions:
    """What is watched beside the load, and where the results go."""

    title: ClassVar = "The results"
    collect_metrics: Annotated[
        bool, typer.Option("--collect-metrics", help="Read the server's Prometheus page.")
    ] = False
    metrics_url: Annotated[
        str,
        typer.Option(help="Where that is; http://HOST:8002/metrics without, openai: /metrics."),
    ] = ""
    metrics_interval: Annotated[
        float, typer.Option(min=10, help="Milliseconds between readings.")
    ] = 1000.0
    csv: Annotated[
        Path | None, typer.Option("--latency-report-file", "-f", help="Write a CSV file.")
    ] = None
    verbose_csv: Annotated[bool, typer.Option("--verbose-csv", help="With more columns.")] = False
    export: Annotated[
        Path | None,
        typer.Option("--export", "--profile-export-file", help="Write everything as JSON."),
    ] = None
    plot: Annotated[Path | None, typer.Option(help="Write a plot (HTML).")] = None
    as_json: AsJson = False


@dataclass(frozen=True, kw_only=True)
class MeasureOptions(
    ResultOptions, ConversationOptions, PromptOptions, RequestOptions, LoadOptions, ServerOptions
):
    """Measure throughput and latency of a model on a server that already runs."""
