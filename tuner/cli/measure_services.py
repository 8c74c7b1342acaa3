"""Which service `tuner measure` measures, and with which requests: options made into values."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tuner.cli.address import Address, address, tls_settings
from tuner.cli.measure_in_process import in_process_triton, is_in_process
from tuner.cli.measure_options import (
    Compression,
    MeasureOptions,
    ServiceKind,
    TensorFormat,
)
from tuner.cli.prompt_forms import (
    OF_ANSWERS,
    check_traced,
    conversation_form,
    openai_form,
    task_of,
    with_key,
)
from tuner.cli.prompt_options import OF_CONVERSATIONS, OF_PROMPTS
from tuner.cli.values import (
    check_data,
    check_meaning,
    check_needed,
    headers,
    inputs,
    request_parameters,
    sequence_form,
    shapes,
)
from tuner.clients.v2_address import V2Address
from tuner.errors import InputError
from tuner.protocols.tensorflow_serving import TensorFlowOptions
from tuner.protocols.tensors.input_files import file_bodies
from tuner.protocols.tensors.inputs import InputOptions
from tuner.protocols.torchserve import TorchServeOptions
from tuner.protocols.v2 import V2Options
from tuner.report.budgets import answer_limits
from tuner.sweep.http import HttpForm, http_service, read_bodies
from tuner.sweep.in_process import InProcessService
from tuner.sweep.openai import OpenAiService
from tuner.sweep.service import Service
from tuner.sweep.tensorflow_serving import TensorFlowForm, tensorflow_service
from tuner.sweep.torchserve import torchserve_service
from tuner.sweep.v2 import V2Form, V2Service
from tuner.workload.traces import Trace

# So that no cache and no branch predictor of the server learns them by heart.
_DISTINCT_REQUESTS = 64
# The options that do not mean something to every kind of service.
_OF_TENSORS = {"model_version", "batch", "shape", "input_data", "string_length", "string_data"}
OF_KIND = {
    ServiceKind.TRITON: _OF_TENSORS
    | {
        "input",
        "streaming",
        "input_tensor_format",
        "output_tensor_format",
        "compression",
        "request_parameter",
        "shared_memory",
        "output_shared_memory_size",
        "num_of_sequences",
        "sequence_length",
        "sequence_length_variation",
        "sequence_id_range",
    },
    ServiceKind.TORCHSERVE: {"model_version", "input_data", "body", "content_type"},
    ServiceKind.TFSERVING: _OF_TENSORS | {"signature_name"},
    ServiceKind.HTTP: {"method", "path", "body", "content_type", "json_path"},
    ServiceKind.OPENAI: OF_PROMPTS
    | OF_CONVERSATIONS
    | {"batch", "budget_ttft_ms", "budget_itl_ms", "trace", "trace_speed"},
}
# What means nothing where answers are not made of output tokens.
_OF_TOKENS = OF_ANSWERS | {"sessions", "trace", "budget_ttft_ms", "budget_itl_ms"}
# Those that find their model by themselves, or have none.
_WITHOUT_MODEL = (ServiceKind.HTTP, ServiceKind.OPENAI)


def service(options: MeasureOptions, trace: Trace | None = None) -> Service:
    """The service that the options name; `trace` is what is played, if anything is.

    Raises:
        InputError: An option cannot be used, or does not fit the kind of service.
        ServerError: The server does not tell what is needed for its requests.
    """
    return _in_process(options) if is_in_process(options.url) else _elsewhere(options, trace)


def _elsewhere(options: MeasureOptions, trace: Trace | None) -> Service:
    hint = "it is for triton-c-api:///MODEL_REPOSITORY: leave it out"
    check_meaning(options, {"triton_server_directory"}, options.url, hint=hint)
    where = address(
        options.url,
        protocol=options.protocol,
        tls=tls_settings(options),
        unix_socket=options.unix_socket,
    )
    _check(options, grpc=where.grpc)
    match options.service_kind:
        case ServiceKind.TRITON:
            v2_address = V2Address(where.endpoint, where.protocol, headers(options.header))
            return V2Service(v2_address, options.model, _v2_form(options))
        case ServiceKind.TORCHSERVE:
            return _torchserve(where, options)
        case ServiceKind.TFSERVING:
            return tensorflow_service(
                where.endpoint, options.model, _tensorflow_form(options), grpc=where.grpc
            )
        case ServiceKind.HTTP:
            return http_service(where.endpoint, _http_form(where, options))
        case ServiceKind.OPENAI:
            return _openai(where, options, trace)


def _check(options: MeasureOptions, *, grpc: bool) -> None:
    """That each option means something to the kind of service, and that a model is named."""
    kind = options.service_kind
    of_others = set().union(*OF_KIND.values()) - OF_KIND[kind]
    check_meaning(options, of_others, f"--service-kind {kind}", hint="leave one of them out")
    check_data(options)
    if options.shared_memory is None:
        check_needed(options, "output_shared_memory_size", "--shared-memory")
    if grpc:
        _check_metadata(headers(options.header))
    if kind not in _WITHOUT_MODEL and not options.model:
        raise InputError("a model is needed", hint="name it with `--model`")


def _in_process(options: MeasureOptions) -> Service:
    triton = in_process_triton(options)
    _check(options, grpc=False)
    return InProcessService(triton, options.model, _v2_form(options))


def _openai(where: Address, options: MeasureOptions, trace: Trace | None) -> Service:
    _check_http(where, ServiceKind.OPENAI)
    task = task_of(options)
    said = f"--task {task}"
    if task.generates:
        hint = "leave it out, or give `--task embeddings`"
        check_meaning(options, {"batch"}, said, hint=hint)
    else:
        check_meaning(options, _OF_TOKENS, said, hint="leave it out, or give `--task chat`")
    played = conversation_form(options, dataset=options.dataset)
    if played is not None:
        _check_users(options)
    if trace is not None:
        check_traced(options)
    form = openai_form(
        options,
        model=options.model,
        headers=with_key(headers(options.header)),
        inputs=options.batch,
        seed=options.seed,
    )
    limits = answer_limits(None, ttft_ms=options.budget_ttft_ms, itl_ms=options.budget_itl_ms)
    form.check_limits(limits)
    return OpenAiService(where.endpoint, replace(form, conversations=played, trace=trace))


def _check_users(options: MeasureOptions) -> None:
    """A turn follows the answer to the one before it, so that no clock can say when it comes."""
    for name in ("rate", "ramp", "request_intervals", "trace"):
        if getattr(options, name):
            raise InputError(
                f"`--{name.replace('_', '-')}` and `--sessions` exclude each other",
                hint="give `--concurrency`: so many users, each of whom waits for the answer",
            )


def _v2_form(options: MeasureOptions) -> V2Form:
    return V2Form(
        sources=tuple(options.input_data or ()),
        inputs=inputs(options.input),
        data=_input_options(options),
        batch=options.batch,
        options=V2Options(
            version=options.model_version,
            headers=headers(options.header),
            parameters=request_parameters(options.request_parameter),
            json_inputs=options.input_tensor_format is TensorFormat.JSON,
            json_outputs=options.output_tensor_format is TensorFormat.JSON,
            compression="" if options.compression is Compression.NONE else options.compression,
            streaming=options.streaming,
        ),
        sequences=sequence_form(options),
        shared_memory=options.shared_memory,
        output_byte_size=options.output_shared_memory_size,
    )


def _input_options(options: MeasureOptions) -> InputOptions:
    return InputOptions(
        shapes=shapes(options.shape),
        string_length=options.string_length,
        string_data=options.string_data,
        seed=options.seed,
        samples=_DISTINCT_REQUESTS * options.batch,
    )


def _torchserve(where: Address, options: MeasureOptions) -> Service:
    form = TorchServeOptions(
        version=options.model_version,
        headers=headers(options.header),
        content_type=options.content_type or TorchServeOptions.content_type,
    )
    bodies = _bodies(options)
    return torchserve_service(where.endpoint, options.model, bodies, form, grpc=where.grpc)


def _bodies(options: MeasureOptions) -> tuple[bytes, ...]:
    """Files named by `--body`, or by perf_analyzer's JSON form for TorchServe."""
    named = [body for path in options.input_data or () for body in file_bodies(Path(path))]
    bodies = (*read_bodies(options.body or ()), *named)
    if not bodies:
        raise InputError(
            "TorchServe takes any body, so one is needed",
            hint="give `--body FILE`, or `--input-data FILE.json` with `TORCHSERVE_INPUT`",
        )
    return bodies


