"""What shows that a TensorFlow Serving has its settings, where the server is of another kind."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import pytest

from tests.targets.answering import misbehaving, says
from tuner.clients.tensorflow_serving import TensorFlowServingClient
from tuner.load.requests import TensorSpec
from tuner.records import SettingVerdict
from tuner.space.settings import EnvironmentVariables, ServerFlag, ServerProperty
from tuner.targets.process_proofs import ACCEPTED, CONFIRMED, refuted
from tuner.targets.request_form import RequestForm
from tuner.targets.tensor_requests import Interface
from tuner.targets.tensorflow_serving.evidence import (
    Batches,
    TensorFlowServingEvidence,
    Tryout,
    batches_seen,
)

MODEL = Interface(
    inputs=(TensorSpec("x", "FP32", (-1,)),),
    outputs=(TensorSpec("y", "FP32", (-1,)),),
    batched=True,
)
NO_BATCHES = Batches(are_made=False, verdicts={})
PARAMETERS = {"max_batch_size": 4, "batch_timeout_micros": 1000}


@contextmanager
def answering(
    refused: str = "", page: Callable[[int], str] = lambda asked: ""
) -> Iterator[Tryout]:
    """A server that answers one row, refuses more with `refused`, and has these metrics."""
    asked = 0

    def answer(handler: BaseHTTPRequestHandler) -> None:
        nonlocal asked
        if handler.command == "GET":
            says(page(asked).encode())(handler)
            return
        asked += 1
        if refused and asked > 1:
            says(json.dumps({"error": refused}).encode(), status=400)(handler)
        else:
            says(b'{"outputs": [2.0]}')(handler)

    with misbehaving(answer) as url, TensorFlowServingClient(url) as client:
        yield Tryout(client, "m", MODEL, RequestForm())


def counted(asked: int) -> str:
    """Metrics of a version that counts nothing but the queue: two milliseconds for a request."""
    name = ":tensorflow:serving:batching_session:queuing_latency"
    return f"{name}_count{{}} {asked}\n{name}_sum{{}} {2000 * asked}\n" if asked else ""


class TestBatchesSeen:
    def test_counters_of_the_queue_alone(self) -> None:
        """Without a count of batches, that of the queue shows that they are made."""
        said = "Task size 5 is larger than maximum batch size 4"
        with answering(said, counted) as tryout:
            seen = batches_seen(tryout, PARAMETERS, asked=1)
        assert seen.are_made
        assert seen.verdicts["max_batch_size"] == CONFIRMED
        assert seen.verdicts["batch_timeout_micros"] == CONFIRMED

    def test_a_refusal_without_any_counters(self) -> None:
        """Where nothing is counted, a request that is too large for a batch shows as much."""
        said = "Task size 5 is larger than maximum input batch size 4"
        with answering(said) as tryout:
            seen = batches_seen(tryout, PARAMETERS, asked=1)
        assert seen.are_made
        assert seen.verdicts == {"max_batch_size": CONFIRMED, "batch_timeout_micros": ACCEPTED}

    def test_a_refusal_in_other_words(self) -> None:
        """A refusal that does not tell the largest batch proves nothing."""
        with answering("Too much", counted) as tryout:
            seen = batches_seen(tryout, {"max_batch_size": 4}, asked=1)
        assert seen.verdicts == {"max_batch_size": ACCEPTED}

    def test_padding_that_is_not_counted(self) -> None:
        """A version that does not count padding cannot prove it."""
        with answering("", counted) as tryout:
            seen = batches_seen(
                tryout, {"max_batch_size": 8, "allowed_batch_sizes": "powers_of_two"}, asked=1
            )
        assert seen.verdicts["allowed_batch_sizes"] == ACCEPTED

    def test_nothing_seen(self) -> None:
        """A server that answers everything and counts nothing makes no batches."""
        with answering() as tryout:
            assert not batches_seen(tryout, PARAMETERS, asked=1).are_made


class TestEvidence:
    def evidence(self, batches: Batches = NO_BATCHES, **more: object) -> TensorFlowServingEvidence:
        facts: dict[str, object] = {"log_head": "", "pid": 0, "batching": True, **more}
        return TensorFlowServingEvidence(batches, **facts)  # type: ignore[arg-type]  # of those types

    def test_an_unknown_argument(self) -> None:
        """The server names what it does not know, and goes on without it."""
        evidence = self.evidence(log_head="unknown argument: --new_flag=1\nusage: ...")
        assert evidence.verdict(ServerFlag("--new_flag"), 1) == refuted(
            "the server's log says `unknown argument: --new_flag`"
        )
        assert evidence.verdict(ServerFlag("--new"), 1) == ACCEPTED

    def test_processes_that_cannot_be_seen(self) -> None:
        """Nobody can say with which words they were started."""
        assert self.evidence().verdict(ServerFlag("--any"), 1) == ACCEPTED

    def test_other_words(self) -> None:
        """A process that is seen must have been started with the flag."""
        verdict = self.evidence(pid=os.getpid()).verdict(ServerFlag("--any"), 1)
        assert verdict == refuted("no process of the server was started with --any=1")

    @pytest.mark.parametrize(
        ("batching", "are_made", "verdict"),
        [
            (True, True, ACCEPTED),
            (True, False, refuted("the server makes no batches")),
            (
                False,
                False,
                refuted("it means nothing without --enable_batching=true"),
            ),
        ],
    )
    def test_a_batching_parameter(
        self, *, batching: bool, are_made: bool, verdict: SettingVerdict
    ) -> None:
        """It counts only where batches are wanted and made."""
        evidence = self.evidence(Batches(are_made, {}), batching=batching)
        assert evidence.verdict(ServerProperty("num_batch_threads"), 2) == verdict

    def test_what_is_left_out(self) -> None:
        """A value that says nothing has no effect to be proved."""
        evidence = self.evidence(batching=False)
        assert evidence.verdict(ServerProperty("allowed_batch_sizes", "any"), "any") == ACCEPTED
        variables = EnvironmentVariables(("LD_PRELOAD",), "default")
        assert evidence.verdict(variables, "default") == ACCEPTED
