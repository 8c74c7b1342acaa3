"""The hosts of a fleet in a study's report: how they differ, and what each of them measured."""

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from tuner.analysis import drift
from tuner.analysis.hosts import HostSpeed, Speeds, speeds
from tuner.analysis.standings import Standings
from tuner.numbers.distributions import Z
from tuner.records import StudyRecord, TrialState
from tuner.report import formats
from tuner.report.drift_text import about_drift, change, change_after
from tuner.report.sheet import Sheet
from tuner.space.space import Configuration
from tuner.study.aside import why_aside

# Hosts that are listed; of more, those that differ most.
_MOST_LISTED = 40
AS_MEASURED = "Capacity and saturation are what the host measured: no factor is taken off."
ABOUT_FACTORS = (
    "The factor is a host's speed over that of the first one, with half a 95 % interval, from its "
    "own runs of the server's defaults. Until there are many of them, or a difference is proved, "
    "it is drawn towards the mean of all hosts."
)


@dataclass(frozen=True)
class HostRow:
    """What is known of a host of the study.

    `factor` is its present speed over that of the first host, NaN where nobody knows, `log_error`
    the standard error of its logarithm beside the first host's. `gain` is what the recommended
    configuration carried over the defaults in the finals on this host, NaN where one is missing.
    """

    speed: HostSpeed
    factor: float
    log_error: float
    trials: int
    finals: int
    gain: float
    aside: str


def about_hosts(study: StudyRecord) -> tuple[str, ...]:
    """What must be known of the machine, or of the hosts of the fleet, a sentence each."""
    found = speeds(study.trials)
    if not found.fleet:
        return about_drift(drift.drift(study.trials))
    hosts, first = formats.counted(len(found.hosts), "host"), next(iter(found.hosts))
    basis = f"{hosts} measured it: capacities are as on {first}"
    said = [f"{basis}, with the speed of the others taken off."]
    said += [
        f"{name} was put aside: {why_aside(found, each)}." for name, each in found.aside.items()
    ]
    said += [
        f"{each.name} is {change(each.off)} than {found.beside(each.name)} "
        f"({_canaries(each.present)}): that was taken off."
        for each in found.unequal
        if each.name not in found.aside
    ]
    for each in found.hosts.values():
        said += [f"On {each.name}: {sentence}" for sentence in _about_changes(each)]
    if numbers := found.to_repeat(study.trials):
        which = formats.listed([str(number) for number in numbers])
        trials = "Trial" if len(numbers) == 1 else "Trials"
        said.append(f"{trials} {which} should be measured again on another host.")
    return tuple(said)


def title(known: Sequence[HostRow]) -> str:
    """How much hosts differ, in a headline."""
    factors = [each.factor for each in known if math.isfinite(each.factor)]
    hosts = formats.counted(len(known), "host")
    if len(factors) < 2:
        return f"{hosts} measured it; how much they differ is not known"
    if not any(each.speed.differs for each in known):
        return f"{hosts} measured it; no difference between them is proved"
    share = formats.per_cent(min(factors) / max(factors))
    return f"{hosts} measured it; the slowest has {share} of the speed of the fastest"


def rows(study: StudyRecord, standings: Standings) -> tuple[HostRow, ...]:
    """A row for each host, the first one first; none without a fleet."""
    found = speeds(study.trials)
    if not found.fleet:
        return ()
    trials = Counter(each.host for each in study.trials)
    finals = Counter(each.host for each in study.finals)
    gains, aside = _gains(study, standings), found.aside
    return tuple(
        HostRow(
            each,
            factor=math.exp(each.log_speed) if each.canaries else math.nan,
            log_error=_error(found, each),
            trials=trials[each.name],
            finals=finals[each.name],
            gain=gains.get(each.name, math.nan),
            aside=why_aside(found, each) if each.name in aside else "",
        )
        for each in found.hosts.values()
    )


