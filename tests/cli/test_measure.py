"""`tuner measure` and servers that do not do their part: what is said, and what is kept.

The same against real servers, when all goes well: tests/end_to_end/test_measure_*.py.
"""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.command_line import Result
from tests.measuring import Measure
from tests.v2_server import V2Server, serving
from tuner.cli import measure as command
from tuner.errors import ServerError
from tuner.sweep.v2 import V2Service


@pytest.fixture
def server() -> Iterator[V2Server]:
    with serving() as running:
        yield running


def before(label: str, do: Callable[[], None]) -> Callable[..., AbstractContextManager[object]]:
    """Announces load points, and does something before the one with this label."""

    @contextmanager
    def announce(what: str, length_s: float) -> Iterator[None]:
        if what == label:
            do()
        yield

    return announce


class TestWhatIsSent:
    def test_batches(self, measure: Measure, server: V2Server) -> None:
        """With `--batch`, each request carries so many inferences."""
        [point] = measure(server.url, "-m", "double", "-b", "4")
        assert {tensor.shape for _, tensor in server.inputs} == {(4, 4)}
        assert point["server"]["inferences"] == 4 * point["server"]["executions"]

    def test_no_batch_dimension(self, measure: Measure, server: V2Server) -> None:
        """Shapes of a model that does not batch are sent as they are."""
        measure(server.url, "-m", "flat")
        assert {tensor.shape for _, tensor in server.inputs} == {(4,)}

    def test_an_open_shape(self, measure: Measure, server: V2Server) -> None:
        """Dimensions that a model leaves open come from `--shape`, whose name must be right."""
        measure(server.url, "-m", "picture", "--shape", "x:3,2,5")
        assert {tensor.shape for _, tensor in server.inputs} == {(1, 3, 2, 5)}
        assert measure.refusal(server.url, "-m", "picture", "--shape", "image:3,2,5") == (
            "no input is called `image`; the model has `x`",
            "correct the name in `--shape NAME:DIMENSIONS`",
        )

    def test_zero(self, measure: Measure, server: V2Server) -> None:
        """Zeros are sent if they were asked for."""
        measure(server.url, "-m", "double", "--input-data", "zero")
        assert {tensor.data for _, tensor in server.inputs} == {np.zeros(4, np.float32).tobytes()}

    def test_random_data(self, measure: Measure, server: V2Server) -> None:
        """Random data are of 64 kinds, and for one seed the same ones."""
        measure(server.url, "-m", "double", "--seed", "3", "--request-count", "100")
        first = {tensor.data for _, tensor in server.inputs}
        measure(server.url, "-m", "double", "--seed", "3", "--request-count", "100")
        assert {tensor.data for _, tensor in server.inputs} == first
        assert len(first) == 64


def test_a_server_that_always_fails(measure: Measure, server: V2Server) -> None:
    """A server that never answers well is not measured; how it failed is said."""
    message, hint = measure.refusal(server.url, "-m", "broken", status=1)
    assert message.startswith("no request of the warm-up was answered well: http_500 (")
    assert hint == "check URL, protocol and model, and see the server's log"


def test_nothing_listens(measure: Measure) -> None:
    """Where nothing listens, host and port are to be checked."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound, and never listening
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        assert measure.refusal(url, "-m", "double", status=1) == (
            f"no answer from {url}: [Errno 111] Connection refused",
            "check that the server runs and that host and port are right",
        )
        message, _ = measure.refusal(url, "--service-kind", "http", status=1)
    assert message.startswith("no request of the warm-up was answered well: connection_refused (")


Disturbed = Callable[[Callable[[], None]], Result]


@pytest.fixture
def disturbed(measure: Measure, server: V2Server, monkeypatch: pytest.MonkeyPatch) -> Disturbed:
    """Two points are to be measured; between them something is done, and the first is kept."""

    def run(do: Callable[[], None]) -> Result:
        monkeypatch.setattr(command, "_announce", before("concurrency 2", do))
        options = ("-m", "double", "--concurrency", "1:2", "-f", "perf.csv")
        result = measure.run(server.url, "--json", *options)
        assert [point["concurrency"] for point in result.json] == [1]
        return result

    return run


class TestInTheMiddle:
    def test_an_interrupt(self, disturbed: Disturbed) -> None:
        """The points so far are printed and written; the status is that of Ctrl-C."""
        others = engines()  # of the session

        def interrupt() -> None:
            raise KeyboardInterrupt

        result = disturbed(interrupt)

        assert (result.status, result.err.strip()) == (130, "CSV: perf.csv")
        assert os.listdir() == ["perf.csv"]  # noqa: PTH208 - the folder that the test is in
        assert engines() == others

    def test_the_server_breaks_down(
        self, disturbed: Disturbed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What it did before is kept, and the error is said."""

        def break_down() -> None:
            def statistics(_: V2Service) -> None:
                raise ServerError("the server is gone", hint="start it again")

            monkeypatch.setattr(V2Service, "statistics", statistics)

        result = disturbed(break_down)

        assert (result.status, result.err) == (
            1,
            "CSV: perf.csv\nerror: the server is gone\nhint: start it again\n",
        )

    def test_the_engine_is_killed(self, disturbed: Disturbed) -> None:
        """So it is if the load engine does not live to see the end."""
        others = engines()  # of the session

        def kill() -> None:
            [engine] = [each for each in engines() if each not in others]
            engine.send_signal(signal.SIGKILL)

        result = disturbed(kill)

        assert result.status == 1
        assert result.err == (
            "CSV: perf.csv\nerror: the load engine ended unexpectedly (exit status -9)\n"
            "hint: see whether the machine is out of memory; its last words are above\n"
        )

    def test_the_folder_goes_away(
        self, measure: Measure, server: V2Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """A file that can no longer be written is an error; the points are printed first."""
        folder = tmp_path / "results"
        folder.mkdir()
        monkeypatch.setattr(command, "_announce", before("concurrency 1", folder.rmdir))
        result = measure.run(server.url, "-m", "double", "--json", "-f", str(folder / "perf.csv"))

        assert [point["concurrency"] for point in result.json] == [1]
        assert result.status == 2
        assert result.err == (
            f"error: `{folder}/perf.csv` cannot be written: No such file or directory\n"
            "hint: choose a file in a folder that exists and that you may write to\n"
        )


def engines() -> list[psutil.Process]:
    """The load engine processes of this one."""
    children = psutil.Process().children()
    return [each for each in children if "tuner.load.engine" in each.cmdline()]
