"""Several latency budgets at once: the best for each, and the one configuration for all."""

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.analysis.answers import Answer, answer
from tuner.analysis.interpolation import CurveEstimate, EstimateKind
from tuner.analysis.nearest import Nearest, nearest_load
from tuner.goals import LatencyBudget
from tuner.records import StudyRecord
from tuner.space.space import Configuration


@dataclass(frozen=True, kw_only=True)
class Tier:
    """What is known of one latency budget.

    `shared` is what the configuration that serves all tiers carries here. Where nothing meets the
    budget, `nearest` is what comes closest; it is None otherwise.
    """

    answer: Answer
    shared: CurveEstimate | None
    nearest: Nearest | None

    @property
    def budget(self) -> LatencyBudget:
        return self.answer.budget

    @property
    def best(self) -> CurveEstimate | None:
        """What carries the most within this budget, whatever it does in other tiers."""
        return self.answer.best

    @property
    def share(self) -> float:
        """What `shared` carries, as a share of what `best` does; 0 where either is missing."""
        return _share(self.shared, self.best)


@dataclass(frozen=True)
class Tiers:
    """All tiers, in the order that they were asked for."""

    each: tuple[Tier, ...]

    @property
    def met(self) -> tuple[Tier, ...]:
        """Those that some configuration meets."""
        return tuple(tier for tier in self.each if tier.best)

    @property
    def shared(self) -> CurveEstimate | None:
        """The configuration that serves all tiers, in the first one that it meets."""
        return next((tier.shared for tier in self.each if tier.shared), None)

    @property
    def least_share(self) -> float:
        """What it carries at least of the best of each tier that can be met."""
        return min((tier.share for tier in self.met), default=0.0)


def tiers(study: StudyRecord, budgets: Sequence[LatencyBudget]) -> Tiers:
    """Answer each of `budgets`, and find the configuration that serves all of them best.

    That is the one whose least share is the highest: of the shares, one for each tier that can be
    met, of what the best one there carries. Of equals the next least share decides, and so on;
    then the number of the trial. A tier that nothing meets has no say.

    Args:
        study: With its load points.
        budgets: Any percentiles and limits.
    """
    found = [answer(study, budget) for budget in budgets]
    carrying = [_by_configuration(each) for each in found]
    chosen = _fairest([each for each in found if each.best])
    return Tiers(
        tuple(
            Tier(
                answer=each,
                shared=known.get(chosen) if chosen is not None else None,
                nearest=None if each.best else nearest_load(study, each.budget),
            )
            for each, known in zip(found, carrying, strict=True)
        )
    )


def _fairest(met: Sequence[Answer]) -> Configuration | None:
    """The highest of the sorted shares, compared one by one (leximin); None without a tier."""
    carrying = [_by_configuration(each) for each in met]
    numbers = {
        configuration: estimate.trial.number
        for known in carrying
        for configuration, estimate in known.items()
    }

    def rank(configuration: Configuration) -> tuple[list[float], int]:
        shares = [
            _share(known.get(configuration), each.best)
            for known, each in zip(carrying, met, strict=True)
        ]
        return sorted(shares), -numbers[configuration]

    return max(numbers, key=rank, default=None)


def _by_configuration(found: Answer) -> dict[Configuration, CurveEstimate]:
    """What each that meets the budget carries."""
    return {
        each.trial.configuration: each
        for each in found.ranked
        if each.kind is not EstimateKind.NONE
    }


def _share(own: CurveEstimate | None, best: CurveEstimate | None) -> float:
    return own.throughput / best.throughput if own and best else 0.0
