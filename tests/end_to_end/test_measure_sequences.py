"""`tuner measure` of stateful and of decoupled models on a real Triton.

The model `accumulate` refuses a sequence that is not played in order, and tells in its outputs
the sum and the number of the steps so far: validation data prove which step came when.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.measuring import LASTING, Measure, write_json
from tests.servers.triton import TritonServer

STREAMS = ([5, 1, 1, 1, 1, 1, 1, 1, 1, 1], [7], [2, 4])
CLOSED = ("--concurrency", "1:8:7")
OPEN = ("--rate", "300", "--num-of-sequences", "6")


@pytest.fixture(params=["http", "grpc"])
def url(triton_server: TritonServer, request: pytest.FixtureRequest) -> str:
    return triton_server.http_url if request.param == "http" else grpc_url(triton_server)


def grpc_url(server: TritonServer) -> str:
    return f"grpc://{server.grpc_target}"


@pytest.fixture
def streams(tmp_path: Path) -> str:
    """A file of data streams with the outputs that the model has for them."""
    data = [[{"INPUT": [value]} for value in stream] for stream in STREAMS]
    expected = [
        [{"OUTPUT": [sum(stream[:n])], "STEP": [n]} for n in range(1, len(stream) + 1)]
        for stream in STREAMS
    ]
    return write_json(tmp_path / "streams.json", {"data": data, "validation_data": expected})


@pytest.mark.parametrize("load", [CLOSED, OPEN], ids=["closed loop", "open loop"])
def test_every_stream_is_played_in_order(
    measure: Measure, url: str, streams: str, load: tuple[str, ...]
) -> None:
    """Each sequence plays a stream from its first step to its last, and nobody steps between."""
    for point in measure(url, "-m", "accumulate", "--input-data", streams, *load, *LASTING):
        assert point["server"]["inferences"] >= point["requests"] > 20


def test_a_stream_that_ends_with_another_sum(measure: Measure, url: str, tmp_path: Path) -> None:
    """The same check fails where the order were another one: here at every third step."""
    data = {
        "data": [[{"INPUT": [1]}] * 3],
        "validation_data": [[{"STEP": [1]}, {"STEP": [2]}, {"STEP": [9]}]],
    }
    options = ("--input-data", write_json(tmp_path / "wrong.json", data), "--request-count", "60")
    [point] = measure.points(url, "-m", "accumulate", *options)
    assert point["errors"] == {"wrong_output": 20}


@pytest.mark.parametrize("load", [CLOSED, OPEN], ids=["closed loop", "open loop"])
def test_sequences_of_random_data(measure: Measure, url: str, load: tuple[str, ...]) -> None:
    """Sequences have the length, the ids and the number that was asked for."""
    points = measure(
        url, "-m", "accumulate", *load, "--sequence-length", "5",
        "--sequence-length-variation", "60", "--sequence-id-range", "900:100000",
    )  # fmt: skip
    assert all(point["requests"] >= 64 for point in points)


def test_sequences_over_streams(
    measure: Measure, triton_server: TritonServer, streams: str
) -> None:
    """Sequences may be played over gRPC streams, as well."""
    options = ("--streaming", "--concurrency", "4", "--input-data", streams)
    points = measure(grpc_url(triton_server), "-m", "accumulate", *options)
    assert all(point["requests"] >= 64 for point in points)


def test_sequences_in_json(measure: Measure, triton_server: TritonServer, streams: str) -> None:
    """Steps of sequences may be JSON over HTTP, with parameters of one's own."""
    forms = ("--input-tensor-format", "json", "--request-parameter", "a:1:int")
    options = (*forms, "--concurrency", "4", "--input-data", streams)
    points = measure(triton_server.http_url, "-m", "accumulate", *options)
    assert all(point["requests"] >= 64 for point in points)


def test_sequences_of_several_processes(measure: Measure, url: str, streams: str) -> None:
    """Engine processes share the correlation ids."""
    options = ("--workers", "2", "--concurrency", "4", "--input-data", streams)
    [point] = measure(url, "-m", "accumulate", *options)
    assert point["workers"] == 2


def test_sequences_in_shared_memory(measure: Measure, url: str) -> None:
    """Steps of sequences may lie in shared memory."""
    points = measure(url, "-m", "accumulate", "--shared-memory", "system", "--concurrency", "4")
    assert all(point["requests"] >= 64 for point in points)


@pytest.mark.parametrize(
    ("options", "sequences"),
    [(("--concurrency", "1:4:3"), 4), (("--rate", "50", "--num-of-sequences", "5"), 5)],
    ids=["closed loop", "open loop"],
)
def test_too_few_correlation_ids(
    measure: Measure, url: str, options: tuple[str, ...], sequences: int
) -> None:
    """Each sequence under way needs an id that no other has."""
    message = f"{sequences} sequences at once need as many correlation ids, but "
    assert measure.refusal(url, "-m", "accumulate", "--sequence-id-range", "1:4", *options) == (
        f"{message}`--sequence-id-range` has 3",
        "widen it, or put less load on the server",
    )


