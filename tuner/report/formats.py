"""Numbers and configurations as people read them."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime

from tuner.analysis.standings import Ratio
from tuner.space.expressions import Value
from tuner.space.space import Configuration

NOTHING = "-"
DEFAULTS = "server's defaults"


def rate(per_s: float) -> str:
    """Three significant digits, thousands separated; a dash for nothing measured."""
    if not math.isfinite(per_s) or per_s <= 0:
        return NOTHING
    return f"{per_s:,.{_rate_decimals(per_s)}f}"


def with_margin(per_s: float, margin_per_s: float) -> str:
    """Both with the same number of decimals; without the margin where there is none."""
    if not (math.isfinite(per_s) and per_s > 0 and margin_per_s > 0):
        return rate(per_s)
    return f"{rate(per_s)} ± {margin_per_s:,.{_rate_decimals(per_s)}f}"


def latency(duration_s: float) -> str:
    """In milliseconds; infinite where so many requests failed that the percentile is one."""
    if math.isnan(duration_s):
        return NOTHING
    if math.isinf(duration_s):
        return "∞"
    return f"{duration_s * 1e3:,.{_decimals(duration_s * 1e3)}f} ms"


def duration(duration_s: float) -> str:
    """`8.2 s`, `5 min 03 s`, `2 h 10 min`."""
    if not math.isfinite(duration_s):
        return NOTHING
    if duration_s < 60:
        return f"{duration_s:.1f} s" if duration_s < 9.95 else f"{duration_s:.0f} s"
    minutes, seconds = divmod(round(duration_s), 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def times(factor: float) -> str:
    return f"{factor:.2f}x"


def gain(ratio: Ratio) -> str:
    return f"{times(ratio.estimate)} ({ratio.low:.2f} to {ratio.high:.2f})"


def per_cent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %") if share >= 0.0995 else f"{100 * share:.1f} %"


def stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} {moment.tzname() or ''}".strip()


def value(one: Value | None) -> str:
    """A parameter's value as a search space file writes it; a dash where it does not apply."""
    if one is None:
        return NOTHING
    return str(one).lower() if isinstance(one, bool) else str(one)


def short(configuration: Configuration, baseline: Configuration | None) -> str:
    """What `configuration` changes about the server's defaults."""
    if baseline is None:
        return str(configuration)
    names = changed(configuration, baseline)
    assigned = (f"{name}={value(configuration[name])}" for name in names if name in configuration)
    return " ".join(assigned) or DEFAULTS


def changed(configuration: Mapping[str, Value], baseline: Mapping[str, Value]) -> tuple[str, ...]:
    """The parameters in which the two differ, or that only one of them has."""
    names = dict.fromkeys([*baseline, *configuration])
    return tuple(name for name in names if configuration.get(name) != baseline.get(name))


def label(name: str) -> str:
    """What `fact` calls `name`: its unit stands beside the number."""
    return name.removesuffix("_bytes")


def fact(name: str, found: object) -> str:
    """One entry of the hardware or the environment; memory in GiB."""
    if isinstance(found, bool):
        return value(found)
    if name.endswith("_bytes") and isinstance(found, int):
        return f"{found / 2**30:.1f} GiB"
    return str(found) or NOTHING


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def counted(number: float, what: str) -> str:
    """`1 trial`, `2 trials`."""
    return f"{number:g} {what}{'' if number == 1 else 's'}"


def _decimals(number: float) -> int:
    return 0 if number >= 100 else 1 if number >= 10 else 2


def _rate_decimals(per_s: float) -> int:
    """Slow servers answer less than one request per second."""
    return _decimals(per_s) if per_s >= 1 else min(2 - math.floor(math.log10(per_s)), 6)
