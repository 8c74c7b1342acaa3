"""How a machine changed its speed while it measured, in sentences."""

import itertools
import math

from tuner.analysis import drift
from tuner.report import formats


def change(log_ratio: float) -> str:
    """`8 % slower`, of the logarithm of a ratio of speeds."""
    share = math.expm1(log_ratio)
    return f"{abs(share) * 100:.0f} % {'slower' if share < 0 else 'faster'}"


def about_drift(found: drift.Drift) -> tuple[str, ...]:
    """How the machine changed its speed; nothing where no change is proved."""
    if not found.significant:
        return ()
    changes = " and ".join(itertools.starmap(change_after, itertools.pairwise(found.blocks)))
    said = f"The machine became {changes}{_consequence(found)}."
    if not found.repeat:
        return (said,)
    trials = "Trial" if len(found.repeat) == 1 else "Trials"
    numbers = formats.listed([str(number) for number in found.repeat])
    return said, f"{trials} {numbers} should be measured again at the speed that it has now."


def _consequence(found: drift.Drift) -> str:
    if found.correctable:
        return ": results before and after were compared with that taken off"
    what = "too much" if found.too_large else "too often"
    done = ": the best are compared by what they carry at the speed that it has now"
    return f", {what} to be taken off{'' if found.repeat else done}"


def change_after(before: drift.Block, after: drift.Block) -> str:
    """`8 % slower after trial 14 (22:41 UTC)`: the last one known to have had the old speed."""
    found = change(after.log_speed - before.log_speed)
    moment = before.last.finished_at
    return f"{found} after trial {before.last.number} ({moment:%H:%M} {moment.tzname()})"
