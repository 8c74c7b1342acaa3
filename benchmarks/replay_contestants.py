"""Who searches: our samplers, random orders, and Model Analyzer's quick search."""

import random
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from benchmarks.landscapes.table import Table
from benchmarks.replayed_quick import replayed_quick
from benchmarks.replayed_trials import Moment, Proposer, replayed
from tuner.errors import InputError
from tuner.records import TrialRecord
from tuner.search.samplers import Sampler
from tuner.search.search import Proposal, Search
from tuner.space.space import Configuration

RANDOM = "random-order"
HINTS = "hints-then-random"
QUICK = "model-analyzer-quick"
# `tpe` is what a study does by default; `tpe/5` makes five small steps between two proposals of
# the sampler, `tpe/0` none.
CONTESTANTS = ("tpe", "tpe/0", "tpe/3", "tpe/5", "random", RANDOM, HINTS, QUICK)


class RandomOrder:
    """All configurations in random order, each of them once, after those that come `first`."""

    def __init__(
        self,
        configurations: Iterable[Configuration],
        seed: int,
        first: Sequence[Configuration] = (),
    ) -> None:
        rest = [each for each in configurations if each not in first]
        random.Random(seed).shuffle(rest)  # noqa: S311 - an order, not a secret
        self._proposals = map(Proposal, range(len(first) + len(rest)), (*first, *rest))

    def ask(self) -> Proposal | None:
        return next(self._proposals, None)

    def tell(self, number: int, record: TrialRecord) -> None:
        """Nothing is learned."""


def check(name: str) -> None:
    """Refuse a contestant that there is not.

    Raises:
        InputError: It is unknown.
    """
    if name in (RANDOM, HINTS, QUICK):
        return
    sampler, slash, steps = name.partition("/")
    if sampler not in list(Sampler) or (slash and not steps.isdecimal()):
        raise InputError(
            f"there is no contestant `{name}`",
            hint=f"there are {', '.join(CONTESTANTS)}, and any sampler with any number of steps",
        )


def search(name: str, table: Table, seed: int) -> Iterator[Moment]:
    """One search of the contestant `name` on `table`."""
    if name == QUICK:
        return replayed_quick(table, seed)
    return replayed(table, proposer(name, table, seed), seed)


def proposer(name: str, table: Table, seed: int) -> Proposer:
    """As a study begins: with the server's defaults, then the hints that keep the rules."""
    space = table.space
    first = list(dict.fromkeys([space.defaults, *map(space.activate, space.hints)]))
    if name == RANDOM:
        return RandomOrder(table.rows, seed)
    if name == HINTS:
        return RandomOrder(table.rows, seed, [each for each in first if each in table.rows])
    sampler, _, steps = name.partition("/")
    make = partial(Search, local_steps=int(steps)) if steps else Search
    study = make(
        space,
        table.budget,
        storage_url=None,
        study_name=name,
        seed=seed,
        sampler=Sampler(sampler),
    )
    for configuration in first:
        study.enqueue(configuration)
    return study
