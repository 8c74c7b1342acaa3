"""What is asked of `tuner capacity`, as people say it: a demand, a reserve, prices."""

import math
import re
from collections.abc import Mapping, Sequence

from tuner.errors import InputError, did_you_mean, unfit
from tuner.planning.demand import HIGHEST_RATE, Demand
from tuner.planning.replicas import Reserve

_PRICE = re.compile(r"(?:(?P<study>.+)=)?(?P<amount>\d+(?:\.\d+)?)/h")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_HIGHEST_PEAK = 1000


def constant_demand(rate: float) -> Demand:
    """The demand of `--demand`, in requests per second.

    Raises:
        InputError: It is out of range.
    """
    if not 0 < rate <= HIGHEST_RATE:
        example = "for example: `--demand 1200`, in requests per second"
        raise unfit("--demand", f"above 0 and up to {HIGHEST_RATE:g}", rate, example)
    return Demand.constant(rate)


def reserve(peak_factor: float, headroom: str, spare: int) -> Reserve:
    """What is kept beside the demand; `headroom` is a percentage such as `20%`.

    Raises:
        InputError: One of them is out of range.
    """
    if not 1 <= peak_factor <= _HIGHEST_PEAK:
        hint = "for example: `--peak-factor 1.5`"
        raise unfit("--peak-factor", f"from 1 to {_HIGHEST_PEAK}", peak_factor, hint)
    share = _PERCENT.fullmatch(headroom.strip())
    if share is None or float(share[1]) >= 100:
        hint = "for example: `--headroom 20%`"
        raise unfit("--headroom", "a percentage below 100", headroom, hint)
    return Reserve(peak_factor=peak_factor, headroom=float(share[1]) / 100, spare=spare)


def prices(texts: Sequence[str], studies: Sequence[str]) -> Mapping[str, float]:
    """By study; NaN where none was given. What names a study comes before what names none.

    Raises:
        InputError: One is no price, or of none of the `studies`, or given twice.
    """
    given: dict[str | None, float] = {}
    for text in texts:
        found = _PRICE.fullmatch(text.strip())
        if found is None or not 0 < float(found["amount"]) < math.inf:
            hint = "for example: `--price 0.53/h`, or `--price STUDY=0.53/h` for one of several"
            raise unfit("--price", "an amount above 0 for an hour", text, hint)
        name = found["study"]
        if name is not None and name not in studies:
            raise InputError(
                f"`--price` names the study `{name}`, which is not asked about",
                hint=did_you_mean(name, studies),
            )
        if name in given:
            raise InputError(
                "`--price` was given twice for the same", hint="leave one of them out"
            )
        given[name] = float(found["amount"])
    usual = given.get(None, math.nan)
    return {name: given.get(name, usual) for name in studies}
