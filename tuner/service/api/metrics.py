"""/metrics: figures for Prometheus, in the text format that it reads."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import tuner
from tuner.report.status import Status
from tuner.service.access.principal import Reader
from tuner.service.api.problems import documented
from tuner.service.api.standing import Statuses
from tuner.service.api.watching import Watching
from tuner.store.queue import ACTIVE, count, queued_jobs, waits_since
from tuner.store.storage import Storage

_RATE = (
    "what it carries within the latency budget, in requests per second of a model that generates "
    "text, else in inferences per second"
)


class Requests:
    """Counts the answers of an application by the class of their status: `2xx`."""

    def __init__(self, app: ASGIApp, counts: Counter[str]) -> None:
        self._app, self._counts = app, counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._counts[f"{message['status'] // 100}xx"] += 1
            await send(message)

        await self._app(scope, receive, counting)


class Figures(Collector):
    """All that is told of a service, read when somebody asks."""

    def __init__(
        self, storage: Storage, statuses: Statuses, watching: Watching, requests: Counter[str]
    ) -> None:
        self._storage, self._statuses = storage, statuses
        self._watching, self._requests = watching, requests
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """In the order that they are told in."""
        version = GaugeMetricFamily("tuner_build_info", "The version.", labels=["version"])
        version.add_metric([tuner.__version__], 1)
        yield version
        yield from self._queue()
        yield from _studies(list(self._running()))
        yield GaugeMetricFamily(
            "tuner_event_watchers", "Open streams of events.", value=self._watching.count
        )
        requests = CounterMetricFamily(
            "tuner_http_requests", "Requests by the class of their answer.", labels=["status"]
        )
        for status, number in sorted(self._requests.items()):
            requests.add_metric([status], number)
        yield requests

    def _queue(self) -> Iterator[Metric]:
        jobs = GaugeMetricFamily("tuner_jobs", "Jobs by state.", labels=["state"])
        for state, number in count(self._storage).items():
            jobs.add_metric([state.value], number)
        yield jobs
        yield GaugeMetricFamily(
            "tuner_queue_oldest_seconds",
            "Since when the job that has waited longest waits; 0 if none does.",
            value=self._oldest_s(),
        )

    def _oldest_s(self) -> float:
        first = waits_since(self._storage)
        return (datetime.now(UTC) - first).total_seconds() if first else 0.0

    def _running(self) -> Iterator[Status]:
        for job in queued_jobs(self._storage, states=ACTIVE):
            status = self._statuses.of(job.study)
            if status is not None:
                yield status


def _studies(found: list[Status]) -> Iterator[Metric]:
    """Of those that jobs run."""
    trials = GaugeMetricFamily(
        "tuner_trials", "Trials of a study that runs.", labels=["study", "state"]
    )
    best = GaugeMetricFamily(
        "tuner_best_throughput", f"The best so far: {_RATE}.", labels=["study"]
    )
    baseline = GaugeMetricFamily(
        "tuner_baseline_throughput", f"The defaults of the server: {_RATE}.", labels=["study"]
    )
    for status in found:
        study, winner = status.study, status.result.winner
        for state, number in Counter(trial.state.value for trial in study.trials).items():
            trials.add_metric([study.name, state], number)
        if winner is not None:
            best.add_metric([study.name], winner.throughput)
        if study.baseline is not None:
            baseline.add_metric([study.name], study.baseline.throughput)
    yield from (trials, best, baseline)


routes = APIRouter(tags=["health"])


@routes.get(
    "/metrics",
    operation_id="read_metrics",
    summary="Figures for Prometheus: jobs, trials, the best so far, watchers, requests",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        **documented(),
    },
)
def read_metrics(request: Request, _: Reader) -> Response:
    figures: Figures = request.app.state.figures
    return Response(figures.text(), media_type=CONTENT_TYPE_PLAIN_0_0_4)
