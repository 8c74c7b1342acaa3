"""A server's own metrics: what pages say, and real pages that are slow, broken or gone."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from time import sleep

import pytest

from tests.refusals import refused
from tests.targets.answering import Answer, closes, misbehaving, says
from tests.watch import metrics_pages
from tuner.protocols.prometheus import parse
from tuner.watch.gpu_usage import GpuUsage
from tuner.watch.metrics import Gauge, MetricsScraper, ServerMetrics
from tuner.watch.sampling import Samples

_SUCCESS = 'nv_inference_request_success{model="m",version="1"}'
_QUEUE = "nv_inference_queue_summary_us"
_PENDING = 'nv_inference_pending_request_count{model="m",version="1"}'
_NEVER_S = 1000.0
_ADVICE = (
    "check that it publishes them there (Triton: `--allow-metrics=true`, TorchServe: "
    "`metrics_mode=prometheus`, llama.cpp: `--metrics`, SGLang: `--enable-metrics`)"
)


@contextmanager
def page(*answers: Answer) -> Iterator[str]:
    """The URL of a server that gives the answers one after another, the last of them for ever."""
    left = list(answers)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        assert handler.path == "/metrics"
        (left.pop(0) if len(left) > 1 else left[0])(handler)

    with misbehaving(answer) as url:
        yield f"{url}/metrics"


def text(content: str, status: int = 200) -> Answer:
    return says(content.encode(), status=status)


def hung(handler: BaseHTTPRequestHandler) -> None:
    """A server that takes the request and says nothing until the other one hangs up."""
    handler.rfile.read(1)


def dripping(handler: BaseHTTPRequestHandler) -> None:
    """A server that never stops its header, so that no single read takes long."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    with suppress(OSError):
        while True:
            handler.wfile.write(b"x")
            sleep(0.01)


