"""The best of earlier studies, which a study is to begin with."""

from collections.abc import Callable, Sequence

from tuner.analysis import answers
from tuner.goals import LatencyBudget
from tuner.search import warm_start
from tuner.space.space import Configuration, SearchSpace
from tuner.store.storage import Storage


def earlier_best(
    storage: Storage,
    names: Sequence[str],
    budget: LatencyBudget,
    space: SearchSpace,
    say: Callable[[str], None],
) -> tuple[Configuration, ...]:
    """The best configurations of the studies with these names, for the present budget and space.

    Raises:
        InputError: There is no such study.
    """
    found: dict[Configuration, None] = {}
    for name in names:
        earlier = storage.study(name)
        ranked: Sequence[Configuration] = warm_start.ranked(earlier)
        if earlier.budget != budget and earlier.budget.is_alike(budget):
            known = answers.answer(earlier, budget).ranked
            ranked = [estimate.trial.configuration for estimate in known]
        begin = warm_start.configurations(ranked, space)
        say(begin.sentence(name))
        found |= dict.fromkeys(begin.configurations)
    return tuple(found)
