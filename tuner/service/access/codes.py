"""Codes for one login each: the link that `tuner serve` prints."""

import secrets
from collections.abc import Callable
from time import monotonic

LENGTH_S = 600.0
"""How long a code is valid, in seconds."""


class Codes:
    """Those that were given out and not used; they end with the service."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._ends: dict[str, float] = {}

    def new(self) -> str:
        """A code that is valid once."""
        code = secrets.token_urlsafe(32)
        self._ends[code] = self._clock() + LENGTH_S
        return code

    def take(self, code: str) -> bool:
        """Whether the code is valid; it is not from now on."""
        # The codes are random, and there are few: how long a look-up takes says nothing.
        return self._ends.pop(code, 0.0) > self._clock()
