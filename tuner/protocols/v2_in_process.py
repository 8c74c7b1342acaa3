"""Requests of one model in V2 inference, for a Triton in the load engine's process."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain, count

from tuner.load.in_process import payloads
from tuner.load.in_process.hosted import version_number
from tuner.load.requests import ModelCall, RequestSet, SequenceSet, Tensor
from tuner.protocols import v2, v2_http
from tuner.protocols.v2 import V2Options
from tuner.protocols.v2_wire import SequenceForm, WireStep, outputs_check


@dataclass(frozen=True)
class InProcessWire:
    """Writes requests to `model`, as V2Wire does; of the options it heeds version and parameters.

    Expected outputs are read as over HTTP, which is the form in which the engine shows outputs.
    """

    model: str
    options: V2Options = v2.DEFAULT

    def request_set(self, steps: Sequence[WireStep], *, inferences: int) -> RequestSet:
        """Requests that are sent in turn, each step being one.

        Raises:
            InputError: Known outputs do not fit their shapes.
        """
        return RequestSet(
            payloads=tuple(map(payloads.payload, range(len(steps)))),
            inferences=inferences,
            model_call=self._call(steps),
            check=outputs_check(v2_http.read_response, steps),
        )

    def sequence_set(
        self,
        streams: Sequence[Sequence[WireStep]],
        form: SequenceForm,
        *,
        inferences: int,
        seed: int,
    ) -> RequestSet:
        """Sequences that play the streams.

        Raises:
            InputError: Known outputs do not fit their shapes.
        """
        steps, numbers = list(chain.from_iterable(streams)), count()
        return RequestSet(
            payloads=(),
            inferences=inferences,
            model_call=self._call(steps),
            check=outputs_check(v2_http.read_response, steps),
            sequences=SequenceSet(
                streams=tuple(
                    tuple(payloads.sequence_step(next(numbers)) for _ in stream)
                    for stream in streams
                ),
                encode_id=payloads.encode_id,
                seed=seed,
                **asdict(form),
            ),
        )

    def _call(self, steps: Sequence[WireStep]) -> ModelCall:
        return ModelCall(
            self.model,
            tuple(
                tuple(each for each in step.inputs if isinstance(each, Tensor)) for step in steps
            ),
            version_number(self.options.version),
            self.options.parameters,
        )
