"""How near what the load engine saw is to what a server did."""

from collections.abc import Sequence
from dataclasses import dataclass

_ALLOWED_SHARE = 0.02


@dataclass(frozen=True)
class Closeness:
    """A time in seconds as it was, and as it was seen; 2 % and `beside_s` are allowed between."""

    true_s: float
    seen_s: float
    beside_s: float

    @property
    def error_s(self) -> float:
        return self.seen_s - self.true_s

    @property
    def allowed_s(self) -> float:
        return _ALLOWED_SHARE * self.true_s + self.beside_s

    @property
    def holds(self) -> bool:
        return abs(self.error_s) <= self.allowed_s

    def cells(self) -> list[str]:
        """Both in milliseconds, the error and what is allowed in microseconds, and the verdict."""
        return [
            *(f"{each * 1e3:.3f}" for each in (self.true_s, self.seen_s)),
            f"{self.error_s * 1e6:+.0f}",
            f"{self.allowed_s * 1e6:.0f}",
            "yes" if self.holds else "NO",
        ]


def median(rounds: Sequence[Closeness]) -> int:
    """The place of the round with the median error."""
    return sorted(range(len(rounds)), key=lambda n: rounds[n].error_s)[len(rounds) // 2]