def _tensorflow_form(options: MeasureOptions) -> TensorFlowForm:
    return TensorFlowForm(
        sources=tuple(options.input_data or ()),
        data=_input_options(options),
        batch=options.batch,
        options=TensorFlowOptions(
            version=options.model_version,
            headers=headers(options.header),
            signature=options.signature_name,
        ),
    )


def _http_form(where: Address, options: MeasureOptions) -> HttpForm:
    _check_http(where, ServiceKind.HTTP)
    bodies = read_bodies(options.body or ())
    return HttpForm(
        method=options.method or ("POST" if bodies else "GET"),
        path=options.path,
        headers=headers(options.header),
        bodies=bodies or (b"",),
        content_type=options.content_type,
        json_path=options.json_path,
    )


def _check_http(where: Address, kind: ServiceKind) -> None:
    if where.grpc:
        raise InputError(
            f"`--service-kind {kind}` is spoken over HTTP",
            hint="give an http:// or https:// URL",
        )


def _check_metadata(named: Mapping[str, str]) -> None:
    for name in named:
        if name.lower().endswith("-bin"):  # gRPC PROTOCOL-HTTP2.md, "Custom-Metadata"
            raise InputError(
                f"`--header '{name}: ...'` is binary metadata of gRPC, which cannot be sent",
                hint="give a name that does not end with `-bin`",
            )
