"""What `tuner best --tiers` says: a row for each latency budget, then what serves all of them."""

import math
from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Column
from rich.text import Text

from tuner.analysis.interpolation import CurveEstimate, EstimateKind
from tuner.analysis.rate_unit import RateUnit
from tuner.analysis.standings import Standings
from tuner.analysis.tiers import Tier, Tiers
from tuner.goals import LatencyBudget
from tuner.records import StudyRecord
from tuner.report import answer_text, figures, findings, formats, nearest_text, rates
from tuner.report.columns import text_table
from tuner.report.json_text import budget_facts

RULE = (
    "the one whose least share is the highest; a share is what it carries of what the best "
    "configuration of a tier carries"
)


def tiers_table(study: StudyRecord, tiers: Tiers) -> RenderableType:
    """A row for each tier; below the table what serves all of them, and each configuration."""
    shared, unit = tiers.shared, RateUnit.of(study).short
    titles = [f"best {unit}", "known as", "trial"]
    titles += [f"trial {shared.trial.number} {unit}", "known as", "share"] if shared else []
    columns = [Column("tier", no_wrap=True)]
    columns += [Column(title, justify="right", no_wrap=True) for title in titles]
    rows = [_row(tier, len(columns)) for tier in tiers.each]
    return Group(text_table(rows, *columns), *map(Text, _sentences(study, tiers)))


def remarks(study: StudyRecord, tiers: Tiers, standings: Standings) -> tuple[str, ...]:
    """Why a row should be measured, and where the study itself recommends another one."""
    found = []
    winner = standings.winner
    for tier in tiers.each:
        if (best := tier.best) is None:
            continue
        found += [f"{tier.budget}: {doubt}" for doubt in answer_text.doubts(tier.answer, best)]
        other = winner is not None and winner.configuration != best.trial.configuration
        if winner and other and tier.budget == study.budget:
            carries = rates.of_study(winner.throughput, study)
            found.append(
                f"{tier.budget} is the budget of the study, whose own result is another: "
                f"{carries}, `tuner best {study.name}`"
            )
    return tuple(found)


def to_measure(tier: Tier) -> bool:
    """Whether load points are missing that would say more of this tier."""
    if tier.best is not None:
        return bool(answer_text.doubts(tier.answer, tier.best))
    return tier.nearest is not None and tier.nearest.over_s == 0


def nearest_tier(tiers: Tiers) -> Tier:
    """Where none can be met: the one that is missed by the smallest factor."""

    def factor(tier: Tier) -> float:
        return tier.nearest.factor if tier.nearest else math.inf

    return min(tiers.each, key=factor)


def tiers_document(
    study: StudyRecord, tiers: Tiers, measure: Mapping[LatencyBudget, str]
) -> dict[str, Any]:
    """All of it as plain data; `measure` has the command that measures each tier."""
    shared = tiers.shared
    return {
        "study": study.name,
        "rule": RULE,
        "shared": {
            "trial": shared.trial.number,
            "configuration": dict(shared.trial.configuration),
            "least_share": tiers.least_share,
            "meets": sum(tier.shared is not None for tier in tiers.each),
        }
        if shared
        else None,
        "tiers": [_document(tier, measure[tier.budget]) for tier in tiers.each],
    }


def _row(tier: Tier, columns: int) -> list[str]:
    best, own = tier.best, tier.shared
    if best is None:
        cells = [formats.NOTHING, EstimateKind.NONE.value, *[formats.NOTHING] * 4]
    else:
        cells = [_carried(best), best.kind.value, str(best.trial.number)]
        cells += [_carried(own), own.kind.value] if own else [formats.NOTHING] * 2
        cells.append(formats.per_cent(tier.share) if own else formats.NOTHING)
    return [str(tier.budget), *cells][:columns]


def _carried(estimate: CurveEstimate) -> str:
    return formats.with_margin(estimate.throughput, figures.margin(estimate))


def _sentences(study: StudyRecord, tiers: Tiers) -> list[str]:
    missed = [_missed(tier) for tier in tiers.each if tier.best is None]
    return [*missed, *_about_shared(tiers), *_configurations(study, tiers)]


def _missed(tier: Tier) -> str:
    nearest = tier.nearest
    if nearest is None:
        return f"{tier.budget}: nothing was measured."
    what = "configuration" if nearest.over_s else "load that was measured"
    return f"{tier.budget}: no {what} meets it. {findings.about_nearest(nearest)}"


def _about_shared(tiers: Tiers) -> list[str]:
    shared, met = tiers.shared, len(tiers.met)
    if shared is None:
        return []
    number, serving = shared.trial.number, sum(tier.shared is not None for tier in tiers.each)
    every = "all tiers" if met == len(tiers.each) else "all tiers that can be met"
    if serving < met:
        found = f"No configuration meets {every}: trial {number} meets {serving} of {met}."
    elif tiers.least_share == 1:
        return [f"Trial {number} carries the most in {every}."]
    else:
        share = formats.per_cent(tiers.least_share)
        found = f"Trial {number} serves {every} best: at least {share} of the best of each."
    return [found, f"Best for all is {RULE}."]


def _configurations(study: StudyRecord, tiers: Tiers) -> list[str]:
    """Those of the trials that were named, as they differ from the server's defaults."""
    baseline = study.baseline.configuration if study.baseline else None
    trials = {
        each.trial.number: each.trial
        for tier in tiers.each
        for each in (tier.best, tier.shared, tier.nearest)
        if each
    }
    return [
        f"trial {number}: {formats.short(trials[number].configuration, baseline)}"
        for number in sorted(trials)
    ]


def _document(tier: Tier, measure: str) -> dict[str, Any]:
    best, own = tier.best, tier.shared
    return {
        **budget_facts(tier.budget),
        "best": answer_text.estimate_document(best) if best else None,
        "shared": answer_text.estimate_document(own) if own else None,
        "share": tier.share if own else None,
        "nearest": nearest_text.nearest_document(tier.nearest),
        "tied": [each.trial.number for each in tier.answer.tied],
        "undecided": [each.trial.number for each in tier.answer.undecided],
        "doubts": list(answer_text.doubts(tier.answer, best)) if best else [],
        "measure": measure,
    }
