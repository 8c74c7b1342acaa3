"""How many replicas a demand needs, from stored studies: the answer that all who ask share."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tuner.analysis.rate_unit import inferences_per_request
from tuner.errors import InputError, NothingFeasibleError
from tuner.goals import LatencyBudget, Objective
from tuner.planning.capacities import capacities
from tuner.planning.offers import Offer, Wish, cheapest, offer
from tuner.records import StudyRecord
from tuner.report import capacity_text
from tuner.report.best import Measure
from tuner.report.budgets import checked_percentile, limit_s
from tuner.report.capacity_json import capacity_document
from tuner.report.capacity_wish import prices
from tuner.report.fronts import trials_of_front
from tuner.store.curve_points import tokens_per_answer
from tuner.store.storage import Storage


@dataclass(frozen=True, kw_only=True)
class CapacityQuestion:
    """The studies by their names, the newest one where there is none, and what is asked of them.

    Where no limit (milliseconds) or percentile is said, it is the studies' own. Prices are texts
    such as `0.53/h` and `STUDY=0.53/h`.
    """

    wish: Wish
    studies: Sequence[str] = ()
    prices: Sequence[str] = ()
    limits_ms: Sequence[float] = ()
    percentile: float | None = None


@dataclass(frozen=True, kw_only=True)
class CapacityAnswer:
    """For each latency budget the offers of the studies; `measure` words a command."""

    wish: Wish
    offers: Sequence[Sequence[Offer]]
    measure: Measure

    @property
    def refusal(self) -> NothingFeasibleError | None:
        """What is said where no configuration of any study carries anything."""
        if any(each.lines for same in self.offers for each in same):
            return None
        nowhere = self.offers[0][0]
        return capacity_text.nothing_within(nowhere, self._measure(nowhere))

    def sentences(self, offers: Sequence[Offer]) -> Iterator[str]:
        """The result first, then what must be known besides; of several studies each says whose.

        `offers` are those of one latency budget.
        """
        found = cheapest(offers)
        several = len(offers) > 1
        if several and found:
            yield capacity_text.about_cheapest(found, offers, self.wish)
        for each in offers:
            whose = f"study `{each.study.name}`: " if several else ""
            yield f"{whose}{capacity_text.headline(each, self.wish)}"
            for remark in capacity_text.remarks(each, self.wish, self._measure(each)):
                yield f"{whose}{remark}"
        if not found and sum(each.plan is not None for each in offers) > 1:
            yield capacity_text.ABOUT_PRICES
        if models := capacity_text.about_models(offers):
            yield models

    def document(self) -> dict[str, Any]:
        """All of it as JSON content."""
        said = {
            same[0].budget: (cheapest(same), list(self.sentences(same))) for same in self.offers
        }
        return capacity_document(self.wish, [each for same in self.offers for each in same], said)

    def _measure(self, offer: Offer) -> str:
        """The command that measures what an offer is not sure of."""
        return self.measure(offer.study, offer.budget, Objective.THROUGHPUT)


def answered(storage: Storage, asked: CapacityQuestion, measure: Measure) -> CapacityAnswer:
    """What the studies in `storage` say.

    Raises:
        InputError: A study is not there, or the question cannot be asked of these studies.
    """
    read = [_read(storage, name, asked) for name in dict.fromkeys(asked.studies or (None,))]
    studies = [study for study, _ in read]
    costs = prices(asked.prices, [study.name for study in studies])
    tokens = {study.name: tokens_per_answer(storage, study) for study in studies}
    _check_requests(studies)
    offers = [
        [
            offer(
                capacities(study, budget, front),
                asked.wish,
                costs[study.name],
                tokens[study.name],
            )
            for study, front in read
        ]
        for budget in _budgets(asked, studies)
    ]
    return CapacityAnswer(wish=asked.wish, offers=offers, measure=measure)


def _read(
    storage: Storage, name: str | None, asked: CapacityQuestion
) -> tuple[StudyRecord, frozenset[int]]:
    """A study and the trials of its front, with the load points that will be asked for.

    For its own latency budget that is none: the trials say it all.
    """
    other = bool(asked.limits_ms) or asked.percentile is not None
    study = storage.study(name, brief=not other)
    return study, trials_of_front(storage, study)


def _budgets(asked: CapacityQuestion, studies: Sequence[StudyRecord]) -> list[LatencyBudget]:
    """Those that were asked for, or the one of all studies."""
    said = asked.percentile
    percentile = None if said is None else checked_percentile(said)
    limits_s = list(dict.fromkeys(map(limit_s, asked.limits_ms)))
    budgets = dict.fromkeys(
        replace(study.budget.at(each_s), percentile=percentile or study.budget.percentile)
        for study in studies
        for each_s in limits_s or [study.budget.limit_s]
    )
    if len(budgets) > max(1, len(limits_s)):
        own = dict.fromkeys(str(study.budget) for study in studies)
        raise InputError(
            f"the studies have different latency budgets: {', '.join(own)}",
            hint="`--budget-ms 50 --percentile 99` asks all of them for the same",
        )
    return list(budgets)


def _check_requests(studies: Sequence[StudyRecord]) -> None:
    """Refuse studies to which one demand in requests would not mean the same."""
    carried = {study.name: inferences_per_request(study) for study in studies}
    if len(set(carried.values())) > 1:
        said = ", ".join(f"{count} in `{name}`" for name, count in carried.items())
        raise InputError(
            f"the studies' requests carry different numbers of inferences: {said}",
            hint="ask about one study at a time",
        )
