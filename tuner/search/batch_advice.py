"""Which largest batch to try next, from what the server itself says that its batches took (pure).

A server that was under load has made batches of many sizes, and Triton counts the time of each
(statistics extension, `batch_stats`). So one trial tells what other limits of the batch would
carry. That is a proposal, measured like any other.
"""

from collections.abc import Sequence

import numpy as np

from tuner.records import ServerStatistics, TrialRecord
from tuner.space.expressions import Value
from tuner.space.space import Configuration, Parameter, SearchSpace

# A size that was made less often than this tells nothing.
_FEWEST = 2
# A larger batch has to be this many times as good.
_BETTER = 1.03
# What sets the largest batch in a model's configuration.
_PATH = "max_batch_size"


def advised(space: SearchSpace, record: TrialRecord, limit_s: float) -> Configuration | None:
    """The configuration of `record` with the largest batch that is best by its own statistics.

    None where that is not known, or is what it has. Parameters that a rule forbids beside it get
    their defaults.
    """
    named = [p for p, path in space.names_of("config") if path == _PATH]
    if len(named) != 1 or named[0].name not in record.configuration:
        return None
    size = best_size(record.statistics, _sizes(named[0]), limit_s)
    values: dict[str, Value] = dict(record.configuration)
    if size is None or size == values[named[0].name]:
        return None
    values[named[0].name] = size
    for rule in space.violations(space.activate(values)):
        for name in rule.expression.names & values.keys() - {named[0].name}:
            values[name] = space[name].default
    advice = space.activate(values)
    return None if space.violations(advice) else advice


def best_size(statistics: ServerStatistics, sizes: Sequence[int], limit_s: float) -> int | None:
    """The one of `sizes`, ascending, with the most inferences per second; None if unknown.

    Whoever comes while a batch is worked on waits for its end, and then for that of the own one: a
    batch may take half of the limit, and is worth less the more it takes of the other half.
    """
    seen = sorted(n for n, count in statistics.batches.items() if count >= _FEWEST)
    times_s = [statistics.batch_times_s.get(n, 0.0) / statistics.batches[n] for n in seen]
    if len(seen) < 2 or not all(times_s):
        return None
    best, most = None, 0.0
    for size in sizes:
        if seen[0] <= size <= seen[-1]:
            time_s = float(np.interp(size, seen, times_s))
            worth = size / time_s * min(1.0, max(0.0, limit_s / time_s - 1))
            if worth > _BETTER * most:
                best, most = size, worth
    return best


def _sizes(parameter: Parameter) -> list[int]:
    choices = parameter.choices or ()
    return sorted(each for each in choices if isinstance(each, int) and each > 0)