def test_steps_have_ids_of_their_own_and_are_not_compressed(
    measure: Measure, triton_server: TritonServer
) -> None:
    """The correlation id goes into a request when it is sent, which compression rules out."""
    assert measure.refusal(
        triton_server.http_url, "-m", "accumulate", "--compression", "gzip"
    ) == (
        "requests of a sequence cannot be compressed: each has its own correlation id",
        "leave the compression out",
    )


def counts(tmp_path: Path, *numbers: int) -> str:
    """Requests to the decoupled model `repeat`, of so many responses each."""
    data: dict[str, Any] = {"data": [{"IN": [number]} for number in numbers]}
    return write_json(tmp_path / "counts.json", data)


@pytest.mark.parametrize("numbers", [(0,), (1,), (5, 0, 2)], ids=["none", "one", "several"])
def test_a_decoupled_model(
    measure: Measure, triton_server: TritonServer, tmp_path: Path, numbers: tuple[int, ...]
) -> None:
    """A request is over with its last response, however many there are, or with none."""
    options = ("--streaming", "--concurrency", "1:4:3", "--input-data", counts(tmp_path, *numbers))
    for point in measure(grpc_url(triton_server), "-m", "repeat", *options):
        assert point["requests"] == 64


def test_the_first_of_many_responses(
    measure: Measure, triton_server: TritonServer, tmp_path: Path
) -> None:
    """It comes long before the last one, and is told of beside it."""
    options = ("--streaming", "--input-data", counts(tmp_path, 5000), "--request-count", "5")
    [point] = measure(grpc_url(triton_server), "-m", "repeat", *options)
    assert 0 < point["first_response"]["p99_ms"] < point["p50_ms"]
    [whole] = measure(grpc_url(triton_server), "-m", "echo")
    assert whole["first_response"] is None


def test_a_decoupled_model_in_an_open_loop(
    measure: Measure, triton_server: TritonServer, tmp_path: Path
) -> None:
    """Requests of an open loop go over as many streams as it takes."""
    options = ("--streaming", "--rate", "400", "--input-data", counts(tmp_path, 3))
    [point] = measure(grpc_url(triton_server), "-m", "repeat", *options)
    assert point["requests"] >= 64


def test_a_decoupled_model_that_fails(
    measure: Measure, triton_server: TritonServer, tmp_path: Path
) -> None:
    """An error on a stream is a failed request, and the next one gets its answer."""
    file = counts(tmp_path, 1, 1_000_000)
    [point] = measure.points(
        grpc_url(triton_server), "-m", "repeat", "--streaming", "--input-data", file
    )
    assert point["errors"] == {"stream_error": 32}


def test_a_decoupled_model_has_nothing_to_compare(
    measure: Measure, triton_server: TritonServer, tmp_path: Path
) -> None:
    """Validation data have outputs of one answer to a request, and here are any number."""
    data = {"data": [{"IN": [3]}], "validation_data": [{"OUT": [2]}]}
    options = ("--streaming", "--input-data", write_json(tmp_path / "data.json", data))
    assert measure.refusal(grpc_url(triton_server), "-m", "repeat", *options) == (
        "the model `repeat` is decoupled: its answers cannot be compared with validation data",
        "leave `validation_data` out",
    )


def test_a_decoupled_model_without_streams(measure: Measure, url: str) -> None:
    """Without streams, more or fewer answers than one would be lost: that is refused."""
    assert measure.refusal(url, "-m", "repeat") == (
        "the model `repeat` is decoupled: a request has any number of answers",
        "measure it over gRPC with `--streaming`",
    )


def test_streams_over_http(measure: Measure, triton_server: TritonServer) -> None:
    """HTTP has no streams."""
    assert measure.refusal(triton_server.http_url, "-m", "repeat", "--streaming") == (
        "streaming is a form of V2 inference over gRPC",
        "choose gRPC, or leave it out",
    )


def test_streams_of_a_model_that_is_not_decoupled(
    measure: Measure, triton_server: TritonServer
) -> None:
    """Any model can be asked on a stream; each request has one answer."""
    points = measure(grpc_url(triton_server), "-m", "echo", "--streaming", "--concurrency", "8")
    assert all(point["requests"] >= 64 for point in points)


def test_sequences_of_a_model_that_keeps_no_state(
    measure: Measure, triton_server: TritonServer
) -> None:
    """What would change nothing is refused."""
    assert measure.refusal(triton_server.http_url, "-m", "echo", "--sequence-length", "5") == (
        "`--sequence-length` means nothing to the model `echo`, which is not stateful",
        "leave it out",
    )
