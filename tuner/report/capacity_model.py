"""How replicas are counted and what that assumes, as `tuner capacity --explain` prints it."""

from tuner.analysis.comparison import START_LOG_ERROR
from tuner.analysis.rate_unit import RateUnit
from tuner.goals import Loop
from tuner.planning.offers import Offer
from tuner.planning.replicas import CONFIDENCE
from tuner.report import formats
from tuner.report.capacity_text import named, replicas

_MODEL = """
One replica carries its capacity: the highest load whose latency is within the budget, measured
with {arrivals}.

A load balancer that picks a replica at random hands each of n replicas one n-th of the demand, and
a random part of Poisson arrivals are Poisson arrivals: n replicas carry n times as much as one.
One that takes turns, or picks the replica with the fewest requests, makes arrivals more even: they
carry somewhat more.

replicas = demand x peak factor / (capacity x (1 - headroom)), rounded up, + spare. The capacity is
the low end of its 95 % interval.{confidence} The interval of the replicas is what both ends of the
capacity would need.

Of capacity: demand x peak factor / (replicas x capacity), the share of what they carry within the
budget, not of what they could answer at all.

Between two lines of a demand file, the higher of both rates is planned for, and their mean is what
is answered and paid for. Replicas that follow the demand are ready when their period begins: start
them as much earlier as a server takes to start.

Replicas do not add up where they share a machine, a GPU or a database; where clients stick to a
replica or keep long connections, so that some replicas get more than their part; where requests
come in bursts (raise `--peak-factor`); where machines are slower than the one that was measured
(raise `--headroom`); and while a server is cold.
"""

_CONFIDENCE = (
    f" Where all else holds, so many replicas keep the budget with {100 * CONFIDENCE:g} % "
    "confidence if every replica is as fast as the starts were on average (starts differ by about "
    f"{100 * START_LOG_ERROR:g} %: `--headroom 10%`)."
)


def explanation(offer: Offer) -> tuple[str, ...]:
    """The model and its assumptions, and what it makes of the best configuration."""
    poisson = offer.study.arrivals is Loop.OPEN
    model = _MODEL.format(
        arrivals="Poisson arrivals" if poisson else "a closed loop, whose users wait for answers",
        confidence=_CONFIDENCE if offer.is_confirmed else "",
    )
    paragraphs = (" ".join(each.split()) for each in model.split("\n\n"))
    return (*paragraphs, *_calculation(offer))


def _calculation(offer: Offer) -> tuple[str, ...]:
    if offer.plan is None:
        return ()
    fleet = offer.plan.peak
    reserve = fleet.reserve
    usable = f"({formats.rate(fleet.capacity.low)} x {1 - reserve.headroom:g})"
    said = (
        f"Here, for {named(offer.lines[0].capacity)} within {offer.budget}: "
        f"{formats.rate(fleet.demand)} {RateUnit.of(offer.study)} x {reserve.peak_factor:g} / "
        f"{usable}, rounded up, + {reserve.spare} = {replicas(fleet.count)}."
    )
    return (said,)
