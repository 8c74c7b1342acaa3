"""What requests carry: how tensors travel, and what given data repeats and pads."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from tuner.protocols.tensors.input_files import written_steps
from tuner.space.expressions import Value

_Step = Mapping[str, object]
_Row = Sequence[int]
# Shorter rows are no texts: sizes, flags, features.
_LEAST_TOKENS = 8


def request_facts(server: str, request: Mapping[str, Any]) -> dict[str, Value]:
    """Of what a study sent (`RequestForm.as_record`)."""
    facts: dict[str, Value] = {}
    if server in ("triton", "tensorflow_serving"):
        # Triton is sent binary tensors; the REST API of TensorFlow Serving takes JSON alone.
        facts["request.json"] = server == "tensorflow_serving"
    elif content_type := request.get("content_type"):
        facts["request.json"] = str(content_type).startswith("application/json")
    if "data" in request:
        facts["request.made_up"] = request["data"] in ("random", "zero")
    return facts


def data_facts(files: Sequence[Path]) -> dict[str, Value]:
    """Of input data in perf_analyzer's JSON; nothing of folders, or of a single request.

    Raises:
        InputError: A file cannot be read, or has not that form.
    """
    steps = [step for path in files if not path.is_dir() for step in written_steps(path)]
    if len(steps) < 2:
        return {}
    distinct = {json.dumps(each, sort_keys=True) for each in steps}
    facts: dict[str, Value] = {"request.repeated": 1 - len(distinct) / len(steps)}
    rows = [list(_rows(step)) for step in steps]
    if _look_padded(rows):
        facts["request.padding"] = fmean(min(map(_padding, each)) for each in rows)
    return facts


def _rows(step: _Step) -> Iterator[_Row]:
    """The rows of whole numbers in all tensors that are long enough for a text."""
    for tensor in step.values():
        content = tensor.get("content") if isinstance(tensor, dict) else tensor
        yield from (row for row in _innermost(content) if len(row) >= _LEAST_TOKENS)


def _innermost(content: object) -> Iterator[_Row]:
    if isinstance(content, list):
        if content and all(type(each) is int for each in content):
            yield content
        else:
            for each in content:
                yield from _innermost(each)


def _look_padded(steps: Sequence[Sequence[_Row]]) -> bool:
    """Whether zeros at the end of rows fill them up, as they do where texts became tokens.

    Then rows are all of one length, nothing comes after a zero, and they are no masks of ones.
    """
    rows = [row for step in steps for row in step]
    return (
        all(steps)
        and len({tuple(map(len, step)) for step in steps}) == 1
        and not any(0 in row[: len(row) - _zeros(row)] for row in rows)
        and any(len({*row} - {0}) > 1 for row in rows)
    )


def _padding(row: _Row) -> float:
    """The share of zeros at the end; of a step, the fullest row is what counts."""
    return _zeros(row) / len(row)


def _zeros(row: _Row) -> int:
    return next((n for n, each in enumerate(reversed(row)) if each), len(row))
