"""Plays sequences of requests: which step of which sequence a lane sends next."""

import random
from collections import deque
from dataclasses import dataclass
from itertools import accumulate, chain

from tuner.load.lane import Lane
from tuner.load.profile import LoadRun
from tuner.load.requests import SequenceSet, SequenceStep

# Sequences of one run, where each run has others.
_IDS_OF_A_RUN = 10**7


@dataclass
class _Sequence:
    """One sequence under way; `sent` of its `length` steps have been sent.

    `first_payload` is the position of its stream's first step among the steps of all streams.
    """

    steps: tuple[SequenceStep, ...]
    first_payload: int
    wire_id: bytes
    length: int
    sent: int = 0

    @property
    def has_more(self) -> bool:
        return self.sent < self.length

    @property
    def step(self) -> int:
        """The next one, of its stream."""
        return self.sent % len(self.steps)

    def next(self, lane: Lane, *, last: bool) -> bytes:
        step = self.step
        lane.payload = self.first_payload + step
        before, after = self.steps[step].forms[self.sent == 0, last]
        self.sent += 1
        return before + self.wire_id + after


class SequencePlayer:
    """Every lane plays one sequence at a time, and so has one request of it in flight at most.

    Several engine processes take every n-th correlation id each, and no id is used again before
    its sequence has ended. A sequence whose lane is gone goes on on another.
    """

    def __init__(self, sequences: SequenceSet, run: LoadRun) -> None:
        share = run.share
        self._set = sequences
        self.stateful = sequences.stateful
        self._random = random.Random(f"{sequences.seed}/{share.index}")  # noqa: S311 - no secret
        ids = range(sequences.first_id, sequences.first_id + sequences.ids)
        self._ids = ids[share.index :: share.of]
        self._next_id = 0 if sequences.stateful else run.serial * _IDS_OF_A_RUN
        # Of each lane the sequence of its last request.
        self._of_lane: dict[Lane, _Sequence] = {}
        self._without_lane: deque[_Sequence] = deque()
        lengths = (len(steps) for steps in sequences.streams)
        self._first_payloads = list(accumulate(lengths, initial=0))

    def next(self, lane: Lane) -> bytes:
        """The request that `lane` sends next: of its sequence, or the first of a new one."""
        sequence = self._of_lane.pop(lane, None)
        if sequence is None or not sequence.has_more:
            sequence = self._without_lane.popleft() if self._without_lane else self._begin()
        self._of_lane[lane] = sequence
        return sequence.next(lane, last=sequence.sent + 1 == sequence.length)

    def again(self, lane: Lane, payload: int) -> bytes:
        """The step that another lane has left unsent."""
        del payload
        return self.next(lane)

    def pause_s(self, lane: Lane) -> float:
        """How long `lane` is to pause before it sends the next step of its sequence, if any."""
        sequence = self._of_lane.get(lane)
        if sequence is None or not sequence.has_more:
            return 0.0
        return sequence.steps[sequence.step].pause_s

    def last(self, lane: Lane) -> bytes:
        """A step that ends the sequence of `lane` early: a stateful server waits for the rest."""
        sequence = self._of_lane.pop(lane, None)
        if sequence is None or not sequence.has_more or not self.stateful:
            return b""
        return sequence.next(lane, last=True)

    def abandon(self, lane: Lane) -> None:
        """A request failed: the next one begins a new sequence."""
        self._of_lane.pop(lane, None)

    def leave(self, lane: Lane, *, unsent: bool = False) -> None:
        """The lane is gone: its sequence goes on on the next, `unsent` with the step it sent."""
        sequence = self._of_lane.pop(lane, None)
        if sequence is None:
            return
        sequence.sent -= unsent
        if sequence.has_more:
            self._without_lane.append(sequence)

    def _begin(self) -> _Sequence:
        stream = self._random.randrange(len(self._set.streams))
        steps = self._set.streams[stream]
        length = self._length(len(steps))
        return _Sequence(steps, self._first_payloads[stream], self._free_id(), length)

    def _free_id(self) -> bytes:
        """The next correlation id, in its wire form, that no sequence under way has."""
        under_way = chain(self._of_lane.values(), self._without_lane)
        used = {sequence.wire_id for sequence in under_way}
        while True:
            wire_id = self._set.encode_id(self._ids[self._next_id % len(self._ids)])
            self._next_id += 1
            if wire_id not in used or len(used) >= len(self._ids):
                return wire_id

    def _length(self, steps: int) -> int:
        if not self._set.length:
            return steps
        spread = self._set.length * self._set.variation
        return max(1, round(self._random.uniform(-spread, spread) + self._set.length))
