"""Output tokens of load points: how many there were, when they came, and what users see (pure)."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tuner.goals import LatencyBudget
from tuner.load.histogram import Histogram
from tuner.protocols.openai_task import Task
from tuner.records import PointRecord, StudyRecord, TrialRecord

# The times of an answer by their fields in limits, as people call them.
ANSWER_TIMES = {"ttft_s": "TTFT", "itl_s": "ITL", "whole_s": "whole answer"}


@dataclass(frozen=True, kw_only=True)
class AnswerTimes:
    """One percentile of the times of a load point's answers, in seconds; NaN where none is known.

    `ttft_s` is to the first token, `itl_s` the mean between the tokens of an answer, `whole_s` to
    its end.
    """

    ttft_s: float
    itl_s: float
    whole_s: float

    @classmethod
    def of(cls, point: PointRecord, q: float) -> "AnswerTimes":
        return cls(
            ttft_s=_percentile(point.first_response, q),
            itl_s=_percentile(point.itl, q),
            whole_s=_percentile(point.whole or point.histogram, q),
        )

    @property
    def speed(self) -> float:
        """Output tokens per second that a user sees; of p99, what 99 % of them have at least."""
        return 1 / self.itl_s if 0 < self.itl_s < math.inf else math.nan


def has_tokens(point: PointRecord) -> bool:
    """Whether its answers are made of output tokens; embeddings have none."""
    return point.tokens_per_s > 0


def makes_tokens(trials: Iterable[TrialRecord]) -> bool:
    """Whether the answers to a study's requests are made of output tokens, by its load points."""
    first = next(_answered(trials), None)
    return first is not None and has_tokens(first)


def generates(study: StudyRecord) -> bool:
    """The same, by what it asks: known of a study that was read without its load points, too."""
    prompts = study.request.get("prompts") or {}
    return "task" in prompts and Task(prompts["task"]).generates


def tokens_per_answer(trials: Iterable[TrialRecord]) -> float:
    """The mean over their load points; NaN where answers are not made of tokens, or none is known.

    The requests of a study are the same for each configuration.
    """
    tokens = answers = 0.0
    for point in _answered(trials):
        if not has_tokens(point):
            break  # those of the others are not, either
        tokens += point.tokens_per_s * point.duration_s
        answers += point.throughput * point.duration_s
    return tokens / answers if answers else math.nan


def limited_times(budget: LatencyBudget) -> list[str]:
    """What has a limit, as people call it; the first is that in whose seconds is judged."""
    return [ANSWER_TIMES[name] for name in budget.limits.as_record()]


def highest_loads(
    study: StudyRecord, trials: Sequence[TrialRecord]
) -> tuple[PointRecord | None, ...]:
    """Of each trial the highest load within the study's budget, if its answers are of tokens."""
    points = [trial.best_point(study.budget) for trial in trials]
    return tuple(each if each and has_tokens(each) else None for each in points)


def _answered(trials: Iterable[TrialRecord]) -> Iterator[PointRecord]:
    return (point for trial in trials for point in trial.points if point.throughput > 0)


def _percentile(times: Histogram | None, q: float) -> float:
    return times.percentile(q) if times and times.count else math.nan
