"""How many replicas a demand needs, as plain data. Rates are per second, costs as the price is."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tuner.analysis.nearest import Nearest, nearest_load, nearest_unloaded
from tuner.analysis.rate_unit import RateUnit, inferences_per_request
from tuner.goals import LatencyBudget
from tuner.planning.bill import Bill, Plan
from tuner.planning.demand import Demand
from tuner.planning.offers import Cheapest, Line, Offer, Wish
from tuner.planning.replicas import CONFIDENCE, Fleet
from tuner.records import Interval
from tuner.report.json_text import budget_facts
from tuner.report.nearest_text import nearest_document


def capacity_document(
    wish: Wish,
    offers: Sequence[Offer],
    results: Mapping[LatencyBudget, tuple[Cheapest | None, Sequence[str]]],
) -> dict[str, Any]:
    """All offers by latency budget, each of which has its cheapest study and its sentences."""
    return {
        "demand": _demand(wish.demand),
        "reserve": asdict(wish.reserve),
        "latency_budgets": [
            {
                **budget_facts(budget),
                "studies": [_offer(each) for each in offers if each.budget == budget],
                "cheapest": _cheapest(found),
                "remarks": list(said),
            }
            for budget, (found, said) in results.items()
        ],
    }


def _demand(demand: Demand) -> dict[str, Any]:
    return {
        "highest_requests_per_s": demand.highest,
        "mean_requests_per_s": demand.mean,
        "length_s": demand.length_s,
    }


def _cheapest(found: Cheapest | None) -> dict[str, Any] | None:
    return {"study": found.offer.study.name, "surely": found.surely} if found else None


def _offer(offer: Offer) -> dict[str, Any]:
    return {
        "study": offer.study.name,
        "arrivals": offer.study.arrivals.value,
        "unit": RateUnit.of(offer.study).value,
        "inferences_per_request": inferences_per_request(offer.study),
        "output_tokens_per_request": offer.tokens,
        "price_per_hour": offer.price,
        "confidence": CONFIDENCE if offer.is_confirmed else None,
        "configurations": [_line(each) for each in offer.lines],
        "nearest": None if offer.lines else nearest_document(_nearest(offer)),
    }


def _nearest(offer: Offer) -> Nearest | None:
    """Where no configuration carries anything: what comes closest."""
    if offer.budget == offer.study.budget:
        return nearest_unloaded(offer.study)
    return nearest_load(offer.study, offer.budget)


def _line(line: Line) -> dict[str, Any]:
    own = line.capacity
    return {
        "role": own.role.value,
        "trial": own.trial,
        "configuration": dict(own.configuration),
        "known": own.kind.value,
        "starts": own.starts,
        "confirmed": own.confirmed,
        "proved_load": own.proved.within or None,
        "found_over": own.proved.over if own.proved.contradicts else None,
        "capacity": asdict(own.interval) if own.interval else None,
        "plan": _plan(line.plan) if line.plan else None,
    }


def _plan(plan: Plan) -> dict[str, Any]:
    document = {
        **_fleet(plan.peak),
        "cost_per_hour": asdict(plan.fixed.per_hour),
        "cost_per_million": asdict(plan.fixed.per_million),
    }
    if len(plan.demand.periods) > 1:
        document["fixed"] = _bill(plan.fixed)
        document["following"] = _bill(plan.scaled)
        document["periods"] = [
            {"begins": period.begins, "ends": period.ends, **_fleet(fleet)}
            for period, fleet in zip(plan.demand.periods, plan.fleets, strict=True)
        ]
    return document


def _fleet(fleet: Fleet) -> dict[str, Any]:
    return {
        "load": fleet.load,
        "replicas": fleet.count,
        "replicas_interval": _whole(fleet.counts),
        "utilisation": asdict(fleet.utilisation),
    }


def _bill(bill: Bill) -> dict[str, Any]:
    return {
        "replica_hours": asdict(bill.replica_hours),
        "cost": asdict(bill.total),
        "cost_per_hour": asdict(bill.per_hour),
        "cost_per_million": asdict(bill.per_million),
    }


def _whole(counts: Interval) -> dict[str, int]:
    return {name: int(count) for name, count in asdict(counts).items()}
