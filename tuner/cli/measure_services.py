"""Which service `tuner measure` measures, and with which requests: options made into values."""

from collections.abc import Mapping
from pathlib import Path

from tuner.cli.address import Address, address, tls_settings
from tuner.cli.measure_options import (
    Compression,
    MeasureOptions,
    ServiceKind,
    TensorFormat,
)
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
from tuner.sweep.http import HttpForm, http_service, read_bodies
from tuner.sweep.service import Service
from tuner.sweep.tensorflow_serving import TensorFlowForm, tensorflow_service
from tuner.sweep.torchserve import torchserve_service
from tuner.sweep.v2 import V2Form, V2Service

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
}


def service(options: MeasureOptions) -> Service:
    """The service that the options name.

    Raises:
        InputError: An option cannot be used, or does not fit the kind of service.
        ServerError: The server does not tell what is needed for its requests.
    """
    where = address(
        options.url,
        protocol=options.protocol,
        tls=tls_settings(options),
        unix_socket=options.unix_socket,
    )
    kind = options.service_kind
    of_others = set().union(*OF_KIND.values()) - OF_KIND[kind]
    check_meaning(options, of_others, f"--service-kind {kind}", hint="leave one of them out")
    check_data(options)
    if options.shared_memory is None:
        check_needed(options, "output_shared_memory_size", "--shared-memory")
    if where.grpc:
        _check_metadata(headers(options.header))
    if kind is not ServiceKind.HTTP and not options.model:
        raise InputError("a model is needed", hint="name it with `--model`")
    match kind:
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
    if where.grpc:
        raise InputError(
            "`--service-kind http` is spoken over HTTP", hint="give an http:// or https:// URL"
        )
    bodies = read_bodies(options.body or ())
    return HttpForm(
        method=options.method or ("POST" if bodies else "GET"),
        path=options.path,
        headers=headers(options.header),
        bodies=bodies or (b"",),
        content_type=options.content_type,
        json_path=options.json_path,
    )


def _check_metadata(named: Mapping[str, str]) -> None:
    for name in named:
        if name.lower().endswith("-bin"):  # gRPC PROTOCOL-HTTP2.md, "Custom-Metadata"
            raise InputError(
                f"`--header '{name}: ...'` is binary metadata of gRPC, which cannot be sent",
                hint="give a name that does not end with `-bin`",
            )
