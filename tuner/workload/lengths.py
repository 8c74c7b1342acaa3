"""How long prompts and answers are, in tokens: distributions that a person names in a line."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from tuner.errors import InputError, unfit

LONGEST = 1_000_000
HISTOGRAM = "histogram"
"""What a distribution begins with that is in a file."""

_EXAMPLES = (
    "for example: `512`, `uniform:100:900`, `normal:512:64`, `lognormal:300:0.8` (median, sigma) "
    "or `histogram:FILE.json`"
)


class Lengths(Protocol):
    """A distribution of lengths of at least one token; as text, what a person writes for it."""

    def draw(self, random: np.random.Generator, count: int) -> list[int]:
        """So many of them."""


def _whole(drawn: ArrayLike) -> list[int]:
    return [int(each) for each in np.clip(np.rint(drawn), 1, LONGEST)]


@dataclass(frozen=True)
class Constant:
    """Always the same."""

    tokens: int

    def __str__(self) -> str:
        return f"{self.tokens}"

    def draw(self, random: np.random.Generator, count: int) -> list[int]:
        del random
        return [self.tokens] * count


@dataclass(frozen=True)
class Uniform:
    """Each from `least` to `most` as likely as any other."""

    least: int
    most: int

    def __str__(self) -> str:
        return f"uniform:{self.least}:{self.most}"

    def draw(self, random: np.random.Generator, count: int) -> list[int]:
        return _whole(random.integers(self.least, self.most, count, endpoint=True))


@dataclass(frozen=True)
class Normal:
    """Around a mean; what would be below one token is one."""

    mean: float
    deviation: float

    def __str__(self) -> str:
        return f"normal:{self.mean:g}:{self.deviation:g}"

    def draw(self, random: np.random.Generator, count: int) -> list[int]:
        return _whole(random.normal(self.mean, self.deviation, count))


@dataclass(frozen=True)
class LogNormal:
    """Around a median, with a long tail; `sigma` is the deviation of the natural logarithm."""

    median: float
    sigma: float

    def __str__(self) -> str:
        return f"lognormal:{self.median:g}:{self.sigma:g}"

    def draw(self, random: np.random.Generator, count: int) -> list[int]:
        return _whole(random.lognormal(math.log(self.median), self.sigma, count))


@dataclass(frozen=True)
class Histogram:
    """Lengths that were seen, each as often as its weight says."""

    tokens: tuple[int, ...]
    weights: tuple[float, ...]

    def __str__(self) -> str:
        pairs = zip(self.tokens, self.weights, strict=True)
        return "histogram:" + ",".join(f"{tokens}={weight:g}" for tokens, weight in pairs)

    def draw(self, random: np.random.Generator, count: int) -> list[int]:
        shares = np.array(self.weights) / math.fsum(self.weights)
        return _whole(random.choice(self.tokens, count, p=shares))


_KINDS: dict[str, tuple[int, Callable[..., Lengths]]] = {
    "constant": (1, lambda tokens: Constant(round(tokens))),
    "uniform": (2, lambda least, most: Uniform(round(least), round(most))),
    "normal": (2, Normal),
    "lognormal": (2, LogNormal),
}


def lengths(text: str, option: str) -> Lengths:
    """The distribution that `text` names.

    Raises:
        InputError: It names none, or the file of a histogram cannot be used.
    """
    kind, _, rest = text.partition(":")
    if kind == HISTOGRAM:
        return _histogram(Path(rest), option)
    if kind not in _KINDS:
        kind, rest = "constant", text
    wanted, made = _KINDS[kind]
    try:
        numbers = [float(part) for part in rest.split(":")]
    except ValueError:
        numbers = []
    # The second number of a normal distribution may be 0, the first of none.
    fits = len(numbers) == wanted and all(map(math.isfinite, numbers)) and min(numbers) >= 0
    if (
        not fits
        or not 1 <= numbers[0] <= LONGEST
        or (kind == "uniform" and not numbers[0] <= numbers[1] <= LONGEST)
    ):
        raise unfit(option, f"tokens from 1 to {LONGEST:,}", text, _EXAMPLES)
    return made(*numbers)


def _histogram(path: Path, option: str) -> Histogram:
    """A JSON file of lengths and weights: `{"120": 5, "800": 1}`."""
    try:
        found = {
            int(tokens): float(weight) for tokens, weight in json.loads(path.read_text()).items()
        }
    except (AttributeError, OSError, OverflowError, RecursionError, TypeError, ValueError):
        found = {}
    fits = found and min(found) >= 1 and max(found) <= LONGEST and min(found.values()) >= 0
    if not fits or not 0 < sum(found.values()) < math.inf:
        raise InputError(
            f"`{option} histogram:{path}`: a JSON file of lengths and weights is expected",
            hint='for example: {"120": 5, "800": 1}',
        )
    return Histogram(tuple(found), tuple(found.values()))
