"""What is said of the server's own defaults: how they are asked, or that they do not work."""

from collections.abc import Iterator, Mapping
from typing import Any

from tuner.errors import Reason, TunerError
from tuner.goals import SearchBudget
from tuner.records import NOT_ITS_FAULT, TrialRecord, TrialState
from tuner.study.time_plan import no_time_left

# What a model says of inputs that it cannot use.
_PERHAPS_THE_INPUTS_FAULT = (Reason.NOT_READY, Reason.WRONG_OUTPUT, Reason.LOAD_FAILED)


def check_baseline(baseline: TrialRecord, request: Mapping[str, Any]) -> None:
    """A failed baseline is not stored, but tried again; `request` is what the study sends.

    Raises:
        TunerError: It failed.
    """
    if baseline.state is not TrialState.FAILED:
        return
    raise TunerError(
        f"the server's own defaults failed ({baseline.reason}): {baseline.message}"
        + (f"\nIts last words:\n{baseline.log_tail}" if baseline.log_tail else ""),
        hint=_what_to_do(baseline.reason, made_up=request.get("data") in ("random", "zero")),
    )


def about_baseline(
    baseline: TrialRecord,
    *,
    not_compared: str,
    budget: SearchBudget,
    size: int | None,
    left_s: float,
) -> Iterator[str]:
    """What a baseline that worked shows of its study, in sentences.

    `not_compared` is the one about outputs, empty if all are compared; `size` is that of the
    space, None if it is not finite; `left_s` is the time that the study still has, in seconds.
    """
    yield from baseline.remarks
    yield from filter(None, (not_compared, no_time_left(baseline, budget, size, left_s)))


def _what_to_do(reason: Reason | None, *, made_up: bool) -> str:
    if reason in NOT_ITS_FAULT:
        return "this machine is too busy to measure: end what else runs on it"
    if made_up and reason in _PERHAPS_THE_INPUTS_FAULT:
        return (
            "its inputs were made up; where the model needs real ones, give them with "
            "`--input-data FILE`, or its strings with `--string-data TEXT`"
        )
    return "make the model work on this server first; then tune it"
