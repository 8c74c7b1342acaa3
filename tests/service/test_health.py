"""/healthz, /readyz and /metrics: what supervisors and Prometheus ask."""

import re
from http import HTTPStatus

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from tests.report import studies
from tests.service.watched import brought, running, waiting, watching
from tuner.errors import StorageError
from tuner.records import TrialState
from tuner.service.jobs.dispatcher import Dispatcher
from tuner.service.service import Service
from tuner.store.queue import QueueState


def figures(client: httpx.Client) -> dict[str, float]:
    """By their names and labels."""
    found = client.get("/metrics")
    assert found.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(found.text)
        for sample in family.samples
    }


class TestHealth:
    def test_everybody_may_ask(self, client: httpx.Client) -> None:
        found = httpx.get(f"{client.base_url}/healthz")
        assert (found.status_code, found.json()) == (HTTPStatus.OK, {"status": "ok"})

    def test_nobody_looks_after_jobs(self, client: httpx.Client) -> None:
        found = httpx.get(f"{client.base_url}/readyz")
        assert found.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        assert found.json()["detail"] == "jobs are not looked after"

    def test_all_is_well(self, service: Service, app: FastAPI, client: httpx.Client) -> None:
        with Dispatcher(service) as dispatcher:
            app.state.dispatcher = dispatcher
            assert client.get("/readyz").json() == {"status": "ok"}

    def test_no_database(self, client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its path is told to nobody."""

        def fail(_: object) -> None:
            raise StorageError("/secret/studies.db: is locked")

        monkeypatch.setattr("tuner.service.api.health.last_numbers", fail)
        found = client.get("/readyz")
        assert found.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        assert found.json()["detail"] == "the database does not answer"


class TestMetrics:
    def test_they_are_for_readers(self, client: httpx.Client) -> None:
        found = httpx.get(f"{client.base_url}/metrics")
        assert found.status_code == HTTPStatus.UNAUTHORIZED

    def test_the_queue_and_what_runs(self, service: Service, client: httpx.Client) -> None:
        """Trials by their state, the best beside the baseline."""
        brought(service, waiting(service, "old"), QueueState.FAILED)
        waiting(service, "next")
        with running(service) as run:
            run.storage.save_trial("night", studies.baseline(152.0))
            run.storage.save_trial("night", studies.trial(1, 400.0))
            run.storage.save_trial("night", studies.trial(2, state=TrialState.PRUNED))
            found = figures(client)

        assert found["tuner_jobs queued"] == 1
        assert found["tuner_jobs running"] == 1
        assert found["tuner_jobs failed"] == 1
        assert found["tuner_jobs done"] == 0
        assert 0 <= found["tuner_queue_oldest_seconds"] < 600
        assert found["tuner_trials feasible night"] == 2
        assert found["tuner_trials pruned night"] == 1
        assert found["tuner_best_throughput night"] == pytest.approx(400.0)
        assert found["tuner_baseline_throughput night"] == 152.0

    def test_the_unit_of_throughputs(self, service: Service, client: httpx.Client) -> None:
        """One metric has studies of both kinds: its help says what they count."""
        said = client.get("/metrics").text
        for name in ("best", "baseline"):
            [line] = re.findall(f"# HELP tuner_{name}_throughput (.*)", said)
            assert "requests per second of a model that generates text, else in inferences" in line

    def test_requests_and_watchers(self, service: Service, client: httpx.Client) -> None:
        client.get("/api/v1/jobs/7")
        with running(service), watching(client, "/api/v1/jobs/night/events"):
            found = figures(client)

        assert found["tuner_event_watchers"] == 1
        assert found["tuner_http_requests_total 4xx"] == 1
        assert found["tuner_http_requests_total 2xx"] == 1
