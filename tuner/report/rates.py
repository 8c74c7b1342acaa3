"""Throughputs as people read them: of a language model in requests and in output tokens."""

import math
from collections.abc import Iterable

from tuner.analysis.rate_unit import RateUnit
from tuner.analysis.token_figures import tokens_per_answer
from tuner.records import StudyRecord, TrialRecord
from tuner.report import formats


def said(per_s: float, unit: str, tokens: float) -> str:
    """`12.0 inferences/s`, or `12.0 requests/s (384 output tokens/s)`.

    An answer has so many output `tokens`, NaN where it has none or nobody knows.
    """
    rate = f"{formats.rate(per_s)} {unit}"
    return (
        rate if math.isnan(tokens) else f"{rate} ({formats.rate(per_s * tokens)} output tokens/s)"
    )


def of_study(per_s: float, study: StudyRecord) -> str:
    """The same, of a whole study."""
    return of_trials(per_s, RateUnit.of(study), study.trials)


def of_trials(per_s: float, unit: str, trials: Iterable[TrialRecord]) -> str:
    """The same, with the tokens of the load points of these trials."""
    return said(per_s, unit, tokens_per_answer(trials))
