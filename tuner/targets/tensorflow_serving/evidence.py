"""What shows that a TensorFlow Serving has its settings: what it does, its log, its processes.

The server tells nobody its settings, so it is tried out. With batching, a request of more rows
than a batch may have is refused with that number, one request alone waits as long as a batch waits
for others, and a batch of a size that is not allowed is padded. Without batching, nothing of this
happens, and the counters of `batching_session` are not there at all.

Sources: the scheduler of TensorFlow's core/kernels/batching_util/shared_batch_scheduler.h;
batching/batching_session.cc; model_servers/main.cc, which names arguments that it does not know
and goes on.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tuner.clients.tensorflow_serving import BatchingCounters, TensorFlowServingClient
from tuner.errors import ServerError
from tuner.records import SettingVerdict
from tuner.space.expressions import Value, value_text
from tuner.space.settings import Setting
from tuner.targets import tensor_requests
from tuner.targets.process_proofs import ACCEPTED, CONFIRMED, command_lines, judged, refuted
from tuner.targets.request_form import RequestForm
from tuner.targets.tensor_requests import Interface
from tuner.targets.tensorflow_serving.model import (
    BATCHING,
    MAX_BATCH,
    MODEL_PATH,
    SERVER_MAX_BATCH,
    SIZES,
    TIMEOUT,
    allowed_sizes,
)

_UNKNOWN = re.compile(r"unknown argument: (--[^\s=]+)")
_TOO_LARGE = re.compile(r"larger than maximum (?:input )?batch size (\d+)")
# The numbers in the JSON of a proof's request; one of more rows than these is not sent.
_MOST_NUMBERS_SENT = 4_000_000
# The share of its time that a request must have waited: the page of metrics rounds sums to six
# digits.
_SHARE_WAITED = 0.99


@dataclass(frozen=True)
class Tryout:
    """Requests that show what the server does, besides their outputs.

    Attributes:
        client: Talks to the server.
        model: The model's name.
        interface: What the model takes and gives.
        form: What requests of the study carry.
    """

    client: TensorFlowServingClient
    model: str
    interface: Interface
    form: RequestForm

    def can_send(self, rows: int) -> bool:
        """Whether a request can carry that number, and is not too large for a proof."""
        numbers = sum(
            math.prod(abs(size) for size in spec.shape[1:]) for spec in self.interface.inputs
        )
        return self.interface.batched and rows * numbers <= _MOST_NUMBERS_SENT

    def send(self, rows: int) -> tuple[BatchingCounters, BatchingCounters]:
        """The server's counters before and after one request alone.

        Raises:
            ServerError: It was refused.
        """
        form = replace(self.form, batch=rows) if self.interface.batched else self.form
        step = tensor_requests.golden(self.interface, form)[0]
        before = self.client.counters()
        self.client.predict(self.model, step.inputs, self.interface.outputs)
        return before, self.client.counters()


@dataclass(frozen=True)
class Batches:
    """What was seen of a server's batches.

    Attributes:
        are_made: Whether there are any.
        verdicts: By batching parameter, as far as its effect was seen.
    """

    are_made: bool
    verdicts: Mapping[str, SettingVerdict]


def batches_seen(tryout: Tryout, parameters: Mapping[str, Value], *, asked: int) -> Batches:
    """Try out a server that was started with these batching `parameters`.

    `asked` is the number of rows in a request of the study.
    """
    before, after = tryout.send(asked)
    made = (after.batches or 0) > (before.batches or 0) or (after.queued or 0) > (
        before.queued or 0
    )
    verdicts: dict[str, SettingVerdict] = {}
    most = int(parameters.get(MAX_BATCH, SERVER_MAX_BATCH))
    if MAX_BATCH in parameters:
        made, verdicts[MAX_BATCH] = _largest(tryout, most, made=made)
    if TIMEOUT in parameters and made and asked < most:
        verdicts[TIMEOUT] = _waited(before, after, int(parameters[TIMEOUT]))
    if SIZES in parameters and made:
        verdicts[SIZES] = _padded(tryout, most)
    return Batches(made, verdicts)


def _largest(tryout: Tryout, most: int, *, made: bool) -> tuple[bool, SettingVerdict]:
    """Whether batches are made, and whether they have `most` rows at most."""
    rows = most + 1
    if not tryout.can_send(rows):
        return made, ACCEPTED
    try:
        tryout.send(rows)
    except ServerError as error:
        said = _TOO_LARGE.search(str(error))
        if said is None:
            return made, ACCEPTED
        if int(said[1]) == most:
            return True, CONFIRMED
        return True, refuted(f"the server has {MAX_BATCH} = {said[1]}")
    return made, refuted(f"the server took {rows} rows as one batch")


def _waited(before: BatchingCounters, after: BatchingCounters, timeout_us: int) -> SettingVerdict:
    """Whether one request alone, which nothing else could complete, waited for its time."""
    if after.queued_us is None or not timeout_us:
        return ACCEPTED
    waited_us = after.queued_us - (before.queued_us or 0.0)
    if waited_us >= _SHARE_WAITED * timeout_us:
        return CONFIRMED
    return refuted(f"one request alone waited {waited_us:.0f} microseconds")


def _padded(tryout: Tryout, most: int) -> SettingVerdict:
    """Whether a batch of a size that is not allowed gets rows besides its own."""
    odd = next((n for n in range(3, most) if n not in allowed_sizes(most)), None)
    if odd is None or not tryout.can_send(odd):
        return ACCEPTED
    before, after = tryout.send(odd)
    if after.padding is None:
        return ACCEPTED
    if after.padding > (before.padding or 0.0):
        return CONFIRMED
    return refuted(f"a batch of {odd} was not padded")


@dataclass(frozen=True)
class TensorFlowServingEvidence:
    """What can be known of a running server, which was started with `batching` or without.

    `models` is the folder that it has its models from.
    """

    batches: Batches
    log_head: str
    pid: int
    batching: bool
    models: str = ""

    def verdict(self, sets: Setting, value: Value) -> SettingVerdict:
        return judged(
            sets,
            value,
            self.pid,
            flag=self._flag,
            property=self._property,
            variant=lambda _, name: self._flag(MODEL_PATH, f"{self.models}/{name}"),
        )

    def _flag(self, name: str, value: Value) -> SettingVerdict:
        if name in _UNKNOWN.findall(self.log_head):
            return refuted(f"the server's log says `unknown argument: {name}`")
        given = f"{name}={value_text(value)}"
        lines = command_lines(self.pid)
        if lines and not any(given in words for _, words in lines):
            return refuted(f"no process of the server was started with {given}")
        if name != BATCHING:
            return ACCEPTED
        if self.batches.are_made is (value is True):
            return CONFIRMED
        made = "makes batches" if self.batches.are_made else "makes no batches"
        return refuted(f"the server {made}")

    def _property(self, name: str, _: Value) -> SettingVerdict:
        if not self.batching:
            return refuted(f"it means nothing without {BATCHING}=true")
        if not self.batches.are_made:
            return refuted("the server makes no batches")
        return self.batches.verdicts.get(name, ACCEPTED)
