"""The unit of a study's throughputs."""

import pytest

from tests.report import studies
from tuner.analysis.rate_unit import RateUnit, inferences_per_request


@pytest.mark.parametrize(
    ("task", "unit"),
    [
        ("chat", RateUnit.REQUESTS),
        ("completions", RateUnit.REQUESTS),
        ("embeddings", RateUnit.INFERENCES),
        ("rerank", RateUnit.INFERENCES),
    ],
)
def test_what_is_asked_says_it(task: str, unit: RateUnit) -> None:
    """Before anything was measured, and where load points are not read."""
    assert RateUnit.of(studies.study(request={"prompts": {"task": task}})) is unit


@pytest.mark.parametrize("request_", [{}, {"batch": 8}, {"bodies": 2}])
def test_other_requests_carry_inferences(request_: dict[str, object]) -> None:
    """Those of servers of tensors, and of bodies."""
    assert RateUnit.of(studies.study(request=request_)) is RateUnit.INFERENCES


def test_how_it_is_written() -> None:
    """In narrow tables it is short; costs are those of one."""
    assert [each.short for each in RateUnit] == ["inf/s", "req/s"]
    assert [each.noun for each in RateUnit] == ["inference", "request"]


@pytest.mark.parametrize(
    ("request_", "count"),
    [
        ({}, 1),
        ({"batch": 8}, 8),
        ({"prompts": {"task": "embeddings", "inputs": 4}}, 4),
        ({"prompts": {"task": "rerank", "inputs": 5}}, 5),
    ],
)
def test_what_a_request_carries(request_: dict[str, object], count: int) -> None:
    """A request for embeddings has several texts, as one of tensors has a batch."""
    assert inferences_per_request(studies.study(request=request_)) == count
