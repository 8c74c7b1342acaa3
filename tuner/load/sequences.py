"""Plays the sequences of a stateful model: which step of which sequence a lane sends next."""

import random
from dataclasses import dataclass
from itertools import accumulate

from tuner.load.lane import Lane
from tuner.load.profile import Share
from tuner.load.requests import SequenceSet, SequenceStep


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

    def next(self, lane: Lane, *, last: bool) -> bytes:
        step = self.sent % len(self.steps)
        lane.payload = self.first_payload + step
        before, after = self.steps[step].forms[self.sent == 0, last]
        self.sent += 1
        return before + self.wire_id + after


class SequencePlayer:
    """Every lane plays one sequence at a time, and so has one request of it in flight at most.

    Several engine processes take every n-th correlation id each, and no id is used again before
    its sequence has ended.
    """

    def __init__(self, sequences: SequenceSet, share: Share) -> None:
        self._set = sequences
        self._random = random.Random(f"{sequences.seed}/{share.index}")  # noqa: S311 - no secret
        ids = range(sequences.first_id, sequences.first_id + sequences.ids)
        self._ids = ids[share.index :: share.of]
        self._next_id = 0
        self._under_way: dict[Lane, _Sequence] = {}
        lengths = (len(steps) for steps in sequences.streams)
        self._first_payloads = list(accumulate(lengths, initial=0))

    def next(self, lane: Lane) -> bytes:
        """The request that `lane` sends next: of its sequence, or the first of a new one."""
        sequence = self._under_way.get(lane) or self._begin(lane)
        last = sequence.sent + 1 == sequence.length
        if last:
            del self._under_way[lane]
        return sequence.next(lane, last=last)

    def is_under_way(self, lane: Lane) -> bool:
        """Whether the sequence of `lane` has begun and not ended."""
        return lane in self._under_way

    def finish(self, lane: Lane) -> bytes:
        """A step that ends the sequence of `lane` early: the server would wait for the rest."""
        return self._under_way.pop(lane).next(lane, last=True)

    def abandon(self, lane: Lane) -> None:
        """A request failed: the next one begins a new sequence."""
        self._under_way.pop(lane, None)

    def _begin(self, lane: Lane) -> _Sequence:
        stream = self._random.randrange(len(self._set.streams))
        steps = self._set.streams[stream]
        length = self._length(len(steps))
        sequence = _Sequence(steps, self._first_payloads[stream], self._free_id(), length)
        self._under_way[lane] = sequence
        return sequence

    def _free_id(self) -> bytes:
        """The next correlation id, in its wire form, that no sequence under way has."""
        used = {sequence.wire_id for sequence in self._under_way.values()}
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
