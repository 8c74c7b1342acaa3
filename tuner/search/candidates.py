"""What has not been proposed yet: near a good configuration, or anywhere in the space."""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice

from tuner.search.steps import drawn, steps
from tuner.space.space import Configuration, SearchSpace

# Spaces of up to this many combinations are written out;
_WRITTEN_OUT = 20_000
# in others, this many configurations are drawn.
_DRAWS = 10_000
# Of those that are equally good, this many are looked at.
POOL = 64
# This many are a fair sample of a space.
_SAMPLE = 2000

Predicate = Callable[[Configuration], bool]


class Candidates:
    """The configurations of `space` but for those that were `seen`."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._space = space
        self._seed = seed
        self._random = random.Random(seed)  # noqa: S311 - a search, not a secret
        self._countable = all(p.choices is not None for p in space.parameters)
        self._around: dict[Configuration, Sequence[Configuration]] = {}
        self.seen: set[Configuration] = set()

    def is_new(self, configuration: Configuration) -> bool:
        return configuration not in self.seen and not self._space.violations(configuration)

    def near(self, bases: Iterable[Configuration], avoid: Predicate) -> Sequence[Configuration]:
        """All within one step of the first of `bases` that has any; empty if none has."""
        for base in bases:
            if found := [c for c in self._steps_from(base) if not avoid(c)]:
                return found
        return ()

    def anywhere(self, avoid: Predicate) -> Sequence[Configuration]:
        """A few at random; empty if there is none."""
        new = filter(self.is_new, self._drafts())
        return list(islice((c for c in new if not avoid(c)), POOL))

    def sample(self) -> Sequence[Configuration]:
        """The whole space, or what stands for it if it is large; `seen` or not."""
        if self._every is not None:
            return self._every[:_SAMPLE]
        chance = random.Random(self._seed)  # noqa: S311 - its own: asking changes no proposal
        drafts = (drawn(self._space, chance) for _ in range(_DRAWS))
        valid = dict.fromkeys(c for c in drafts if not self._space.violations(c))
        return list(valid)[:_SAMPLE]

    def _steps_from(self, base: Configuration) -> Sequence[Configuration]:
        """What is one step from `base`; remembered where steps are the same each time."""
        near = self._around.get(base)
        if near is None:
            near = steps(self._space, base, self._random)
        new = [c for c in near if c not in self.seen]
        if self._countable:
            self._around[base] = new
        return new

    def _drafts(self) -> Iterator[Configuration]:
        """Candidates in random order, and others: all of them, if that is possible."""
        if self._every is not None:
            yield from self._every
            return
        for _ in range(_DRAWS):
            yield drawn(self._space, self._random)
        if self._space.size is not None:
            yield from self._space.grid()

    @cached_property
    def _every(self) -> Sequence[Configuration] | None:
        """All valid configurations in random order; None where they are not written out."""
        if not self._countable or self._space.combinations > _WRITTEN_OUT:
            return None
        every = list(self._space.grid())
        random.Random(self._seed).shuffle(every)  # noqa: S311 - an order, not a secret
        return every
