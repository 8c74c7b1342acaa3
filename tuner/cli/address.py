"""Where `tuner measure` sends its load, and what load: options made into values."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tuner.errors import InputError
from tuner.load.profile import (
    Arrivals,
    ClosedLoop,
    Endpoint,
    LoadProfile,
    OpenLoop,
    Ramp,
    Replay,
    TlsSettings,
)
from tuner.load.tls import tls_context
from tuner.protocols.v2 import V2Protocol

_MOST_POINTS = 1000
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
    beyond = parts.path.strip("/") or parts.query or parts.fragment or parts.username
    if not re.fullmatch(r"[\w.:-]+", parts.hostname or "") or port == 0 or beyond:
        raise _not_an_address(url)
    return parts.scheme, parts.hostname or "", port or _PORTS[parts.scheme]


def _not_an_address(url: str) -> InputError:
    return InputError(
        f"a URL of host and port was expected, but got `{url}`",
        hint="for example: http://127.0.0.1:8000",
    )


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """The options that say which load; at most one of the first four is given."""

    concurrency: str | None = None
    rate: str | None = None
    ramp: str | None = None
    intervals: Path | None = None
    arrivals: Arrivals = Arrivals.POISSON
    seed: int = 0

    def profiles(self, step_s: float) -> list[LoadProfile]:
        """One profile a load point, concurrency 1 by default; each step of a ramp has `step_s`.

        Raises:
            InputError: A range or a file cannot be used, or two loads exclude each other.
        """
        self._check_single()
        if self.rate:
            return [
                OpenLoop(each, self.arrivals, self.seed) for each in steps(self.rate, "--rate")
            ]
        if self.ramp:
            rates = tuple(steps(self.ramp, "--ramp"))
            return [Ramp(rates, step_s, self.arrivals, self.seed)]
        if self.intervals:
            return [Replay(read_intervals(self.intervals))]
        numbers = steps(self.concurrency or "1", "--concurrency", whole=True)
        return [ClosedLoop(round(each)) for each in numbers]

    def _check_single(self) -> None:
        given = {
            "--concurrency": self.concurrency,
            "--rate": self.rate,
            "--ramp": self.ramp,
            "--request-intervals": self.intervals,
        }
        names = [name for name, value in given.items() if value]
        if len(names) > 1:
            raise InputError(
                f"`{names[0]}` and `{names[1]}` exclude each other",
                hint="measure one after the other",
            )


def steps(text: str, option: str, *, whole: bool = False) -> list[float]:
    """The values of `8`, `START:END` or `START:END:STEP`, the end included."""
    try:
        numbers = [float(int(part)) if whole else float(part) for part in text.split(":")]
    except ValueError:
        numbers = []
    start, end, step = _range(numbers)
    if not 0 < start <= end < math.inf or not step > 0:
        kind = "whole numbers" if whole else "numbers"
        raise InputError(
            f"`{option}` must be a number or START:END:STEP in {kind} above 0, but got `{text}`",
            hint=f"for example: `{option} 1:16:5`",
        )
    if (end - start) / step >= _MOST_POINTS:
        raise InputError(
            f"`{option} {text}` would be more than {_MOST_POINTS} load points",
            hint="choose a larger STEP",
        )
    count = int((end - start) / step + 1e-9) + 1
    return [start + n * step for n in range(count)]


def _range(numbers: Sequence[float]) -> tuple[float, float, float]:
    match numbers:
        case [start]:
            return start, start, 1.0
        case [start, end]:
            return start, end, 1.0
        case [start, end, step]:
            return start, end, step
        case _:
            return 0.0, 0.0, 0.0


def read_intervals(path: Path) -> tuple[float, ...]:
    """Seconds between requests from a file of whole microseconds, one in each line.

    Source: perf_analyzer's `--request-intervals`.

    Raises:
        InputError: The file cannot be read, or has something else in it.
    """
    try:
        lines = path.read_text().split()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(
            f"the intervals in `{path}` cannot be read: {reason}",
            hint="give a text file with one number of microseconds in each line",
        ) from None
    for number, line in enumerate(lines, start=1):
        if not line.isdecimal():
            raise InputError(
                f"`{path}`, number {number}: whole microseconds were expected, but got `{line}`"
            )
    intervals_s = tuple(int(line) / 1e6 for line in lines)
    if not sum(intervals_s) > 0:
        raise InputError(f"`{path}` has no interval above 0 microseconds")
    return intervals_s


def tls_settings(
    *, ca_file: Path | None, certificate: Path | None, key: Path | None, verify: bool, name: str
) -> TlsSettings:
    """The TLS that the options ask for.

    Raises:
        InputError: A file is missing or cannot be used, or a certificate came without its key.
    """
    for option, path in (
        ("--ca-file", ca_file),
        ("--client-certificate", certificate),
        ("--client-key", key),
    ):
        if path is not None and not path.is_file():
            raise InputError(f"`{option} {path}` is no file", hint="give a file in PEM form")
    if (certificate is None) != (key is None):
        raise InputError(
            "a client certificate and its key belong together",
            hint="give both `--client-certificate` and `--client-key`",
        )
    settings = TlsSettings(ca_file, certificate, key, verify, name)
    if settings != TlsSettings():
        tls_context(settings)
    return settings
