"""What happened to studies and jobs, read from the database, as the bytes of server-sent events.

A message's `id` is `E-C`: the numbers of the last event of a study and of the last change of a job
that were told. The format is that of the HTML standard, section 9.2.
"""

import heapq
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tuner.clients.service import JOB_CHANGED
from tuner.errors import InputError, masked
from tuner.records import TrialRecord
from tuner.report.json_text import json_text
from tuner.report.status import trial_document
from tuner.store.events import Event, EventKind, events_between, last_numbers
from tuner.store.queue import QueueChange, QueuedJob, queue_changes, queued_job
from tuner.store.storage import Storage

STILL_HERE = b": still here\n\n"
# Who has lost the stream asks for it again after so many milliseconds.
_RETRY_MS = 2000
_POSITION = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")
# So many of each are read at once: a load point has some kilobytes.
_PAGE = 200
# Of a load point: what only whoever computes with it needs, and finds with the study's trials.
_LEFT_OUT = ("histogram", "first_response", "itl", "whole")


@dataclass(frozen=True)
class Position:
    """The last event of a study, and the last change of a job, that were told."""

    event: int = 0
    change: int = 0

    @classmethod
    def of(cls, text: str) -> "Position":
        """That which a message had as its id.

        Raises:
            InputError: It is none.
        """
        found = _POSITION.fullmatch(text)
        if found is None:
            raise InputError(
                f"`{text[:40]}` is not the id of an event",
                hint="send the last one that came, such as `120-7`, or none",
            )
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.event}-{self.change}"

    def holds(self, other: "Position") -> bool:
        """Whether all that was told up to `other` was told here, too."""
        return self.event >= other.event and self.change >= other.change


@dataclass(frozen=True)
class Subject:
    """What is watched: a job and its study, or all of them where both are None."""

    job: int | None = None
    study: str | None = None


@dataclass(frozen=True)
class News:
    """What is told after a position; `is_all` unless there is more."""

    text: bytes
    position: Position
    is_all: bool
    is_over: bool | None


def opening(position: Position) -> bytes:
    """What a stream begins with: who loses it before the first event comes back with that id."""
    return f"id: {position}\nretry: {_RETRY_MS}\n\n".encode()


def newest(storage: Storage, subject: Subject) -> tuple[Position, bool]:
    """The position after all that there is, and whether nothing more will come."""
    position = _newest(storage, subject)
    job = None if subject.job is None else queued_job(storage, subject.job)
    if job is None or not job.state.is_over:
        return position, False
    # It may have come to its end since, and all that it told was written before that.
    return _newest(storage, subject), True


def _newest(storage: Storage, subject: Subject) -> Position:
    return Position(*last_numbers(storage, study=subject.study, job=subject.job))


def news(
    storage: Storage, subject: Subject, after: Position, until: Position | None = None
) -> News:
    """The next that was not told yet, in the order that it happened in.

    Changes are read first: all events of a job that is over were written before it was.
    """
    changes = [
        change
        for change in queue_changes(storage, job=subject.job, after=after.change)
        if until is None or change.id <= until.change
    ]
    found = events_between(
        storage,
        subject.study,
        after=after.event,
        until=until.event if until else None,
        limit=_PAGE,
    )
    told = list(_in_turn(found, changes[:_PAGE], is_all=len(changes) <= _PAGE))
    is_all = len(told) == len(found) + len(changes) and len(found) < _PAGE
    lines, position = _told(storage, told, after)
    last = next((each for each in reversed(told) if isinstance(each, QueueChange)), None)
    return News(
        b"".join(lines),
        until if until and is_all else position,
        is_all,
        last.state.is_over if last else None,
    )


_Row = tuple[str, Event] | QueueChange


def _in_turn(
    found: Collection[tuple[str, Event]], changes: Collection[QueueChange], *, is_all: bool
) -> Iterator[_Row]:
    """Both by their time, each in its own order, up to the end of the first one that has more."""
    left = [len(found), len(changes)]
    has_more = [len(found) == _PAGE, not is_all]
    both: list[Iterable[_Row]] = [found, changes]
    for row in heapq.merge(*both, key=_at):
        yield row
        which = int(isinstance(row, QueueChange))
        left[which] -= 1
        if not left[which] and has_more[which]:
            return


def _at(row: _Row) -> Any:
    return row.at if isinstance(row, QueueChange) else row[1].at


def _told(storage: Storage, rows: list[_Row], after: Position) -> tuple[list[bytes], Position]:
    trials = _trials(storage, [row for row in rows if not isinstance(row, QueueChange)])
    jobs: dict[int, QueuedJob | None] = {}
    lines, position = [], after
    for row in rows:
        if isinstance(row, QueueChange):
            if row.job not in jobs:
                jobs[row.job] = queued_job(storage, row.job)
            position = Position(position.event, row.id)
            lines.append(_message(position, JOB_CHANGED, _change_data(row, jobs[row.job])))
        else:
            study, event = row
            position = Position(event.id, position.change)
            ended = trials.get((study, event.trial)) if _ends(event) else None
            lines.append(_message(position, event.kind.value, _event_data(study, event, ended)))
    return lines, position


def _message(position: Position, kind: str, data: Mapping[str, Any]) -> bytes:
    return f"id: {position}\nevent: {kind}\ndata: {json_text(data, indent=None)}\n".encode()


def _change_data(change: QueueChange, job: QueuedJob | None) -> dict[str, Any]:
    return {
        "job": change.job,
        "study": job.study if job else None,
        "state": change.state.value,
        "why": change.why,
        "by": change.by,
        "at": change.at.isoformat(),
    }


def _event_data(study: str, event: Event, ended: TrialRecord | None) -> dict[str, Any]:
    content = dict(event.content)
    match event.kind:
        case EventKind.POINT_MEASURED:
            point = content.get("point", {})
            content["point"] = {
                name: value for name, value in point.items() if name not in _LEFT_OUT
            }
        case EventKind.SAID:
            content["text"] = masked(str(content.get("text", "")))
        case EventKind.TRIAL_ENDED if ended is not None:
            content = trial_document(ended)
        case _:
            pass
    return {"study": study, "trial": event.trial, "at": event.at.isoformat(), **content}


def _ends(event: Event) -> bool:
    return event.kind is EventKind.TRIAL_ENDED and event.trial is not None


def _trials(
    storage: Storage, found: Collection[tuple[str, Event]]
) -> dict[tuple[str, int | None], TrialRecord]:
    """Those that ended, by study and number."""
    ended: dict[str, list[int]] = {}
    for study, event in found:
        if _ends(event) and event.trial is not None:
            ended.setdefault(study, []).append(event.trial)
    return {
        (study, trial.number): trial
        for study, numbers in ended.items()
        for trial in storage.in_brief(study, numbers)
    }
