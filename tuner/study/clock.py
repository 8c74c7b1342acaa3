"""Where a study has its time from: a simulation has one of its own."""

import time
from datetime import UTC, datetime


class Clock:
    """The time of this machine."""

    def monotonic_s(self) -> float:
        """Seconds from some moment on, whatever the clock on the wall is set to."""
        return time.monotonic()

    def now(self) -> datetime:
        """The moment, aware."""
        return datetime.now(UTC)
