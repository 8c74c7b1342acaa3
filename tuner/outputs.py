"""Whether outputs are those of the baseline: a fast server that answers wrongly never wins."""

import numpy as np

from tuner.errors import Reason, TrialFailure
from tuner.load import Tensor

_TOLERANCE_RELATIVE, _TOLERANCE_ABSOLUTE = 1e-2, 1e-3


def check_outputs(expected: tuple[Tensor, ...], got: tuple[Tensor, ...]) -> None:
    """Compare a configuration's outputs with the baseline's.

    Floating-point outputs may differ by 1 % or 0.001, whichever is more: a batch is summed in
    another order than a single inference. Everything else must be equal.

    Raises:
        TrialFailure: They differ (`wrong_output`).
    """
    for one, other in zip(expected, got, strict=False):
        facts = [(t.name, t.datatype, t.shape) for t in (one, other)]
        if facts[0] != facts[1]:
            raise TrialFailure(
                Reason.WRONG_OUTPUT, f"the baseline gave {facts[0]}, this configuration {facts[1]}"
            )
        if not _close(one, other):
            raise TrialFailure(
                Reason.WRONG_OUTPUT,
                f"output `{one.name}` differs from the baseline's by more than "
                f"{_TOLERANCE_RELATIVE:.0%} and {_TOLERANCE_ABSOLUTE:g}",
            )
    if len(expected) != len(got):
        raise TrialFailure(
            Reason.WRONG_OUTPUT,
            f"the baseline gave {len(expected)} outputs, this configuration {len(got)}",
        )


def _close(one: Tensor, other: Tensor) -> bool:
    kinds = {"FP16": np.float16, "FP32": np.float32, "FP64": np.float64}
    kind = kinds.get(one.datatype)
    if kind is None or len(one.data) != len(other.data):
        return one.data == other.data
    first, second = (np.frombuffer(t.data, dtype=kind).astype(np.float64) for t in (one, other))
    return bool(np.allclose(second, first, rtol=_TOLERANCE_RELATIVE, atol=_TOLERANCE_ABSOLUTE))
