"""Whether outputs are those of the baseline: a fast server that answers wrongly never wins."""

import math

import numpy as np

from tuner.errors import Reason, TrialFailure
from tuner.load.requests import Tensor
from tuner.numbers.arrays import FloatArray

Outputs = tuple[Tensor, ...]
"""What a server answers one request with."""

# Without a tolerance, a number may be off by this share of its value, or by this much.
_TOLERANCE_RELATIVE = 1e-2
_TOLERANCE_ABSOLUTE = 1e-3
_FLOATS = {"FP16": np.float16, "FP32": np.float32, "FP64": np.float64}


def distance(expected: Outputs, got: Outputs) -> float:
    """How far outputs are from the baseline's: 0.02 is 2 % of an output's largest value.

    It is the largest distance of a floating-point number from the baseline's, as a share of the
    largest absolute value of its output; infinite where NaN, infinity, names, types, shapes, whole
    numbers or texts differ.
    """
    if [(t.name, t.datatype, t.shape) for t in expected] != [
        (t.name, t.datatype, t.shape) for t in got
    ]:
        return math.inf
    return max(map(_distance, expected, got), default=0.0)


def check_outputs(expected: Outputs, got: Outputs, *, tolerance: float | None = None) -> None:
    """Compare a configuration's outputs with the baseline's.

    Floating-point outputs must be within `tolerance`, a share of the output's largest value. Where
    that is None, every number by itself may differ by 1 % or 0.001, whichever is more: a batch is
    summed in another order than a single inference. Everything else must be equal.

    Raises:
        TrialFailure: They differ (`wrong_output`).
    """
    for one, other in zip(expected, got, strict=False):
        facts = [(t.name, t.datatype, t.shape) for t in (one, other)]
        if facts[0] != facts[1]:
            raise _wrong(f"the baseline gave {facts[0]}, this configuration {facts[1]}")
        _check(one, other, tolerance)
    if len(expected) != len(got):
        raise _wrong(f"the baseline gave {len(expected)} outputs, this configuration {len(got)}")


def _check(one: Tensor, other: Tensor, tolerance: float | None) -> None:
    """Two outputs of one name, type and shape."""
    differs = f"output `{one.name}` differs from the baseline's by"
    arrays = _arrays(one, other)
    if arrays is None:
        if one.data != other.data:
            raise _wrong(f"output `{one.name}` is not the baseline's")
    elif tolerance is not None:
        far = _distance(one, other)
        if not far <= tolerance:
            raise _wrong(
                f"{differs} {far:.2%} of its largest value, more than the tolerance of "
                f"{tolerance:.2%}"
            )
    elif not np.allclose(arrays[1], arrays[0], rtol=_TOLERANCE_RELATIVE, atol=_TOLERANCE_ABSOLUTE):
        raise _wrong(f"{differs} more than {_TOLERANCE_RELATIVE:.0%} and {_TOLERANCE_ABSOLUTE:g}")


def _distance(one: Tensor, other: Tensor) -> float:
    arrays = _arrays(one, other)
    if arrays is None:
        return 0.0 if one.data == other.data else math.inf
    first, second = arrays
    apart = np.subtract(second, first, where=first != second, out=np.zeros_like(first))
    most = float(np.max(np.abs(apart), initial=0.0))
    largest = float(np.max(np.abs(first), where=np.isfinite(first), initial=0.0))
    if most == 0.0:
        return 0.0
    return most / largest if math.isfinite(most) and largest else math.inf


def _arrays(one: Tensor, other: Tensor) -> tuple[FloatArray, FloatArray] | None:
    """Their numbers, if they are floating-point and equally many."""
    kind = _FLOATS.get(one.datatype)
    if kind is None or len(one.data) != len(other.data):
        return None
    first, second = (np.frombuffer(t.data, dtype=kind).astype(np.float64) for t in (one, other))
    return first, second


def _wrong(what: str) -> TrialFailure:
    return TrialFailure(Reason.WRONG_OUTPUT, what)
