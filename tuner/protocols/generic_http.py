"""Any HTTP/1.1 request: the base of every protocol over HTTP."""

import re
from collections.abc import Mapping

from tuner.errors import HIDDEN, InputError
from tuner.load.http1 import request_bytes
from tuner.load.profile import Endpoint

# RFC 9110 section 15.3.
SUCCESS_STATUSES = frozenset(range(200, 300))

# The answers to these say nothing of their own length (RFC 9112 section 6.3).
_UNFIT_METHODS = ("HEAD", "CONNECT")
_METHOD = re.compile(r"[A-Z][A-Z-]*")
_PATH = re.compile(r"/[!-~]*")
# RFC 9110 sections 5.1 and 5.5: a token, and a value without control characters.
_HEADER_NAME = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_HEADER_VALUE = re.compile(r"[ -~\t]*")
_FRAMING_HEADERS = ("content-length", "transfer-encoding")


def prepare(
    endpoint: Endpoint,
    path: str,
    *,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> bytes:
    """The wire-ready request; `path` includes a query, if there is one.

    Raises:
        InputError: Method, path or a header cannot be sent.
    """
    if not _METHOD.fullmatch(method) or method in _UNFIT_METHODS:
        raise InputError(
            f"requests cannot have the method `{method}`",
            hint="for example `GET`, `POST` or `PUT`; not `HEAD` and `CONNECT`",
        )
    if not _PATH.fullmatch(path):
        raise InputError(
            f"requests cannot have the path `{path}`",
            hint="it begins with `/`; write blanks and other special characters as %20 and so on",
        )
    fields = dict(headers or {})
    for name, value in fields.items():
        _check_header(name, value)
    named = next((name for name in fields if name.lower() == "host"), "")
    host = fields.pop(named) if named else endpoint.authority
    return request_bytes(path, host=host, headers=fields, body=body, method=method)


def with_defaults(headers: Mapping[str, str], defaults: Mapping[str, str]) -> dict[str, str]:
    """`headers`, and those of `defaults` that they do not replace, in whatever case."""
    replaced = {name.lower() for name in headers}
    kept = {name: value for name, value in defaults.items() if name.lower() not in replaced}
    return kept | dict(headers)


def _check_header(name: str, value: str) -> None:
    if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
        known = name if _HEADER_NAME.fullmatch(name) else HIDDEN
        raise InputError(
            f"requests cannot have the header `{known}: {HIDDEN}`",
            hint="a name of letters, digits and `-`; a value of one line, in ASCII",
        )
    if name.lower() in _FRAMING_HEADERS:
        raise InputError(
            f"requests cannot have a header `{name}` of their own", hint="it is set as it must be"
        )