def endless(handler: BaseHTTPRequestHandler) -> None:
    """A page that never ends."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    with suppress(OSError):
        while True:
            handler.wfile.write(b"up 1\n" * 100_000)


def scraped(*answers: Answer, timeout_s: float = 5.0) -> tuple[ServerMetrics | None, str]:
    """The metrics of a window between two scrapes, and the warning."""
    with page(*answers) as url:
        scraper = MetricsScraper(url, _NEVER_S, timeout_s=timeout_s)
        with scraper.window() as samples:
            pass
    return ServerMetrics.of([samples]), scraper.warning.replace(url, "URL")


def missing(reason: str) -> str:
    return f"metrics of the server are missing: asked for URL, got: {reason}; {_ADVICE}"


def metrics_of(*windows: Sequence[str]) -> ServerMetrics:
    """Of the pages of each window, in order."""
    parsed = [list(map(parse, pages)) for pages in windows]
    metrics = ServerMetrics.of([Samples(p[0], p[1:-1], p[-1]) for p in parsed])
    assert metrics is not None
    return metrics


def counting(*successes: float) -> list[str]:
    return [metrics_pages.triton(success=success) for success in successes]


class TestAggregation:
    def test_gpus(self) -> None:
        """What the manual says of GPUs is taken of the scrapes inside; NaN counts for nothing."""
        values = [(0.0, 1, 9e9), (0.5, 60, 2e9), (1.0, 80, 3e9), (0.0, 1, 9e9)]
        metrics = metrics_of(
            [metrics_pages.triton(utilization=u, power_w=w, used=n) for u, w, n in values]
        )

        assert metrics.scrapes == 2
        assert metrics.gpus == {
            "GPU-a": GpuUsage(0.75, 70.0, 3_000_000_000, 85_899_345_920),
            "GPU-b": GpuUsage(utilization=0.0),
        }

    def test_everything_else(self) -> None:
        """Counters and sums grow from end to end; gauges have a mean and a largest value."""
        metrics = metrics_of(counting(100, 120, 160, 161))

        assert metrics.counters == {_SUCCESS: 61}
        labels = '{model="m",version="1"}'
        assert metrics.totals == {f"{_QUEUE}_count{labels}": 61, f"{_QUEUE}_sum{labels}": 6100}
        assert metrics.gauges == {_PENDING: Gauge(mean=14.0, largest=16.0)}

    def test_torchserve(self) -> None:
        """Its GPUs are known by number, in percent and MiB; a new counter began at nothing."""
        before = "\n".join(
            line
            for line in metrics_pages.torchserve(requests=0).splitlines()
            if not line.startswith("ts_inference_requests_total")
        )
        metrics = metrics_of([before, metrics_pages.torchserve(requests=3)])

        assert metrics.gpus == {"0": GpuUsage(0.75, None, 2**30, None)}
        assert metrics.counters == {
            'ts_inference_requests_total{hostname="bench",model_name="resnet18",'
            'model_version="default"}': 3
        }
        assert metrics.gauges == {
            'MemoryUsed{Hostname="bench",Level="Host"}': Gauge(8245.62109375, 8245.62109375)
        }

    def test_several_windows(self) -> None:
        """Windows that were pooled are counted together, and what lies between is not."""
        metrics = metrics_of(counting(0, 10), counting(90, 100))

        assert metrics.scrapes == 4
        assert metrics.counters == {_SUCCESS: 20}
        assert metrics.gauges[_PENDING] == Gauge(mean=5.0, largest=10.0)

    def test_a_server_that_restarted(self) -> None:
        """Counters that fell say nothing of the window."""
        metrics = metrics_of(counting(50, 3))

        assert metrics.counters == {}
        assert metrics.totals == {}


class TestFaults:
    """None of them is an error; each is told, once."""

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (text("not here", 404), "status 404"),
            (text("", 302), "status 302"),
            (text("<html><body>Welcome"), "line 1 is no metric: `<html><body>Welcome`"),
            (text("up 1\nup up up"), "line 2 is no metric: `up up up`"),
            (says(b"up\xff 1"), "line 1 is no metric: `up\ufffd 1`"),
            (text("# TYPE a counter\n"), "a page without a metric"),
            (closes, "Server disconnected without sending a response."),
            (endless, "a page larger than 16 MiB"),
        ],
    )
    def test_no_page(self, answer: Answer, reason: str) -> None:
        """Whatever comes in place of metrics, the values are None, and it is said what came."""
        assert scraped(answer) == (None, missing(reason))

    @pytest.mark.parametrize("answer", [hung, dripping])
    def test_too_slow(self, answer: Answer) -> None:
        """A page has to be complete in time, however steadily it drips."""
        assert scraped(answer, timeout_s=0.1) == (None, missing("no answer within 0.1 s"))

    def test_nothing_listens(self) -> None:
        """Where nothing listens, that is said."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))  # bound, and never listening
            url = f"http://127.0.0.1:{free.getsockname()[1]}/metrics"
            scraper = MetricsScraper(url)
            with scraper.window() as samples:
                pass

        assert ServerMetrics.of([samples]) is None
        assert scraper.warning.replace(url, "URL") == missing("All connection attempts failed")

    def test_told_once(self) -> None:
        """The first fault is the one that is told."""
        _, warning = scraped(text("", 500), text("", 404))

        assert warning == missing("status 500")

    def test_a_page_that_vanishes(self) -> None:
        """What was seen before it went counts, but for counters, and it is said that it went."""
        metrics, warning = scraped(text(metrics_pages.triton(success=10)), closes)

        assert metrics is not None
        assert metrics.counters == {}
        assert metrics.gauges[_PENDING] == Gauge(1.0, 1.0)
        assert warning == missing("Server disconnected without sending a response.")

    def test_who_asks_is_not_told(self) -> None:
        """The warning has the page, without the user and the password that it was asked with."""
        with page(text("", 500)) as url:
            there = url.removeprefix("http://")
            scraper = MetricsScraper(f"http://alice:s3cret@{there}", _NEVER_S)
            with scraper.window():
                pass

        assert f"asked for http://***@{there}, got: status 500" in scraper.warning

    def test_proxies_are_not_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The server is near: the proxy of the environment is not for it."""
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")

        metrics, warning = scraped(text("up 1"))

        assert metrics is not None
        assert warning == ""


@pytest.mark.parametrize(
    "url", ["", "http://", "ftp://host/metrics", "http://host:x/", "http://[::1", "://"]
)
def test_no_url(url: str) -> None:
    """What is no URL is refused before anything is asked."""
    message = f"a URL of a page of metrics was expected, but got `{url}`"
    with refused(message, "for example: http://127.0.0.1:8002/metrics"):
        MetricsScraper(url)


def test_a_url_without_a_protocol() -> None:
    """As perf_analyzer takes it: `localhost:8002/metrics`."""
    with page(text("up 1")) as url:
        scraper = MetricsScraper(url.removeprefix("http://"), _NEVER_S)
        with scraper.window() as samples:
            pass

    assert len(samples.within) == 2
    assert scraper.warning == ""
