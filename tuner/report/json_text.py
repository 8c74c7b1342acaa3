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
    """A latency budget in words and in numbers, which no program must take from words.

    Where it has several limits, `limits_ms` are all of them, by `whole`, `ttft` and `itl`, and
    `limit_ms` is the leading one.
    """
    facts = {
        "latency_budget": str(budget),
        "percentile": budget.percentile,
        "limit_ms": budget.limit_s * 1e3,
    }
    if budget.answers is None:
        return facts
    limits = budget.answers.as_record().items()
    return facts | {"limits_ms": {name.removesuffix("_s"): s * 1e3 for name, s in limits}}


def finite(value: Any) -> Any:
    """`value` with nothing in place of infinities and NaN."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [finite(each) for each in value]
    return value
