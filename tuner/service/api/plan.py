"""What `tuner plan` says, asked of a process of its own: reading a model takes time and memory."""

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from tuner.service.access.allowed import usable
from tuner.service.api.problems import ProblemError, later
from tuner.service.jobs import secrets
from tuner.service.service import Service

# Reading a large model repository takes seconds.
TIME_LIMIT_S = 60.0
# It shares the machine with a measurement: one at a time.
ALONE = threading.Lock()


def planned(service: Service, options: Mapping[str, Any]) -> dict[str, Any]:
    """The document of the command, with the same error and hint where it fails.

    Raises:
        InputError: An option cannot be used.
        ProblemError: It failed, took too long, or another one is asked for at the moment.
    """
    fields = service.command.options.model_fields
    known = {name: value for name, value in options.items() if _plans(fields[name])}
    known = usable(service.settings, known)
    # Everybody on the machine reads the words of a process.
    headers = known.pop(secrets.OPTION, None) or ()
    words = [*service.command.words(known), *(["--header", "@/dev/stdin"] if headers else [])]
    if not ALONE.acquire(blocking=False):
        raise later(
            HTTPStatus.TOO_MANY_REQUESTS,
            "another plan is being made",
            "ask again in a few seconds",
            after_s=5,
        )
    try:
        asked = [sys.executable, "-P", "-m", "tuner", "plan", *words, "--json"]
        return answer(asked, "".join(f"{each}\n" for each in headers))
    finally:
        ALONE.release()


def _plans(field: Any) -> bool:
    """Whether the command has the option."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("plans"))


def answer(words: list[str], said: str = "") -> dict[str, Any]:
    """The document that the command with these words prints, which reads what is `said`."""
    try:
        done = subprocess.run(
            words,
            input=said,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIME_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ProblemError(
            HTTPStatus.CONFLICT,
            f"the plan was not made within {TIME_LIMIT_S:.0f} s",
            "`tuner plan` on the machine of the service has no such limit",
        ) from None
    if done.returncode:
        raise _problem(done.stderr, done.returncode)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _problem(said: str, status: int) -> ProblemError:
    """What the command said last, as `error:` and `hint:`."""
    error, hint = said.rpartition("error: ")[2], ""
    if "\nhint: " in error:
        error, _, hint = error.partition("\nhint: ")
    kind = HTTPStatus.UNPROCESSABLE_ENTITY if status == _UNUSABLE else HTTPStatus.CONFLICT
    return ProblemError(kind, error.strip() or "the plan could not be made", hint.strip())


# The exit status where an option or a file cannot be used.
_UNUSABLE = 2
