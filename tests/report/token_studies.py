"""Builds studies of a language-model server as a search leaves them; the same ones every time."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tests.report.studies import BEGAN, final, infeasible, point, study, trial
from tuner.goals import AnswerLimits, LatencyBudget
from tuner.load.histogram import Histogram
from tuner.records import PointRecord, Purpose, StudyRecord, TrialRecord
from tuner.space.space import Configuration

LIMITS = AnswerLimits(ttft_s=0.2, itl_s=0.02)
BUDGET = LatencyBudget.of_answers(99, LIMITS)
DEFAULTS = Configuration.of({"parallel": 1, "ubatch_size": 512})
BEST = Configuration.of({"parallel": 8, "ubatch_size": 256})
OTHER = Configuration.of({"parallel": 4, "ubatch_size": 512})
# Output tokens of each answer.
TOKENS = 32


def token_point(
    load: float, *, ttft_s: float, itl_s: float, together: float = 0.02, **wishes: Any
) -> PointRecord:
    """A load point whose requests spread up to these times; p99 is what they are called."""
    spread = np.linspace(0.5, 1.0, 200)
    worst = max(ttft_s / LIMITS.ttft_s, itl_s / LIMITS.itl_s)
    facts: dict[str, Any] = {
        "histogram": Histogram.of(worst * BUDGET.limit_s * spread),
        "first_response": Histogram.of(ttft_s * spread),
        "itl": Histogram.of(itl_s * spread),
        "whole": Histogram.of((ttft_s + (TOKENS - 1) * itl_s) * spread),
        "tokens_per_s": TOKENS * load,
        "together": together,
        "counted_by": "server",
    }
    return point(load, worst * BUDGET.limit_s, **(facts | wishes))


def token_curve(capacity: float, *, ttft_s: float = 0.1) -> tuple[PointRecord, ...]:
    """Slower with load; the time between tokens is what the limit stops."""
    shares = (0.5, 0.8, 0.99, 1.05)
    return tuple(
        token_point(capacity * each, ttft_s=ttft_s * (1 + 0.5 * each), itl_s=0.02 * each**0.5)
        for each in shares
    )


def token_trial(number: int, tried: Configuration, capacity: float, **wishes: Any) -> TrialRecord:
    """With one request at a time it is at 0.6 of the limits."""
    facts: dict[str, Any] = {"points": token_curve(capacity), "unloaded_s": 0.6 * BUDGET.limit_s}
    return trial(number, capacity, configuration=tried, **(facts | wishes))


def token_study(trials: Sequence[TrialRecord] = (), **wishes: Any) -> StudyRecord:
    """Three configurations, and three finals of each of two of them."""
    searched = [
        token_trial(0, DEFAULTS, 5.0, purpose=Purpose.BASELINE, proposal=None),
        token_trial(1, BEST, 12.0),
        token_trial(2, OTHER, 9.0, points=token_curve(9.0, ttft_s=0.04)),
    ]
    finals = [
        replace(
            final(3 + 2 * start + n, tried, capacity * (0.995 + 0.005 * start)),
            points=token_curve(capacity),
            unloaded_s=0.6 * BUDGET.limit_s,
            round=start,
        )
        for start in range(3)
        for n, (tried, capacity) in enumerate(((BEST, 12.0), (DEFAULTS, 5.0)))
    ]
    facts: dict[str, Any] = {
        "name": "chat",
        "created_at": BEGAN,
        "server": "llama_cpp",
        "model": "tiny.gguf",
        "budget": BUDGET,
        "request": {"prompts": {"task": "chat"}},
        "parameters": {"parallel": "1 to 8, doubling", "ubatch_size": "256 to 512, doubling"},
    }
    return study(trials or [*searched, *finals], **(facts | wishes))


def too_slow() -> StudyRecord:
    """Two configurations that are over the limits with one request at a time."""
    return token_study(
        [
            infeasible(trial(0, configuration=DEFAULTS, purpose=Purpose.BASELINE), unloaded_s=0.5),
            infeasible(trial(1, configuration=BEST), unloaded_s=0.25),
        ]
    )
