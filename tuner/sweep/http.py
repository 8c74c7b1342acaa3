"""Any server that answers HTTP requests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tuner.errors import InputError
from tuner.load.profile import Endpoint
from tuner.load.requests import RequestSet
from tuner.protocols import generic_http
from tuner.protocols.checks import JsonPathCheck
from tuner.sweep.service import PlainService


@dataclass(frozen=True, kw_only=True)
class HttpForm:
    """The requests: one for each of `bodies`, in turn; `json_path` is `path` or `path=JSON`."""

    method: str = "POST"
    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)
    bodies: tuple[bytes, ...] = (b"",)
    content_type: str = ""
    json_path: str | None = None


def http_service(endpoint: Endpoint, form: HttpForm) -> PlainService:
    """The server at `endpoint`; an answer with a status of 2xx is a success.

    Raises:
        InputError: The requests cannot be sent as they are.
    """
    defaults = {"Content-Type": form.content_type} if form.content_type else {}
    headers = generic_http.with_defaults(form.headers, defaults)
    payloads = tuple(
        generic_http.prepare(endpoint, form.path, method=form.method, headers=headers, body=body)
        for body in form.bodies
    )
    check = None
    if form.json_path is not None:
        path, equals, expected = form.json_path.partition("=")
        check = JsonPathCheck(path, expected if equals else None)
    return PlainService(
        endpoint,
        RequestSet(payloads, statuses=generic_http.SUCCESS_STATUSES, check=check),
    )


def read_bodies(paths: Sequence[Path]) -> tuple[bytes, ...]:
    """The contents of the files.

    Raises:
        InputError: One of them cannot be read.
    """
    bodies = []
    for path in paths:
        try:
            bodies.append(path.read_bytes())
        except OSError as error:
            raise InputError(
                f"`--body {path}` cannot be read: {error.strerror}", hint="give a file"
            ) from None
    return tuple(bodies)
