"""Latency budgets as people say them: limits in milliseconds, percentiles in percent."""

import re
from dataclasses import replace

from tuner.errors import InputError, at, unfit
from tuner.goals import LatencyBudget
from tuner.records import StudyRecord

# A latency budget; `p99=20` needs no quotes in a shell.
_TIER = re.compile(r"p(\d+(?:\.\d+)?)\s*<?=\s*(\d+(?:\.\d+)?)(?:\s*ms)?")


def latency_budget(limit_ms: float, percentile: float) -> LatencyBudget:
    """The budget in seconds.

    Raises:
        InputError: The limit or the percentile is out of range.
    """
    return LatencyBudget(checked_percentile(percentile), limit_s(limit_ms))


def asked_budget(
    study: StudyRecord, budget_ms: float | None, percentile: float | None
) -> LatencyBudget:
    """The study's own budget but for what was asked for.

    Raises:
        InputError: The limit or the percentile is out of range.
    """
    own = study.budget
    limit_ms = own.limit_s * 1e3 if budget_ms is None else budget_ms
    asked = latency_budget(limit_ms, own.percentile if percentile is None else percentile)
    return replace(asked, limit_s=own.limit_s) if budget_ms is None else asked


def limit_s(limit_ms: float) -> float:
    """The seconds of `--budget-ms`.

    Raises:
        InputError: It is out of range.
    """
    found_s = limit_ms / 1e3
    if not 0 < found_s < 3600:  # of the smallest numbers there is no thousandth
        wanted = "above 0 and below 3600000"
        raise unfit("--budget-ms", wanted, limit_ms, "for example: `--budget-ms 50`")
    return found_s


def checked_percentile(percentile: float) -> float:
    """`percentile`, if load points have enough requests to say anything of it.

    Raises:
        InputError: They have not.
    """
    if not 1 <= percentile <= 99.99:
        wanted = "from 1 to 99.99"
        raise unfit("--percentile", wanted, percentile, "for example: `--percentile 99`")
    return percentile


def tiers(text: str) -> tuple[LatencyBudget, ...]:
    """The latency budgets of `--tiers`, each once.

    Raises:
        InputError: One has not the form pPERCENTILE<=MS, is out of range, or is named twice.
    """
    found = tuple(_tier(part.strip()) for part in text.split(","))
    for each in found:
        if found.count(each) > 1:
            raise InputError(f"`--tiers` names {each} twice", hint="name each tier once")
    return found


def _tier(text: str) -> LatencyBudget:
    match = _TIER.fullmatch(text)
    if match is None:
        wanted = "a list of pPERCENTILE<=MILLISECONDS"
        hint = "in quotes, for example: `--tiers 'p99<=20,p99<=50,p95<=10'`"
        raise unfit("--tiers", wanted, text, hint)
    with at(f"`--tiers` {text}"):
        return latency_budget(float(match[2]), float(match[1]))
