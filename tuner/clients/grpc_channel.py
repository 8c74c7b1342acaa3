"""Channels of grpcio, for the control plane of servers that speak gRPC."""

from pathlib import Path
from typing import Any

import grpc

from tuner.errors import InputError
from tuner.load.profile import Endpoint, TlsSettings
from tuner.load.tls import tls_context

_OPTIONS = (
    # Proxy settings of the environment are not used: the servers under test are near.
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)


def name(endpoint: Endpoint) -> str:
    """How errors name the server."""
    if endpoint.unix_socket is not None:
        return _target(endpoint)
    return f"{'grpcs' if endpoint.tls else 'grpc'}://{endpoint.authority}"


def new(endpoint: Endpoint) -> Any:
    """A channel (`grpc.Channel`) to `endpoint`, for the caller to close.

    Raises:
        InputError: Verification is to be off, which gRPC cannot do, or the certificates cannot be
            used.
    """
    tls, target = endpoint.tls, _target(endpoint)
    if tls is None:
        return grpc.insecure_channel(target, options=_OPTIONS)
    expected = tls.server_name or endpoint.host
    options = (*_OPTIONS, ("grpc.ssl_target_name_override", expected))
    return grpc.secure_channel(target, _credentials(tls), options=options)


def _target(endpoint: Endpoint) -> str:
    return f"unix:{endpoint.unix_socket}" if endpoint.unix_socket else endpoint.authority


def _credentials(tls: TlsSettings) -> Any:
    if not tls.verify:
        raise InputError(
            "over gRPC the server's certificate is always verified, but verification is to be off",
            hint="give the server's own certificate as the CA file",
        )
    tls_context(tls)  # gRPC would tell of a bad file only by failing to connect
    return grpc.ssl_channel_credentials(
        _content_of(tls.ca_file),
        _content_of(tls.key or tls.certificate),
        _content_of(tls.certificate),
    )


def _content_of(path: Path | None) -> bytes | None:
    return path.read_bytes() if path else None
