"""`tuner measure`: the load engine against a server that already runs."""

import math
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.command_line import Result, Tuner
from tests.v2_server import V2Server, serving
from tuner.commands.measure import base_url, load_profiles, parse_url, steps
from tuner.errors import InputError
from tuner.load import Arrivals, ClosedLoop, Endpoint, OpenLoop

WANTED = "must be a number or START:END:STEP"
SHORT = ("--duration", "0.2s", "--warm-up", "0.1s", "--timeout", "5s")


@pytest.fixture
def tuner(capsys: pytest.CaptureFixture[str]) -> Tuner:
    return Tuner(capsys)


@pytest.fixture
def server() -> Iterator[V2Server]:
    with serving() as running:
        yield running


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(result: Result, message: str, hint: str = "", *, status: int = 2) -> None:
    """The command failed with this message, and nothing on stdout."""
    assert (result.status, result.out) == (status, "")
    assert result.err == f"error: {message}\n" + (f"hint: {hint}\n" if hint else "")


class TestAgainstAServer:
    def test_a_range_of_concurrency(self, tuner: Tuner, server: V2Server) -> None:
        """Each step of the range is a load point, with what client and server saw of it."""
        result = tuner(
            "measure", server.url, "--model", "double", "--concurrency", "1:5:2", "--json", *SHORT
        )

        assert (result.status, result.err) == (0, "")
        assert [point["concurrency"] for point in result.json] == [1, 3, 5]
        for point in result.json:
            assert point["errors"] == {}
            assert point["requests"] > 0
            assert point["throughput"] > 0
            assert 0 < point["p50_ms"] <= point["p90_ms"] <= point["p95_ms"] <= point["p99_ms"]
            # The server counts what it has answered; the client also what it still waits for.
            assert 0 < point["server"]["inferences"] <= point["requests"]
            assert point["server"]["queue_ms"] == pytest.approx(1.0)
            assert point["server"]["batches"] == {"1": point["server"]["inferences"]}
            assert point["engine_priority"]

    def test_a_range_of_rates(self, tuner: Tuner, server: V2Server) -> None:
        """An open loop sends what it was told to, with the arrivals and the seed it was told."""
        result = tuner(
            *("measure", server.url, "-m", "double", "--rate", "20:60:40", "--json", *SHORT),
            *("--arrivals", "constant", "--seed", "7"),
        )

        assert (result.status, result.err) == (0, "")
        assert [(p["rate"], p["arrivals"], p["seed"]) for p in result.json] == [
            (20, "constant", 7),
            (60, "constant", 7),
        ]
        assert [p["requests"] for p in result.json] == [4, 12]

    def test_a_percentile_of_ones_own(self, tuner: Tuner, server: V2Server) -> None:
        """The percentile that was asked for is there beside the usual ones."""
        result = tuner(
            "measure", server.url, "-m", "double", "--percentile", "99.9", "--json", *SHORT
        )

        [point] = result.json
        assert [key for key in point if key.startswith("p")] == [
            "p50_ms",
            "p90_ms",
            "p95_ms",
            "p99_ms",
            "p99.9_ms",
        ]

    def test_batches(self, tuner: Tuner, server: V2Server) -> None:
        """With `--batch`, each request carries so many inferences, and they are counted so."""
        result = tuner("measure", server.url, "-m", "double", "-b", "4", "--json", *SHORT)

        [point] = result.json
        assert {tensor.shape for _, tensor in server.inputs} == {(4, 4)}
        assert set(point["server"]["batches"]) == {"4"}
        assert point["server"]["inferences"] == 4 * point["server"]["executions"]

    def test_a_model_without_a_batch_dimension(self, tuner: Tuner, server: V2Server) -> None:
        """Shapes of a model that does not batch are sent as they are; a batch is refused."""
        assert tuner("measure", server.url, "-m", "flat", *SHORT).status == 0
        assert {tensor.shape for _, tensor in server.inputs} == {(4,)}
        refused(
            tuner("measure", server.url, "-m", "flat", "--batch", "2", *SHORT),
            "`--batch 2` was given, but the model `flat` has no batch dimension",
        )

    def test_an_open_shape(self, tuner: Tuner, server: V2Server) -> None:
        """Dimensions that a model leaves open come from `--shape`; without it, that is said."""
        command = ("measure", server.url, "-m", "picture", *SHORT)

        assert tuner(*command, "--shape", "x:3,2,5").status == 0
        assert {tensor.shape for _, tensor in server.inputs} == {(1, 3, 2, 5)}
        refused(
            tuner(*command),
            "input `x` has the open shape [1, 3, -1, -1]",
            "choose its dimensions: `--shape x:D1,D2,...`",
        )
        refused(
            tuner(*command, "--shape", "image:3,2,5"),
            "no input is called `image`; the model has `x`",
            "correct the name in `--shape NAME:DIMENSIONS`",
        )

    def test_zeros(self, tuner: Tuner, server: V2Server) -> None:
        """`--input-data zero` sends zeros, random data is something else, of a few kinds."""
        for data in ("zero", "random"):
            assert tuner(
                "measure", server.url, "-m", "double", "--input-data", data, *SHORT
            ).status == 0  # fmt: skip
        sent = {tensor.data for _, tensor in server.inputs}
        assert np.zeros(4, np.float32).tobytes() in sent
        assert 2 <= len(sent) <= 17

    def test_tables(self, tuner: Tuner, server: V2Server, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without `--json` there are two tables: what the client saw and what the server says."""
        monkeypatch.setenv("COLUMNS", "120")
        result = tuner("measure", server.url, "-m", "double", "--concurrency", "2", *SHORT)

        assert (result.status, result.err) == (0, "")
        assert "Client" in result.out
        assert "Server" in result.out
        assert result.out.count("concurrency 2") >= 2

    def test_a_server_that_fails(self, tuner: Tuner, server: V2Server) -> None:
        """Failed requests are counted by kind and are infinitely late: null in JSON."""
        result = tuner("measure", server.url, "-m", "broken", "--json", *SHORT)

        [point] = result.json
        assert result.status == 0
        assert set(point["errors"]) == {"http_500"}
        assert point["throughput"] == 0
        assert point["p50_ms"] is None
        assert point["avg_ms"] is None

    def test_pinned_to_a_cpu(self, tuner: Tuner, server: V2Server) -> None:
        """The engine can be pinned to a CPU that is there."""
        result = tuner("measure", server.url, "-m", "double", "--engine-cpus", "0", *SHORT)

        assert result.status == 0

    def test_an_unknown_model(self, tuner: Tuner, server: V2Server) -> None:
        """A model that the server does not have is the server's answer, with status 1."""
        refused(
            tuner("measure", server.url, "-m", "doubel", *SHORT),
            "the server does not have the model `doubel` ready",
            "check the name; Triton lists its models at POST /v2/repository/index",
            status=1,
        )


def test_nothing_listens(tuner: Tuner) -> None:
    """Where nothing listens, host and port are to be checked, with status 1."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound, and never listening
        url = f"http://127.0.0.1:{free.getsockname()[1]}"

        refused(
            tuner("measure", url, "-m", "double", *SHORT),
            f"no answer from {url}: [Errno 111] Connection refused",
            "check that the server runs and that host and port are right",
            status=1,
        )


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        (
            ["--concurrency", "1", "--rate", "10"],
            "`--concurrency` (closed loop) and `--rate` (open loop) exclude each other",
            "measure one after the other",
        ),
        (
            ["--concurrency", "1.5"],
            f"`--concurrency` {WANTED} in whole numbers above 0, but got `1.5`",
            "for example: `--concurrency 1:16:5`",
        ),
        (
            ["--rate", "nan"],
            f"`--rate` {WANTED} in numbers above 0, but got `nan`",
            "for example: `--rate 1:16:5`",
        ),
        (
            ["--percentile", "100"],
            "`--percentile` must be from 1 to 99.99, but got 100",
            "for example: `--percentile 99`",
        ),
        (
            ["--duration", "0s"],
            "`--duration` must be a duration above 0 and up to 1000h, but got `0s`",
            "for example: 90s, 3m, 2h",
        ),
        (
            ["--warm-up", "x"],
            "`--warm-up` must be a duration above 0 and up to 1000h, but got `x`",
            "for example: 90s, 3m, 2h",
        ),
        (
            ["--timeout", "-1s"],
            "`--timeout` must be a duration above 0 and up to 1000h, but got `-1s`",
            "for example: 90s, 3m, 2h",
        ),
        (["--batch", "0"], "`--batch` must be at least 1, but got 0", ""),
        (
            ["--engine-cpus", "one"],
            "`--engine-cpus` must be a list of CPUs, but got `one`",
            "for example: 0,2-3",
        ),
    ],
)
def test_bad_options(tuner: Tuner, options: list[str], message: str, hint: str) -> None:
    """An option that cannot be used is refused before the server is asked anything."""
    refused(tuner("measure", "http://127.0.0.1:9", "-m", "double", *options), message, hint)


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://127.0.0.1:8000", Endpoint("127.0.0.1", 8000)),
        ("http://bench.example:8000/", Endpoint("bench.example", 8000)),
        ("localhost:8000", Endpoint("localhost", 8000)),
        ("HTTP://Bench", Endpoint("bench", 80)),
        ("http://[::1]:8000", Endpoint("::1", 8000)),
    ],
)
def test_urls(url: str, endpoint: Endpoint) -> None:
    """A URL is a host and a port; the protocol may be left out."""
    assert parse_url(url) == endpoint
    assert parse_url(base_url(endpoint)) == endpoint


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://",
        "http://:8000",
        "http://host:0",
        "http://host:port",
        "http://host:99999",
        "http://[::1:8000",
        "http://two words:8000",
        "http://host:8000/v2/models",
        "http://host:8000?x=1",
        "http://me@host:8000",
    ],
)
def test_urls_that_cannot_be_used(url: str) -> None:
    """What is not just a host and a port is refused, with an example of one."""
    with pytest.raises(InputError) as caught:
        parse_url(url)

    assert caught.value.message == f"a URL of host and port was expected, but got `{url}`"
    assert caught.value.hint == "for example: http://127.0.0.1:8000"


@pytest.mark.parametrize("url", ["grpc://host:8001", "https://host:443", "ftp://host"])
def test_other_protocols(url: str) -> None:
    """Only what can be measured is accepted."""
    with pytest.raises(InputError) as caught:
        parse_url(url)

    assert caught.value.message == f"only http:// URLs can be measured, but got `{url}`"
    assert caught.value.hint == "V2 inference over HTTP: http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("8", [8.0]),
        ("1:4", [1.0, 2.0, 3.0, 4.0]),
        ("1:16:5", [1.0, 6.0, 11.0, 16.0]),
        ("1:15:5", [1.0, 6.0, 11.0]),
        ("0.1:0.3:0.1", [0.1, 0.2, 0.3]),
        ("5:5", [5.0]),
        ("1e3", [1000.0]),
        ("1:1000", [float(n) for n in range(1, 1001)]),
    ],
)
def test_steps(text: str, values: list[float]) -> None:
    """A number, or a range with its end included if the steps meet it."""
    assert steps(text, "--rate") == pytest.approx(values)


@pytest.mark.parametrize(
    "text",
    ["", "x", "0", "-1", "nan", "inf", "1:inf", "1:nan", "4:1", "1:4:0", "1:4:-1", "1:4:nan",
     "1:2:3:4", ":", "1:", "1:4:"],
)  # fmt: skip
def test_no_steps(text: str) -> None:
    """Loads are above zero, and a range goes up."""
    with pytest.raises(InputError) as caught:
        steps(text, "--rate")

    assert caught.value.message == (f"`--rate` {WANTED} in numbers above 0, but got `{text}`")


@pytest.mark.parametrize("text", ["1:1001", "1:1e9:1e-3", "1:1e308:1e-308"])
def test_too_many_steps(text: str) -> None:
    """A range that would take forever is a slip."""
    with pytest.raises(InputError) as caught:
        steps(text, "--rate")

    assert caught.value.message == f"`--rate {text}` would be more than 1000 load points"
    assert caught.value.hint == "choose a larger STEP"


def test_load_profiles() -> None:
    """Concurrency is a closed loop, a rate an open one; concurrency 1 without either."""
    poisson = Arrivals.POISSON

    assert load_profiles(None, None, poisson, 3) == [ClosedLoop(1)]
    assert load_profiles("1:3:2", None, poisson, 3) == [ClosedLoop(1), ClosedLoop(3)]
    assert load_profiles(None, "0.5:1:0.5", poisson, 3) == [
        OpenLoop(0.5, poisson, 3),
        OpenLoop(1.0, poisson, 3),
    ]
    assert math.isfinite(OpenLoop(0.5).rate)
