"""Tells the webhooks of jobs what becomes of them, in the order in which it happened.

What is to be told stands in the database: a receiver that does not answer holds nobody up, and a
service that was killed goes on telling. So something may be told twice, with the same number.
"""

import asyncio
import hashlib
import hmac
import logging
import secrets
import threading
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, Self

from tuner.analysis.rate_unit import RateUnit
from tuner.analysis.standings import standings
from tuner.clients.webhook import post_once
from tuner.errors import InputError, StorageError, TunerError
from tuner.report.json_text import json_text
from tuner.service.access import private
from tuner.service.service import Service
from tuner.service.settings import Settings
from tuner.store.deliveries import Pending, pending, tell
from tuner.store.events import last_numbers
from tuner.store.queue import QueueChange, QueuedJob, QueueState, queued_job
from tuner.store.storage import Storage

SIGNATURE = "X-Tuner-Signature"
DELIVERY = "X-Tuner-Delivery"
# How often it looks for what is to be told, in seconds.
_POLL_S = 1.0
# The pause after the first attempt, in seconds; each is three times as long as the one before it,
_FIRST_PAUSE_S = 1.0
# up to this one.
_LONGEST_PAUSE_S = 300.0
# So many receivers are told at once at most.
_AT_ONCE = 8
# Rows of a database with several writers can be seen in another order than that of their numbers:
# so many before the last one are looked at again.
_LATE = 50

_log = logging.getLogger("tuner.service")


class Webhooks(AbstractContextManager["Webhooks"]):
    """Works in a thread of its own for the length of a `with` block."""

    def __init__(self, service: Service) -> None:
        self._storage = service.storage
        self._machine = service.machine
        self._key = signing_key(service.settings)
        self._told: dict[int, asyncio.Task[None]] = {}  # by the numbers of jobs
        self._after = self._newest = 0
        self._some_wait = True
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="webhooks", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        asyncio.run(self._tell_all())

    async def _tell_all(self) -> None:
        while not self._over.is_set():
            try:
                await self._tell_due()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
                _log.warning("webhooks cannot be told: %s", error)
            await asyncio.sleep(_POLL_S)
        for each in self._told.values():
            each.cancel()

    async def _tell_due(self) -> None:
        self._told = {job: task for job, task in self._told.items() if not task.done()}
        for each in await asyncio.to_thread(self._next_of_each):
            if len(self._told) < _AT_ONCE and each.change.job not in self._told and _is_due(each):
                self._told[each.change.job] = asyncio.create_task(self._tell(each))

    def _next_of_each(self) -> list[Pending]:
        """What each job's receiver is to be told next."""
        _, newest = last_numbers(self._storage)
        if newest == self._newest and not self._some_wait:
            return []
        found = pending(self._storage, self._machine, after=self._after)
        first = found[0].change.id - 1 if found else newest
        self._after = max(self._after, first - _LATE)
        self._newest, self._some_wait = newest, bool(found)
        return list({each.change.job: each for each in reversed(found)}.values())[::-1]

    async def _tell(self, told: Pending) -> None:
        try:
            await self._attempt(told)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
            _log.warning("webhooks cannot be told: %s", error)

    async def _attempt(self, told: Pending) -> None:
        change = told.change
        status = None
        try:
            job, content = await asyncio.to_thread(self._content, change)
            signature = hmac.new(self._key, content, hashlib.sha256).hexdigest()
            headers = {SIGNATURE: f"sha256={signature}", DELIVERY: str(change.id)}
            status = await post_once(job.webhook, content, headers)
        except StorageError:
            raise  # nothing could be written down either
        except TunerError as problem:
            error = problem.message
        except Exception as problem:  # noqa: BLE001 - it counts as an attempt
            error = f"{type(problem).__name__}: {problem}"
        else:
            error = "" if 200 <= status < 300 else f"it answered {status}"
        await asyncio.to_thread(
            tell, self._storage, change.id, told.attempts + 1, status=status, error=error
        )

    def _content(self, change: QueueChange) -> tuple[QueuedJob, bytes]:
        job = queued_job(self._storage, change.job)
        if job is None:
            raise TunerError(f"job {change.job} is not in the database any more")
        return job, json_text(document(self._storage, job, change)).encode()


def document(storage: Storage, job: QueuedJob, change: QueueChange) -> dict[str, Any]:
    """What a receiver is told of a change; the `result` of a job that is done."""
    is_done = change.state is QueueState.DONE
    return {
        "job": job.id,
        "study": job.study,
        "state": change.state.value,
        "why": change.why,
        "by": change.by,
        "at": change.at.isoformat(timespec="milliseconds"),
        "change": change.id,
        "result": _result(storage, job.study) if is_done else None,
    }


def signing_key(settings: Settings) -> bytes:
    """What requests are signed with: made at the first start, and kept in the service's folder.

    Raises:
        InputError: It can be neither read nor written.
    """
    private.folder(settings.folder)
    text, _ = private.kept(settings.folder / "webhook-key", lambda: f"{secrets.token_hex(32)}\n")
    return text.strip().encode()


def pause_s(attempts: int) -> float:
    """Seconds between this many attempts in vain and the next one."""
    return float(min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 3 ** (attempts - 1)))


def _is_due(told: Pending) -> bool:
    if told.tried_at is None:
        return True
    waited_s = (datetime.now(UTC) - told.tried_at).total_seconds()
    return not 0 <= waited_s < pause_s(told.attempts)  # negative where the clock was set back


def _result(storage: Storage, study: str) -> dict[str, Any] | None:
    """The winner in short: its throughput, and how many times the defaults' that is."""
    try:
        record = storage.study(study, brief=True)
    except InputError:  # it was deleted
        return None
    found = standings(record)
    if found.winner is None:
        return None
    return {
        "throughput": found.winner.throughput,
        "unit": RateUnit.of(record).value,
        "configuration": dict(found.winner.configuration),
        "gain": found.gain.estimate if found.gain else None,
    }
