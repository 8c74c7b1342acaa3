"""Latency budgets as people say them: limits in milliseconds, percentiles in percent."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tuner.errors import InputError, at, unfit
from tuner.goals import AnswerLimits, LatencyBudget
from tuner.records import StudyRecord

# The options that say the limits of answers.
LIMITS = {"whole_s": "budget_ms", "ttft_s": "budget_ttft_ms", "itl_s": "budget_itl_ms"}
# That of `tuner optimize`, where nothing else is said.
_USUAL_PERCENTILE = 99.0
# A latency budget; `p99=20` needs no quotes in a shell.
_TIER = re.compile(r"p(\d+(?:\.\d+)?)\s*<?=\s*(\d+(?:\.\d+)?)(?:\s*ms)?")


def latency_budget(
    limit_ms: float | None,
    percentile: float,
    *,
    ttft_ms: float | None = None,
    itl_ms: float | None = None,
) -> LatencyBudget:
    """The budget in seconds: for whole answers, for first tokens, for the time between two.

    Raises:
        InputError: A limit or the percentile is out of range, or there is no limit.
    """
    limits = answer_limits(limit_ms, ttft_ms=ttft_ms, itl_ms=itl_ms)
    if not limits.any:
        raise InputError(
            "there is no latency budget: neither `--budget-ms` nor, of a language model, "
            "`--budget-ttft-ms` or `--budget-itl-ms`",
            hint="for example: `--budget-ms 50`",
        )
    return LatencyBudget.of_answers(checked_percentile(percentile), limits)


def answer_limits(
    limit_ms: float | None, *, ttft_ms: float | None, itl_ms: float | None
) -> AnswerLimits:
    """The limits in seconds; infinity where there is none.

    Raises:
        InputError: One is out of range.
    """
    said = {"whole_s": limit_ms, "ttft_s": ttft_ms, "itl_s": itl_ms}
    return AnswerLimits(
        **{
            name: limit_s(each_ms, f"--{LIMITS[name].replace('_', '-')}")
            for name, each_ms in said.items()
            if each_ms is not None
        }
    )


def stored_budget(options: Mapping[str, Any]) -> LatencyBudget:
    """That of a job, by its options."""
    return latency_budget(
        options.get("budget_ms"),
        options.get("percentile", _USUAL_PERCENTILE),
        ttft_ms=options.get("budget_ttft_ms"),
        itl_ms=options.get("budget_itl_ms"),
    )


def said_limits(budget: LatencyBudget) -> dict[str, float | None]:
    """The milliseconds of each option that says a limit; None for what has none."""
    limits = budget.limits.as_record()
    return {
        option: float(f"{1e3 * limits[name]:.9g}") if name in limits else None
        for name, option in LIMITS.items()
    }


def asked_budget(
    study: StudyRecord, budget_ms: float | None, percentile: float | None
) -> LatencyBudget:
    """The study's own budget but for what was asked for; of several limits, all in proportion.

    Raises:
        InputError: The limit or the percentile is out of range.
    """
    own = study.budget
    said = own.percentile if percentile is None else checked_percentile(percentile)
    return replace(own if budget_ms is None else own.at(limit_s(budget_ms)), percentile=said)


def like_study(study: StudyRecord, said: LatencyBudget) -> LatencyBudget:
    """What was said with one limit, for a study that may have several: all in proportion."""
    return replace(study.budget.at(said.limit_s), percentile=said.percentile)


def limit_s(limit_ms: float, option: str = "--budget-ms") -> float:
    """The seconds of a limit in milliseconds.

    Raises:
        InputError: It is out of range.
    """
    found_s = limit_ms / 1e3
    if not 0 < found_s < 3600:  # of the smallest numbers there is no thousandth
        wanted = "above 0 and below 3600000"
        raise unfit(option, wanted, limit_ms, f"for example: `{option} 50`")
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
