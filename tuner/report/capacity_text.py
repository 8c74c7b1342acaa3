"""How many replicas a demand needs, in sentences that the terminal and the document share."""

import math
from collections.abc import Sequence

from tuner.analysis.interpolation import EstimateKind
from tuner.analysis.rate_unit import inferences_per_request
from tuner.errors import NothingFeasibleError
from tuner.goals import Loop
from tuner.planning.bill import Plan
from tuner.planning.capacities import ReplicaCapacity, Role
from tuner.planning.offers import Cheapest, Offer, Wish
from tuner.report import answer_text, findings, formats
from tuner.report.proof_text import about_plan

ABOUT_PRICES = "`--price STUDY=0.53/h` for each says which study is the cheapest"


def headline(offer: Offer, wish: Wish) -> str:
    """The answer for the best configuration of a study, beside its defaults."""
    plan, baseline = offer.plan, offer.baseline
    if plan is None:
        return nothing_within(offer, "").message
    best = f"{replicas(plan.peak.count)} of {named(offer.lines[0].capacity)}"
    found = f"{_asked(wish, offer.tokens)} within {offer.budget}: {best}"
    found += _costs(plan, wish)
    if baseline is None:
        return found
    if baseline.plan is None:
        return f"{found}; the {formats.DEFAULTS} carry nothing within it"
    return f"{found}; the {formats.DEFAULTS} would need {baseline.plan.peak.count:,}"


def nothing_within(offer: Offer, measure: str) -> NothingFeasibleError:
    """What to say where no configuration meets the budget: the nearest one, and what to do."""
    if offer.budget == offer.study.budget:
        return findings.nothing_feasible(offer.study)
    return answer_text.nothing_within(offer.study, offer.capacities.answer, measure)


def about_cheapest(found: Cheapest, offers: Sequence[Offer], wish: Wish) -> str:
    """Which of several studies is the cheapest, and how sure that is."""
    name, budget = found.offer.study.name, found.offer.budget
    bills = {each.study.name: each.plan.scaled.per_hour.high for each in offers if each.plan}
    hour = "an hour on average, if replicas follow the demand" if wish.is_day else "an hour"
    said = f"`{name}` is the cheapest for this demand within {budget}: {money(bills[name])} {hour}"
    others = sorted((cost, other) for other, cost in bills.items() if other != name)
    said += f"; {formats.listed([f'`{other}` {money(cost)}' for cost, other in others])}"
    if not found.surely:
        said += "; their intervals overlap, so this is not sure"
    return said


def remarks(offer: Offer, wish: Wish, measure: str) -> tuple[str, ...]:
    """What must be known besides, a sentence each; `measure` is the command that measures it."""
    found = (
        *_about_knowledge(offer, measure),
        _about_loop(offer),
        _about_batches(offer),
        _about_failure(offer, wish),
    )
    return tuple(filter(None, found))


def about_models(offers: Sequence[Offer]) -> str:
    """Empty unless the studies are of different models."""
    if len({each.study.model_fingerprint for each in offers}) == 1:
        return ""
    names = formats.listed([f"`{each.study.model}` in `{each.study.name}`" for each in offers])
    return f"the studies are of different models: {names}"


def replicas(count: int) -> str:
    """`1 replica`, `1,200 replicas`."""
    return f"{count:,} replica{'' if count == 1 else 's'}"


def named(capacity: ReplicaCapacity) -> str:
    """What a configuration is called in a sentence."""
    match capacity.role:
        case Role.WINNER:
            return f"the best configuration (trial {capacity.trial})"
        case Role.BASELINE:
            return f"the {formats.DEFAULTS}"
        case Role.FRONT:
            return f"trial {capacity.trial}"


def whose(offer: Offer, offers: Sequence[Offer]) -> str:
    """The best configuration of one of several studies, which are named where they are several."""
    best = named(offer.lines[0].capacity)
    return f"{best} of `{offer.study.name}`" if len(offers) > 1 else best


def known(capacity: ReplicaCapacity, *, by_study: bool) -> str:
    """How a capacity is known; `by_study` if it is of the study's own budget."""
    if by_study and capacity.kind is EstimateKind.MEASURED and not capacity.confirmed:
        return f"{capacity.kind.value}, in the search"
    if capacity.kind is EstimateKind.NONE:
        return "carries nothing"
    if by_study and capacity.proved.contradicts:
        return "proved, 1 start" if capacity.proved.within else "found over, 1 start"
    return f"{capacity.kind.value}, {formats.counted(capacity.starts, 'start')}"


def money(amount: float) -> str:
    """In the currency of the price: cents, and below one of it three significant digits."""
    if not math.isfinite(amount):
        return formats.NOTHING
    return f"{amount:,.2f}" if amount >= 1 or not amount else f"{amount:.3g}"


def _costs(plan: Plan, wish: Wish) -> str:
    if math.isnan(plan.price):
        return ""
    if not wish.is_day:
        return f", {money(plan.fixed.per_hour.high)} an hour"
    fixed, scaled = (money(bill.total.high) for bill in (plan.fixed, plan.scaled))
    return f" at the peak, {scaled} in all if replicas follow the demand, {fixed} if they do not"


def _asked(wish: Wish, tokens: float) -> str:
    """With the output tokens of that many answers, where they are made of them."""
    highest = f"{formats.rate(wish.demand.highest)} requests/s"
    if not math.isnan(tokens):
        highest += f" ({formats.rate(wish.demand.highest * tokens)} output tokens/s)"
    if wish.is_day:
        return f"{formats.duration(wish.demand.length_s)} with up to {highest}"
    return highest


def _about_knowledge(offer: Offer, measure: str) -> list[str]:
    found, best = offer.capacities.answer, offer.lines[0].capacity if offer.lines else None
    if best is None:
        return []
    if offer.budget == offer.study.budget:
        alone = (
            f"the capacity of {named(best)} is from the search alone: no fresh start has "
            "confirmed it"
        )
        return [_about_proofs(offer, best)] if best.confirmed else [alone]
    doubts = list(answer_text.doubts(found, found.best)) if found.best else []
    return [*doubts, f"to measure it: {measure}"] if doubts else []


def _about_proofs(offer: Offer, best: ReplicaCapacity) -> str:
    said = about_plan(best.proved, offer.study, offer.tokens)
    return f"of {named(best)}, {said}" if said else ""


def _about_loop(offer: Offer) -> str:
    if offer.study.arrivals is Loop.OPEN:
        return ""
    return (
        "the capacity was measured in a closed loop, whose users wait for their answers: of users "
        "who do not, replicas carry less; `tuner optimize --arrivals poisson` measures that"
    )


def _about_batches(offer: Offer) -> str:
    count = inferences_per_request(offer.study)
    return "" if count == 1 else f"each request carries {count} inferences, as in the study"


def _about_failure(offer: Offer, wish: Wish) -> str:
    """What happens when a replica fails and none is spare."""
    if offer.plan is None or wish.reserve.spare:
        return ""
    fleet = offer.plan.peak
    if fleet.count == 1:
        return "while the only replica is down, nothing is answered: `--spare 1` adds another"
    load = fleet.load / ((fleet.count - 1) * fleet.capacity.estimate)
    return (
        f"while one of {fleet.count:,} replicas is down, the others have {formats.per_cent(load)} "
        "of what they carry within the budget: `--spare 1` adds another"
    )
