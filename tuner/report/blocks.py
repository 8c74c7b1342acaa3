"""Tables and sentences of the terminal, printed one below the other."""

from collections.abc import Iterable

from rich.console import Console, RenderableType
from rich.measure import Measurement

# A word up to this length is a name: it is not broken, however narrow the terminal is.
_LONGEST_NAME = 100
# What is as wide as it likes.
_WIDE = 10_000


def print_on(out: Console, blocks: Iterable[RenderableType]) -> None:
    """Tables and sentences, each on lines of its own, as wide as `out` is.

    Where a name is longer than that, its block is as wide as the name.
    """
    width, wide = out.width, out.options.update(width=_WIDE)
    for block in blocks:
        longest = Measurement.get(out, wide, block).minimum
        out.width = max(width, min(longest, _LONGEST_NAME))
        out.print(block, crop=False)
