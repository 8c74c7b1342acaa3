"""How a Triton is asked for what all configurations must agree on: over HTTP, or on a stream."""

from collections.abc import Sequence
from typing import Self

from runners.base import RunningServer
from tuner.clients.v2 import ModelTraits
from tuner.clients.v2_http import V2Client
from tuner.load.profile import Endpoint
from tuner.load.requests import Tensor
from tuner.protocols.tensors.input_data import Step
from tuner.protocols.v2 import (
    SEQUENCE_END,
    SEQUENCE_ID,
    SEQUENCE_START,
    RequestParameter,
    V2Options,
)
from tuner.targets import tensor_requests
from tuner.targets.request_form import RequestForm

# Correlation ids of the sequences whose outputs are compared: far from those of the load, and
# small enough for models that read them as INT32.
_FIRST_ID = 2**31 - 2**10


class TritonClient(V2Client):
    """Control over HTTP; requests of `form`, on a gRPC stream where the model is decoupled."""

    def __init__(self, server: RunningServer, form: RequestForm, *, timeout_s: float) -> None:
        super().__init__(server.url("http"), headers=form.headers, timeout_s=timeout_s)
        self._form = form
        self._grpc = Endpoint(server.host, server.ports.get("grpc", 0))

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def answers(
        self, model: str, traits: ModelTraits, steps: Sequence[Step], count: int
    ) -> tuple[tuple[Tensor, ...], ...]:
        """What each of `count` askers at once is answered to the steps.

        Raises:
            ServerError: One is answered with an error, or not in time.
        """

        def ask(asker: int, number: int, step: Step) -> tuple[Tensor, ...]:
            place: dict[str, RequestParameter] = {}
            if traits.stateful:
                place[SEQUENCE_ID] = _FIRST_ID + asker
                place[SEQUENCE_START] = number == 0
                place[SEQUENCE_END] = number + 1 == len(steps)
            options = V2Options(parameters={**self._form.parameters, **place})
            if traits.decoupled:
                return self._streamed(model, step, options)
            return self.infer(model, step.inputs, options)

        return tensor_requests.answers(ask, steps, count)

    def _streamed(self, model: str, step: Step, options: V2Options) -> tuple[Tensor, ...]:
        # gRPC is slow to import, and not everybody speaks it.
        from tuner.clients.v2_grpc import V2GrpcClient

        with V2GrpcClient(
            self._grpc, headers=self._form.headers, timeout_s=self._timeout_s
        ) as streams:
            responses = streams.infer_streamed(model, step.inputs, options)
        return tensor_requests.numbered(responses, "response")
