"""How long a start may take, given how long starts took."""

# Once a server has started, the next one may take this many times as long,
_PATIENCE = 10
# and in any case this share of what a person allowed, so that allowing more always helps.
_LEAST_SHARE = 0.25


class StartPatience:
    """A server that hangs is given up after less than what a person allowed for the slowest.

    Seconds, of starts and reloads alike.
    """

    def __init__(self, allowed_s: float) -> None:
        self._allowed_s = allowed_s
        self._longest_s: float | None = None

    @property
    def timeout_s(self) -> float:
        if self._longest_s is None:
            return self._allowed_s
        seen_s = max(_PATIENCE * self._longest_s, _LEAST_SHARE * self._allowed_s)
        return min(self._allowed_s, seen_s)

    def saw(self, seconds: float) -> None:
        """A start or a reload that took so long has succeeded."""
        self._longest_s = max(self._longest_s or 0.0, seconds)
