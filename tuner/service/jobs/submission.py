"""What somebody asks for, made into a job that waits."""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tuner.clients import webhook as hooks
from tuner.errors import InputError, TunerError
from tuner.report.json_text import json_text
from tuner.service.access.allowed import usable
from tuner.service.jobs import secrets
from tuner.service.service import Service
from tuner.store.queue import QueuedJob, QueueState, Submission, how_many, submit

# What can stand in a path, in a URL and after an option; a number would be that of a job.
_NAME = re.compile(r"(?!\d+$)[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# Weeks of work for one machine; whoever looks at the queue has all of it read.
MOST_WAITING = 1000


def submitted(
    service: Service,
    options: Mapping[str, Any],
    *,
    by: str,
    study: str = "",
    webhook: str = "",
    key: str | None = None,
) -> tuple[QueuedJob, bool]:
    """The job that waits now, and whether it is a new one.

    Args:
        service: Where it is to run.
        options: Those of `tuner optimize` that were said, by the names of its fields.
        by: Who asks.
        study: Its name; one is made up where it is empty.
        webhook: The address that is told of its changes.
        key: The idempotency key: who says it again gets the same job.

    Raises:
        InputError: An option, the name of the study or the address cannot be used.
        TunerError: Too many wait already.
    """
    options = usable(service.settings, options)
    service.command.words(options)
    _check_name(study)
    if webhook:
        hooks.check_address(webhook)
    kept = secrets.without_values(options)
    asked = {"options": kept, "study": study, "webhook": webhook}
    name = study or f"job-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
    wanted = Submission(
        study=name,
        machine=service.machine,
        options=kept,
        by=by,
        log=str(service.settings.logs / f"{name}.log"),
        webhook=webhook,
        idempotency_key=key,
        request=hashlib.sha256(json_text(asked).encode()).hexdigest(),
    )
    with service.changing:  # it cannot begin before its headers are there
        if how_many(service.storage, states=[QueueState.QUEUED]) >= MOST_WAITING:
            raise TunerError(
                f"{MOST_WAITING:,} jobs wait already", hint="wait, or cancel some of them"
            )
        job, is_new = submit(service.storage, wanted)
        if is_new and options.get(secrets.OPTION):
            secrets.keep(service.settings, job, options[secrets.OPTION])
    return job, is_new


def _check_name(study: str) -> None:
    if study and not _NAME.fullmatch(study):
        raise InputError(
            f"`{study[:100]}` cannot be the name of a job's study",
            hint="use up to 100 letters, digits, `.`, `_` and `-`, and not digits alone",
        )