def sheet(known: Sequence[HostRow]) -> Sheet:
    """The hosts, with what each measured; of a large fleet those that matter."""
    shown = _listed(known)
    return Sheet(
        "The hosts of the fleet",
        ("Host", "Factor", "Canaries", "Trials", "Finals", "Best over defaults", "Remark"),
        tuple(
            (
                each.speed.name,
                _factor(each),
                str(each.speed.canaries),
                str(each.trials),
                str(each.finals),
                formats.times(each.gain) if math.isfinite(each.gain) else formats.NOTHING,
                _remark(each),
            )
            for each in shown
        ),
        numbers=frozenset({1, 2, 3, 4, 5}),
    )


def sentences(known: Sequence[HostRow]) -> tuple[str, ...]:
    """What to know of the sheet."""
    said = [ABOUT_FACTORS]
    gains = [each.gain for each in known if math.isfinite(each.gain)]
    if len(gains) > 1:
        said.append(
            f"On the {len(gains)} hosts whose finals had both, the best configuration carried "
            f"between {formats.times(min(gains))} and {formats.times(max(gains))} what the "
            "defaults did: these ratios need no factor."
        )
    left_out = len(known) - len(_listed(known))
    if left_out:
        said.append(f"{left_out:,} more hosts are left out, of those that differ least.")
    return tuple(said)


def documents(study: StudyRecord, standings: Standings) -> list[dict[str, Any]]:
    """The hosts as plain data; nothing without a fleet."""
    return [
        {
            "host": each.speed.name,
            "factor": each.factor,
            "log_error": each.log_error,
            "canaries": each.speed.canaries,
            "trials": each.trials,
            "finals": each.finals,
            "gain": each.gain,
            "differs": each.speed.differs,
            "aside": each.aside,
        }
        for each in rows(study, standings)
    ]


def _about_changes(host: HostSpeed) -> tuple[str, ...]:
    blocks = host.drift.blocks
    return tuple(
        f"it became {change_after(before, after)}." for before, after in itertools.pairwise(blocks)
    )


def _error(found: Speeds, host: HostSpeed) -> float:
    """Of its ratio to the first host, whose own error is in it; NaN where nothing is known."""
    first = next(iter(found.hosts.values()))
    if host is first or not host.canaries:
        return 0.0 if host is first else math.nan
    return math.hypot(host.log_error, first.log_error)


def _gains(study: StudyRecord, standings: Standings) -> dict[str, float]:
    """The ratio of winner and baseline on each host whose finals had both."""
    winner, baseline = standings.winner, standings.baseline
    if not winner or not baseline or winner.configuration == baseline.configuration:
        return {}
    own = _finals_by_host(study, winner.configuration)
    default = _finals_by_host(study, baseline.configuration)
    return {
        host: math.exp(fmean(logs) - fmean(default[host]))
        for host, logs in own.items()
        if host in default
    }


def _finals_by_host(study: StudyRecord, configuration: Configuration) -> Mapping[str, list[float]]:
    found: dict[str, list[float]] = {}
    for trial in study.finals:
        if trial.configuration == configuration and trial.state is TrialState.FEASIBLE:
            found.setdefault(trial.host, []).append(math.log(trial.throughput))
    return found


def _listed(known: Sequence[HostRow]) -> Sequence[HostRow]:
    if len(known) <= _MOST_LISTED:
        return known
    order = sorted(known[1:], key=lambda each: (not each.aside, -abs(each.speed.off)))
    chosen = {each.speed.name for each in (known[0], *order[: _MOST_LISTED - 1])}
    return [each for each in known if each.speed.name in chosen]


def _factor(row: HostRow) -> str:
    if not math.isfinite(row.factor):
        return formats.NOTHING
    margin = row.factor * math.expm1(Z * row.log_error)
    return f"{row.factor:.2f} ± {margin:.2f}" if margin else f"{row.factor:.2f}"


def _remark(row: HostRow) -> str:
    differs = f"{change(row.speed.off)} than the others" if row.speed.differs else ""
    if row.aside:
        why = differs or "the server's defaults fail there"
        return f"put aside: {why}"
    return differs or formats.NOTHING


def _canaries(count: int) -> str:
    return "1 canary" if count == 1 else f"{count} canaries"
