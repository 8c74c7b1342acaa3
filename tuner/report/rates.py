"""Throughputs as people read them: of a language model in requests and in output tokens.

An inference is an input of a request, of which a batch has several. An answer that is made of
output tokens is called by its request.
"""

import math
from collections.abc import Iterable

from tuner.analysis.token_figures import generates, tokens_per_answer
from tuner.records import StudyRecord, TrialRecord
from tuner.report import formats


def named(*, generated: bool) -> str:
    """The unit of throughputs, where answers are `generated` of output tokens or not."""
    return "requests/s" if generated else "inferences/s"


def unit(tokens: float) -> str:
    """Of throughputs where an answer has so many output tokens; NaN where it has none."""
    return named(generated=not math.isnan(tokens))


def of_study(study: StudyRecord) -> str:
    """The unit of its throughputs."""
    return named(generated=generates(study))


def of_trial(trial: TrialRecord) -> str:
    """The same, by the load points of one of its trials."""
    return unit(tokens_per_answer([trial]))


def one(of_unit: str) -> str:
    """What costs are told of: `an inference`, or `a request`."""
    return "a request" if of_unit == named(generated=True) else "an inference"


def short(*, generated: bool) -> str:
    """As `named`, for narrow tables."""
    return "req/s" if generated else "inf/s"


def short_unit(tokens: float) -> str:
    """As `unit`, for narrow tables."""
    return short(generated=not math.isnan(tokens))


def said(per_s: float, tokens: float) -> str:
    """`12.0 inferences/s`, or `12.0 requests/s (384 output tokens/s)`."""
    rate = f"{formats.rate(per_s)} {unit(tokens)}"
    return (
        rate if math.isnan(tokens) else f"{rate} ({formats.rate(per_s * tokens)} output tokens/s)"
    )


def of_trials(per_s: float, trials: Iterable[TrialRecord]) -> str:
    """The same, by the load points of these trials of one study."""
    return said(per_s, tokens_per_answer(trials))
