"""What requests carry: how tensors travel, and what given data repeats and pads."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from tuner.protocols.tensors.input_files import written_steps
from tuner.space.expressions import Value

_Step = Mapping[str, object]


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
    # Only of rows that are all of one length can it be told that they were made so by zeros.
    if all(rows) and len({tuple(map(len, each)) for each in rows}) == 1:
        facts["request.padding"] = fmean(min(map(_padding, each)) for each in rows)
    return facts


def _rows(step: _Step) -> Iterator[Sequence[int]]:
    """The rows of whole numbers in all tensors, as texts made into tokens are."""
    for tensor in step.values():
        yield from _innermost(tensor.get("content") if isinstance(tensor, dict) else tensor)


def _innermost(content: object) -> Iterator[Sequence[int]]:
    if isinstance(content, list):
        if content and all(type(each) is int for each in content):
            yield content
        else:
            for each in content:
                yield from _innermost(each)


def _padding(row: Sequence[int]) -> float:
    """The share of zeros at the end; of a step, the fullest row is what counts."""
    zeros = next((n for n, each in enumerate(reversed(row)) if each), len(row))
    return zeros / len(row)
