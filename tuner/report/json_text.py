"""Plain data as JSON text."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tuner.goals import LatencyBudget


def json_text(content: object, *, indent: int | None = 2) -> str:
    """`content` as JSON; infinities and NaN, which JSON does not have, become null."""
    return json.dumps(finite(content), indent=indent, default=str, allow_nan=False) + "\n"


def budget_facts(budget: LatencyBudget) -> dict[str, Any]:
    """A latency budget in words and in numbers, which no program must take from words."""
    return {
        "latency_budget": str(budget),
        "percentile": budget.percentile,
        "limit_ms": budget.limit_s * 1e3,
    }


def finite(value: Any) -> Any:
    """`value` with nothing in place of infinities and NaN."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [finite(each) for each in value]
    return value
