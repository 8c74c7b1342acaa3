"""/api/v1/events and /api/v1/jobs/{job}/events: what happens, as server-sent events."""

import asyncio
from contextlib import aclosing, suppress
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from starlette.types import Receive, Scope, Send

from tuner.errors import StorageError
from tuner.service.access.principal import Principal, Reader
from tuner.service.api.lookup import Here, JobKey, found_job
from tuner.service.api.news import Position, Subject, newest
from tuner.service.api.problems import documented
from tuner.service.api.watching import Watching

MEDIA_TYPE = "text/event-stream"
_AFTER = r"^[0-9]{1,18}-[0-9]{1,18}$"
_DESCRIPTION = """
A stream of server-sent events, each with `id: E-C`: the numbers of the last event of a study and
of the last change of a job that were told. Who comes back with that id, as `Last-Event-ID` or
`after`, is told all that it missed, and nothing twice.

| event | data, besides `study` and `at` |
| --- | --- |
| `job_changed` | `job`, `state`, `why`, `by` |
| `job_began` | `owner`, `replaces` |
| `trial_began` | `trial`, `purpose`, `configuration`; on a fleet its `host`, as the next two |
| `phase_began` | `trial`, `phase` |
| `point_measured` | `trial`, `point`: a load point, without its histogram |
| `trial_ended` | as `tuner status --trials --json` says it |
| `state_changed` | `state` of the study's tuner |
| `host_changed` | `host` of its fleet, its `state`, and `why` |
| `said` | `text`, a sentence for people |
| `job_ended` | `why`, empty if the study came to its end |

A comment is sent where nothing happens for 15 seconds. Who does not take what is sent is cut off,
and may come back.
"""
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The stream.",
        "content": {
            MEDIA_TYPE: {
                "schema": {"type": "string"},
                "example": 'id: 120-3\nevent: job_changed\ndata: {"job": 7, "state": "done"}\n\n',
            }
        },
    }
}

After = Annotated[
    str | None,
    Query(pattern=_AFTER, description="The id of the last event that came.", examples=["120-3"]),
]
LastEventId = Annotated[
    str | None,
    Header(pattern=_AFTER, description="The same, as browsers send it when they come back."),
]


class EventStream(Response):
    """Sends a watcher what it is told until the job is over, or one of the two leaves.

    It ends with the token, or the session, of whoever asked for it, too.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self, watching: Watching, who: Principal, subject: Subject, after: Position | None
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._watching, self._who, self._subject, self._after = watching, who, subject, after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        with self._watching.admitted() as watcher:
            leaving = asyncio.ensure_future(_left(receive))
            leaving.add_done_callback(lambda _: watcher.leave())
            try:
                start = {"status": self.status_code, "headers": self.raw_headers}
                await send({"type": "http.response.start", **start})
                told = self._watching.told(watcher, self._subject, self._after)
                # Where the database fails, or the service has to end, the watcher comes back.
                with suppress(StorageError, asyncio.CancelledError):
                    async with aclosing(told) as chunks:
                        async for chunk in chunks:
                            if not self._who.still():
                                break
                            body = {"body": chunk, "more_body": True}
                            await send({"type": "http.response.body", **body})
                await send({"type": "http.response.body", "body": b""})
            finally:
                leaving.cancel()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


routes = APIRouter(tags=["events"])


@routes.get(
    "/jobs/{job}/events",
    operation_id="watch_job",
    summary="What happens to a job and in its study, from the beginning",
    description=_DESCRIPTION + "\nThe stream ends after the job is over and all was told; who "
    "comes back then is answered 204.\n",
    response_class=Response,
    responses={
        **_RESPONSES,
        204: {"description": "The job is over, and all of it was told."},
        **documented(404),
    },
)
async def watch_job(
    job: JobKey,
    request: Request,
    service: Here,
    who: Reader,
    after: After = None,
    last_event_id: LastEventId = None,
) -> Response:
    asked = await asyncio.to_thread(found_job, service, job)
    subject = Subject(asked.id, asked.study)
    position = _position(after, last_event_id) or Position()
    if asked.state.is_over:
        last, _is_over = await asyncio.to_thread(newest, service.storage, subject)
        if position.holds(last):
            return Response(status_code=HTTPStatus.NO_CONTENT)
    return EventStream(watching_of(request), who, subject, position)


@routes.get(
    "/events",
    operation_id="watch_all",
    summary="What happens to all jobs and in all studies, from now on",
    description=_DESCRIPTION,
    response_class=Response,
    responses={**_RESPONSES, **documented()},
)
async def watch_all(
    request: Request, who: Reader, after: After = None, last_event_id: LastEventId = None
) -> Response:
    return EventStream(watching_of(request), who, Subject(), _position(after, last_event_id))


def watching_of(request: Request) -> Watching:
    """Those who watch the service that answers `request`."""
    found: Watching = request.app.state.watching
    return found


def _position(after: str | None, last_event_id: str | None) -> Position | None:
    """A browser that comes back sends what came last, to the address that it began with."""
    said = last_event_id or after
    return Position.of(said) if said else None
