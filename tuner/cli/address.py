"""URLs of servers taken apart, and how they are spoken to: options made into values."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tuner.cli.measure_options import ServerOptions
from tuner.errors import InputError
from tuner.load.profile import Endpoint, TlsSettings
from tuner.load.tls import tls_context
from tuner.protocols.v2 import V2Protocol

_PORTS = {"http": 80, "https": 443, "grpc": 8001, "grpcs": 443}


@dataclass(frozen=True)
class Address:
    """A URL taken apart."""

    protocol: V2Protocol
    endpoint: Endpoint

    @property
    def grpc(self) -> bool:
        return self.protocol is V2Protocol.GRPC


def address(
    url: str,
    *,
    protocol: V2Protocol | None = None,
    tls: TlsSettings | None = None,
    unix_socket: Path | None = None,
) -> Address:
    """The address that `url` names: `http`, `https`, `grpc` or `grpcs`, host and port.

    A URL without a scheme is one of `protocol`, HTTP by default. `tls` is taken if the scheme
    says TLS.

    Raises:
        InputError: It is no URL, of a protocol that is not there, or does not fit the others; the
            Unix socket is not there.
    """
    scheme, host, port = _taken_apart(url if "://" in url else f"{protocol or 'http'}://{url}")
    spoken = V2Protocol(scheme.removesuffix("s"))
    if protocol is not None and spoken is not protocol:
        raise InputError(
            f"`{url}` is not spoken to over {protocol}",
            hint=f"leave `--protocol` out, or give the URL as {protocol}://HOST:PORT",
        )
    secure = scheme.endswith("s")
    if tls is not None and tls != TlsSettings() and not secure:
        raise InputError(
            f"options of TLS were given, but `{url}` is spoken to without it",
            hint=f"give the URL as {spoken}s://HOST:PORT",
        )
    if unix_socket is not None and not unix_socket.is_socket():
        raise InputError(
            f"`--unix-socket {unix_socket}` is no socket",
            hint="check that the server listens on it",
        )
    settings = (tls or TlsSettings()) if secure else None
    return Address(spoken, Endpoint(host, port, settings, unix_socket))


def _taken_apart(url: str) -> tuple[str, str, int]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _not_an_address(url) from None
    if parts.scheme not in _PORTS:
        raise InputError(
            f"a URL of http, https, grpc or grpcs was expected, but got `{url}`",
            hint="for example: http://127.0.0.1:8000 or grpc://127.0.0.1:8001",
        )
    beyond = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    if not re.fullmatch(r"[\w.:-]+", parts.hostname or "") or port == 0 or beyond:
        raise _not_an_address(url)
    return parts.scheme, parts.hostname or "", port or _PORTS[parts.scheme]


def _not_an_address(url: str) -> InputError:
    return InputError(
        f"a URL of host and port was expected, but got `{url}`",
        hint="for example: http://127.0.0.1:8000",
    )


def tls_settings(options: ServerOptions) -> TlsSettings:
    """The TLS that the options ask for.

    Raises:
        InputError: A file is missing or cannot be used, or a certificate came without its key.
    """
    files = options.ca_file, options.client_certificate, options.client_key
    names = "--ca-file", "--client-certificate", "--client-key"
    for name, path in zip(names, files, strict=True):
        if path is not None and not path.is_file():
            raise InputError(f"`{name} {path}` is no file", hint="give a file in PEM form")
    if (options.client_certificate is None) != (options.client_key is None):
        raise InputError(
            "a client certificate and its key belong together",
            hint="give both `--client-certificate` and `--client-key`",
        )
    settings = TlsSettings(*files, not options.no_verify, options.server_name)
    if settings != TlsSettings():
        tls_context(settings)
    return settings
