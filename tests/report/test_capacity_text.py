"""How many replicas a demand needs, in words."""

import math
from collections.abc import Iterator
from typing import Any

from tests.report import studies, texts
from tests.report.studies import loads
from tuner.goals import LatencyBudget, Loop
from tuner.planning.capacities import capacities
from tuner.planning.demand import Demand, Moment
from tuner.planning.offers import Offer, Wish, cheapest, offer
from tuner.planning.replicas import Reserve
from tuner.records import StudyRecord
from tuner.report import capacity_text
from tuner.report.capacity_model import explanation

MEASURE = "tuner optimize --budget-ms 20"
P99_20MS = LatencyBudget(99, 0.020)
P99_200MS = LatencyBudget(99, 0.200)
DAY = Demand.between(
    [
        Moment(name=name, at_s=hours * 3600.0, rate=rate)
        for name, hours, rate in (("00:00", 0, 100.0), ("12:00", 12, 900.0), ("00:00", 24, 100.0))
    ]
)


def wish(demand: Demand | float, **reserve: Any) -> Wish:
    asked = demand if isinstance(demand, Demand) else Demand.constant(demand)
    return Wish(demand=asked, reserve=Reserve(**reserve))


def offered(
    study: StudyRecord, asked: Wish, price: float = math.nan, *, budget: LatencyBudget
) -> Offer:
    return offer(capacities(study, budget, set()), asked, price)


def told(
    study: StudyRecord,
    asked: Wish,
    price: float = math.nan,
    *,
    budget: LatencyBudget = studies.BUDGET,
) -> Iterator[str]:
    """The headline and the remarks (-)."""
    found = offered(study, asked, price, budget=budget)
    yield capacity_text.headline(found, asked)
    yield from (f"- {each}" for each in capacity_text.remarks(found, asked, MEASURE))


def best_of(*prices: float, demand: Demand | float = 1150.0) -> Iterator[str]:
    """What is said of several studies, each with its price."""
    asked = wish(demand)
    offers = [
        offered(studies.study([studies.baseline(300.0)], name=name, **other), asked, price,
                budget=studies.BUDGET)
        for name, price, other in zip(
            ("l4", "l40s", "cpu"), prices, ({}, {}, {"model": "b", "model_fingerprint": "b"}),
            strict=False,
        )
    ]  # fmt: skip
    found = cheapest(offers)
    if found:
        yield capacity_text.about_cheapest(found, offers, asked)
    yield capacity_text.about_models(offers)


NIGHT = studies.night()
CURVES = studies.study(
    [
        studies.baseline(150.0, points=loads((100, 10), (150, 40), (160, 60))),
        studies.trial(2, 2000.0, points=loads((1000, 17.8), (2450, 24.1), (2500, 60))),
    ]
)


def proved(*verdicts: str) -> StudyRecord:
    """The night after its winner was put to the proof, under 380 inferences/s, then 340, ..."""
    claims = [(380.0 - 40 * number, verdict) for number, verdict in enumerate(verdicts)]
    return studies.proved(NIGHT, *claims, of=NIGHT.trials[2].configuration)


SLOW = studies.infeasible(studies.baseline(), unloaded_s=0.08)


def test_every_answer() -> None:
    """How many, what they cost, and what must be known besides."""
    texts.check(
        "capacity.txt",
        {
            "one replica": told(NIGHT, wish(100.0)),
            "several": told(NIGHT, wish(1200.0, peak_factor=1.5, headroom=0.2)),
            "with a spare one and a price": told(NIGHT, wish(1200.0, spare=1), 0.53),
            "a day": told(NIGHT, wish(DAY), 0.53),
            "a day without a price": told(NIGHT, wish(DAY)),
            "requests of several inferences": told(
                studies.study(NIGHT.trials, request={"batch": 8}), wish(1200.0, spare=1)
            ),
            "a closed loop": told(
                studies.study([studies.baseline()], arrivals=Loop.CLOSED), wish(90.0, spare=1)
            ),
            "the search alone": told(studies.small_study(), wish(1200.0, spare=1)),
            "the defaults carry nothing": told(
                studies.study([SLOW, studies.trial(1, 100.0)]), wish(90.0, spare=1)
            ),
            "nothing carries anything": told(studies.study([SLOW]), wish(90.0)),
            "a load that was found over": told(proved("over"), wish(1200.0, spare=1)),
            "a load that was found over, and less that was proved": told(
                proved("over", "within"), wish(1200.0, spare=1)
            ),
            "another budget": told(CURVES, wish(1200.0, spare=1), budget=P99_20MS),
            "a lower bound": told(CURVES, wish(1200.0, spare=1), budget=P99_200MS),
            "several studies": best_of(1.0, 4.0),
            "several studies at nearly the same cost": best_of(1.0, 1.01),
            "several studies over a day": best_of(1.0, 4.0, demand=DAY),
            "several models": best_of(1.0, 4.0, 2.0),
            "several studies without a price": best_of(math.nan, math.nan),
            "very many": told(NIGHT, wish(1e9, spare=1)),
            "the model of a search alone": explanation(
                offered(studies.small_study(), wish(9.0), budget=studies.BUDGET)
            )[2:3],
            "the model": explanation(
                offered(NIGHT, wish(1200.0, headroom=0.2, spare=1), budget=studies.BUDGET)
            ),
            "the model of a closed loop": explanation(
                offered(
                    studies.study([SLOW], arrivals=Loop.CLOSED), wish(9.0), budget=studies.BUDGET
                )
            )[:1],
        },
    )


def test_money() -> None:
    """Cents; below one of the currency three significant digits."""
    found = [capacity_text.money(amount) for amount in (1234.5, 1.0, 0.1234, 0.0, math.nan)]

    assert found == ["1,234.50", "1.00", "0.123", "0.00", "-"]
