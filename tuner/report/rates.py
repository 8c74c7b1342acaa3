"""Throughputs as people read them: of a language model in requests and in output tokens."""

import math
from collections.abc import Iterable

from tuner.analysis.token_figures import makes_tokens, tokens_per_answer
from tuner.records import StudyRecord, TrialRecord
from tuner.report import formats


def unit(tokens: float) -> str:
    """Of throughputs where an answer has so many output tokens; NaN where it has none."""
    return "inferences/s" if math.isnan(tokens) else "requests/s"


def of_study(study: StudyRecord) -> str:
    """The unit of its throughputs."""
    return "requests/s" if makes_tokens(study.trials) else "inferences/s"


def short_unit(tokens: float) -> str:
    """For narrow tables."""
    return "inf/s" if math.isnan(tokens) else "req/s"


def said(per_s: float, tokens: float) -> str:
    """`12.0 inferences/s`, or `12.0 requests/s (384 output tokens/s)`."""
    if math.isnan(tokens):
        return f"{formats.rate(per_s)} inferences/s"
    return f"{formats.rate(per_s)} requests/s ({formats.rate(per_s * tokens)} output tokens/s)"


def of_trials(per_s: float, trials: Iterable[TrialRecord]) -> str:
    """The same, by the load points of these trials of one study."""
    return said(per_s, tokens_per_answer(trials))
