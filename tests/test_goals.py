"""Latency budgets of one limit, and of several."""

import pytest

from tuner.goals import AnswerLimits, LatencyBudget

TOKENS = LatencyBudget.of_answers(99, AnswerLimits(ttft_s=0.2, itl_s=0.03))


def test_limits_change_in_proportion() -> None:
    """Those that are not there stay so."""
    assert TOKENS.at(0.1) == LatencyBudget.of_answers(99, AnswerLimits(ttft_s=0.1, itl_s=0.015))
    assert LatencyBudget(99, 0.2).at(0.1) == LatencyBudget(99, 0.1)


def test_what_is_limited() -> None:
    """A limit for whole answers alone is one as for any server."""
    whole = AnswerLimits(whole_s=0.2)
    assert LatencyBudget.of_answers(99, whole) == LatencyBudget(99, 0.2)
    assert LatencyBudget(99, 0.2).limits == whole
    assert TOKENS.limits.as_record() == {"ttft_s": 0.2, "itl_s": 0.03}
    assert AnswerLimits(whole_s=2.0, itl_s=0.03).first_s == 2.0


@pytest.mark.parametrize(
    ("other", "alike"),
    [
        (AnswerLimits(ttft_s=0.2, itl_s=0.03), True),
        (AnswerLimits(ttft_s=0.4, itl_s=0.06), True),
        (AnswerLimits(ttft_s=0.4, itl_s=0.03), False),
        (AnswerLimits(ttft_s=0.2), False),
        (AnswerLimits(whole_s=0.2), False),
        (AnswerLimits(whole_s=2.0, ttft_s=0.2, itl_s=0.03), False),
    ],
)
def test_budgets_that_are_alike(other: AnswerLimits, *, alike: bool) -> None:
    """They limit the same, in the same proportion, at whatever percentile."""
    budget = LatencyBudget.of_answers(95, other)
    assert budget.is_alike(TOKENS) is alike
    assert TOKENS.is_alike(budget) is alike
