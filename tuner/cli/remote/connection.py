"""Where the service of a command is, who asks, and which of its options a service heeds."""

import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tuner.cli.console import note
from tuner.cli.options import SERVICE_VARIABLE
from tuner.cli.values import check_meaning
from tuner.clients.service import ServiceClient, is_loopback
from tuner.clients.webhook import is_address
from tuner.errors import InputError, TunerError

_TOKEN = "TUNER_SERVICE_TOKEN"  # noqa: S105 - the name of a variable
_CA = "TUNER_SERVICE_CA"
# Those of the commands in a hint that a service can be asked, too.
_ASKED_THERE = re.compile(
    r"(?<=`)tuner (?:optimize|plan|status|attach|pause|continue|stop|report|pareto|best"
    r"|studies (?:list|show))\b[^`]*(?=`)"
)
# Where a service that was started in this folder keeps its token.
_TOKEN_FILE = Path("tuner-service", "token")


@contextmanager
def connected(options: Any) -> Iterator[ServiceClient]:
    """A client of the service that `options` name; hints name commands as they are asked of it.

    Its token is in the variable TUNER_SERVICE_TOKEN; a service of this machine that was started in
    the working folder has it in a file there. TUNER_SERVICE_CA names a file of certificates to
    trust instead of the system's.

    Raises:
        InputError: The address or the token cannot be used, or a database was named beside it.
    """
    with _client(options) as service:
        try:
            yield service
        except TunerError as error:
            named = " ".join(["", *map(shlex.quote, _named(options.service))])
            error.hint = _ASKED_THERE.sub(lambda found: found[0] + named, error.hint)
            raise


def _client(options: Any) -> ServiceClient:
    url = options.service
    if not is_address(url) or set("@?#") & set(url):
        raise InputError(
            f"`--service` must be an address, but got `{url}`",
            hint="for example: http://127.0.0.1:8900",
        )
    hint = f"leave it out; `--service ''` asks the database although {SERVICE_VARIABLE} is set"
    check_meaning(options, {"db"}, "--service", hint=hint)
    token = _token(url)
    if not re.fullmatch("[!-~]*", token):  # an error of the connection would show it
        raise InputError(
            f"{_TOKEN} has what no token has", hint="one line of letters and digits is expected"
        )
    if token and url.startswith("http:") and not is_loopback(url):
        note(f"warning: the token goes to {url} as it is: without TLS, others can read it")
    ca_file = os.environ.get(_CA)
    return ServiceClient(url, token=token, ca_file=Path(ca_file) if ca_file else None)


def command_there(service: str, *words: str) -> str:
    """A command that a person most likely wants to type next: `tuner` with these words."""
    return shlex.join(["tuner", *words, *_named(service)])


def _named(service: str) -> list[str]:
    return [] if os.environ.get(SERVICE_VARIABLE) == service else ["--service", service]


def _token(url: str) -> str:
    said = os.environ.get(_TOKEN, "").strip()
    if said or not is_loopback(url):
        return said
    try:
        return _TOKEN_FILE.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
