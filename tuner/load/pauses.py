"""Users of a closed loop who read an answer, and think, before they ask again."""

import asyncio
from collections.abc import Callable

from tuner.load.lane import Lane
from tuner.load.turns import Turns


class Pauses:
    """Lanes whose users pause: they keep their place, also where the connection is gone.

    `ended` is told of each whose pause is over.
    """

    def __init__(self, turns: Turns, ended: Callable[[Lane], None]) -> None:
        self._turns = turns
        self._ended = ended
        self._lanes: set[Lane] = set()

    def lost(self, lane: Lane) -> bool:
        """Whether it is one of them; it is of no use any more when its pause ends."""
        if lane in self._lanes:
            lane.usable = False
        return lane in self._lanes

    def begin(self, lane: Lane) -> bool:
        """Whether there is one before the next step of the sequence that `lane` plays."""
        pause_s = self._turns.pause_s(lane)
        if not pause_s:
            return False
        self._lanes.add(lane)
        asyncio.get_running_loop().call_later(pause_s, self._end, lane)
        return True

    def _end(self, lane: Lane) -> None:
        self._lanes.discard(lane)
        self._ended(lane)
