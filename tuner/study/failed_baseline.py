"""What is said where the server's own defaults do not work: there is nothing to compare with."""

from collections.abc import Mapping
from typing import Any

from tuner.errors import Reason, TunerError
from tuner.records import NOT_ITS_FAULT, TrialRecord, TrialState

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


def _what_to_do(reason: Reason | None, *, made_up: bool) -> str:
    if reason in NOT_ITS_FAULT:
        return "this machine is too busy to measure: end what else runs on it"
    if made_up and reason in _PERHAPS_THE_INPUTS_FAULT:
        return (
            "its inputs were made up; where the model needs real ones, give them with "
            "`--input-data FILE`, or its strings with `--string-data TEXT`"
        )
    return "make the model work on this server first; then tune it"
