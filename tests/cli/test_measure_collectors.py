"""Who watches the server while `tuner measure` loads it."""

from pathlib import Path
from typing import Any

import pytest

from tests.refusals import refused
from tuner.cli.measure_options import MeasureOptions, ServiceKind
from tuner.cli.measure_plan import collectors
from tuner.load.profile import Endpoint


def options(**values: Any) -> MeasureOptions:
    return MeasureOptions(url="http://127.0.0.1:8000", **values)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("10.0.0.1", "http://10.0.0.1:8002/metrics"),
        ("::1", "http://[::1]:8002/metrics"),
    ],
)
def test_where_metrics_are(host: str, url: str) -> None:
    """Metrics are looked for on Triton's port of the same host; of others, on their own."""
    with collectors(options(collect_metrics=True), Endpoint(host, 1)) as watching:
        assert watching.metrics is not None
        assert str(watching.metrics._url) == url
    given = options(collect_metrics=True, service_kind=ServiceKind.OPENAI)
    with collectors(given, Endpoint(host, 1)) as watching:
        assert watching.metrics is not None
        assert str(watching.metrics._url) == url.replace("8002", "1")


def test_a_url_of_metrics_that_is_none() -> None:
    """A page of metrics has a URL."""
    watching = collectors(options(metrics_url="ftp://x"), Endpoint("h", 1))
    message = "a URL of a page of metrics was expected, but got `ftp://x`"
    with refused(message, "for example: http://127.0.0.1:8002/metrics"), watching:
        pass


def test_who_watches(tmp_path: Path) -> None:
    """A process is watched where one listens on this machine; behind a socket nobody knows it."""
    for endpoint in (
        Endpoint("192.0.2.1", 9),
        Endpoint("localhost", 80, unix_socket=tmp_path / "socket"),
    ):
        with collectors(options(), endpoint) as watching:
            assert (watching.metrics, watching.process, watching.gpus) == (None, None, None)
