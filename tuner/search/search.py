"""The door to Optuna: which configuration to try next.

Optuna's sampler takes dozens of trials to learn where good configurations are, and a study on a
server has no more than that. So every other proposal is our own: what a small model promises most
of or, before it knows enough, a small step away from the best configuration. The others are the
sampler's, which may be anywhere. How many of each is chosen by a replay (benchmarks/README.md).

The sampler works in memory, where it costs milliseconds to propose what is known already. The
database gets what is tried: each commit costs it a few hundredths of a second.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count, islice

import optuna
from optuna.study import StudyDirection
from optuna.trial import FixedTrial, FrozenTrial, TrialState, create_trial

from tuner.errors import InputError
from tuner.goals import LatencyBudget, Objective
from tuner.records import NOT_ITS_FAULT, TrialRecord
from tuner.search.candidates import POOL, Candidates, Predicate
from tuner.search.experience import CRASHED, Experience
from tuner.search.promise import Prospects
from tuner.search.samplers import Sampler, build, distribution, encoded, suggested
from tuner.search.tables import Tables
from tuner.space.expressions import Value
from tuner.space.space import COUNT_LIMIT, Configuration, SearchSpace
from tuner.store.database import Guard
from tuner.store.waiting import Patience

# The sampler is not asked again after this many proposals in a row that are known or break a rule.
_ATTEMPTS = 4
# A sampler that proposes what surely crashes is told so, but not more often than this in a row:
# what is sure may be wrong.
_VETOES = 2
# A restart takes about a quarter of a trial: what needs one has to promise that much more.
_AFTER_RESTART = 0.8

CanReload = Callable[[Configuration, Configuration], bool]


@dataclass(frozen=True)
class Proposal:
    """A configuration to try; `number` is Optuna's number of the trial that waits for it."""

    number: int
    configuration: Configuration


class Search:
    """Proposes configurations that keep the space's rules, each of them once.

    What was told lives in Optuna's tables at `storage_url` (nowhere if that is None): a Search
    made again with the same name goes on where the last one ended, once it was given what the
    study has recorded (`resume`). With `patience` it waits for others that hold the database; a
    `guard` looks at each transaction before it is committed. Of
    `local_steps` + 1 proposals, one is that of a sampler that learns; one that does not is asked
    each time. Without `model`, all others are small steps.

    Several may be asked for before any is told: none of them comes twice. Model and sampler hear
    nothing of those that run: no guess of what will come of them made searches shorter beyond
    chance, and some made them longer (benchmarks/README.md, "What does it cost to try several at
    once?").

    Raises:
        InputError: The space is too large for the sampler.
    """

    def __init__(  # noqa: PLR0913 - the facts of a study
        self,
        space: SearchSpace,
        budget: LatencyBudget,
        *,
        storage_url: str | None,
        study_name: str,
        seed: int,
        sampler: Sampler = Sampler.TPE,
        objectives: Sequence[Objective] = (Objective.THROUGHPUT,),
        local_steps: int = 1,
        model: bool = True,
        patience: Patience = Patience(),  # noqa: B008 - a frozen value
        guard: Guard | None = None,
    ) -> None:
        self._space = space
        self._sampler = sampler
        self._distributions = {p.name: distribution(p) for p in space.parameters}
        self._local_steps = local_steps if sampler.learns else 0
        self._model = model
        self._random = random.Random(seed)  # noqa: S311 - a search, not a secret
        self._candidates = Candidates(space, seed)
        self._experience = Experience(space, budget, objectives)
        self._queue: list[Configuration] = []
        self._grid: list[Configuration] = []
        self._steps = 0
        if sampler is Sampler.EXHAUSTIVE:
            self.exhaust()
        directions = [
            StudyDirection.MAXIMIZE if each.maximize else StudyDirection.MINIMIZE
            for each in objectives
        ]
        self._study = optuna.create_study(sampler=build(sampler, seed), directions=directions)
        self._numbers = count()
        self._running: dict[int, Configuration] = {}
        self._tables: Tables | None = None
        if storage_url is not None:
            self._tables = Tables(storage_url, study_name, directions, patience, guard)

    def resume(self, records: Mapping[int, TrialRecord]) -> None:
        """Go on from `records` (by proposal): add what was never told, propose the lost first."""
        outcomes = {number: self._learn(record) for number, record in records.items()}
        self._candidates.seen.update(record.configuration for record in records.values())
        lost = []
        for trial in self._tables.close_all() if self._tables else ():
            if trial.number not in outcomes:
                lost.append(self._read(trial))
            elif (outcome := outcomes[trial.number]) is not None and self._tables:
                self._tables.add(outcome, _shown(records[trial.number].configuration))
        self._queue[:0] = [configuration for configuration in lost if configuration is not None]

    def enqueue(self, configuration: Configuration, *, first: bool = False) -> None:
        """Propose `configuration` before anything else, after those enqueued earlier, or `first`.

        The server's own defaults are what they are, even where they break a rule.
        """
        if configuration == self._space.defaults or not self._space.violations(configuration):
            self._queue.insert(0 if first else len(self._queue), configuration)

    def exhaust(self) -> None:
        """Propose every configuration, in random order, once nothing is enqueued any more.

        Raises:
            InputError: They cannot be counted, or are too many.
        """
        if self._space.size is None:
            raise InputError(
                "an exhaustive search needs a space that can be counted, of at most "
                f"{COUNT_LIMIT} combinations",
                hint="give real parameters a `step`, vary fewer parameters, or choose another "
                "`--sampler`",
            )
        self._grid = list(self._space.grid())
        self._random.shuffle(self._grid)

    def ask(
        self, current: Configuration | None = None, can_reload: CanReload | None = None
    ) -> Proposal | None:
        """The next configuration; None once the whole space has been tried.

        Where one is as good as another, it is one that the server with `current` takes by a
        reload, as `can_reload` (before, after) says.
        """

        def reloads(configuration: Configuration) -> bool:
            if current is None or can_reload is None:
                return False
            return can_reload(current, configuration)

        for source in (self._queued, self._promising, self._sampled, self._fresh):
            configuration = source(reloads)
            if configuration is not None:
                self._candidates.seen.add(configuration)
                number = self._open(configuration)
                self._running[number] = configuration
                return Proposal(number, configuration)
        return None

    def tell(self, number: int, record: TrialRecord) -> None:
        """What came of proposal `number`.

        Crashes are told as COMPLETE with the worst value and a violated constraint, because a
        trial that FAILs is invisible to the sampler, which would propose its like again.
        """
        self._running.pop(number, None)
        outcome = self._learn(record)
        if self._tables:
            self._tables.close(number, outcome)

    def close(self) -> None:
        """Let go of the database, which is put in order when nobody has it open any more."""
        if self._tables:
            self._tables.let_go()

    def promise(self) -> float:
        """The expected improvement of the best candidate left, as a fraction of the best capacity.

        Those that run are left, too: nobody knows yet what comes of them. Infinite while too
        little is known, and with several objectives.
        """
        running = tuple(self._running.values())
        tried = self._candidates.seen.difference(running)
        return self._experience.promise(self._prospects, tried, running)

    @cached_property
    def _prospects(self) -> Prospects:
        return Prospects(self._space, self._candidates.sample())

    def _learn(self, record: TrialRecord) -> FrozenTrial | None:
        """Tell the sampler; the trial as Optuna knows it, or None if it says nothing."""
        self._experience.learn(record)
        if record.reason in NOT_ITS_FAULT:
            return None
        params = encoded(self._space, record.configuration)
        outcome = self._finished(params, record)
        self._study.add_trial(outcome)
        return outcome

    def _finished(self, params: Mapping[str, Value], record: TrialRecord | None) -> FrozenTrial:
        """What came of `params`; a crash if there is no record."""
        told = self._experience
        return create_trial(
            params=dict(params),
            distributions={name: self._distributions[name] for name in params},
            values=told.values([record])[0] if record else told.worst,
            constraints=told.constraints(record) if record else CRASHED,
            user_attrs=_ended(record) if record else {},
        )

    def _open(self, configuration: Configuration) -> int:
        if self._tables is None:
            return next(self._numbers)
        params = encoded(self._space, configuration)
        distributions = {name: self._distributions[name] for name in params}
        return self._tables.open(
            create_trial(
                state=TrialState.RUNNING,
                params=params,
                distributions=distributions,
                user_attrs=_shown(configuration),
            )
        )

    def _queued(self, reloads: Predicate) -> Configuration | None:
        """The baseline before anything else; hints before the grid."""
        for queue in (self._queue, self._grid):
            new = (c for c in queue if c not in self._candidates.seen)
            if waiting := list(islice(new, POOL)):
                found = next(filter(reloads, waiting), waiting[0])
                found = self._space.defaults if self._space.defaults in waiting else found
                queue.remove(found)
                return found
        return None

    def _promising(self, reloads: Predicate) -> Configuration | None:
        """What promises most or, before that is known, a small step; if it is our turn."""
        if self._steps == self._local_steps:
            self._steps = 0
            return None
        self._steps += 1
        told = self._experience
        near = self._candidates.near(told.best(), told.crashes)
        gains = told.expected(self._prospects, self._candidates.seen, near) if self._model else {}
        if gains:
            return max(gains, key=lambda c: gains[c] * (1.0 if reloads(c) else _AFTER_RESTART))
        return self._one_of(near, reloads)

    def _sampled(self, _: Predicate) -> Configuration | None:
        """What the sampler proposes; what is known already is answered from the table."""
        vetoes = _VETOES if self._sampler.learns else 0
        for _attempt in range(_ATTEMPTS):
            trial = self._study.ask()
            configuration = suggested(self._space, trial)
            # Closed at once: what comes of it is added when it is known.
            self._study.tell(trial, state=TrialState.FAIL)
            known = self._experience.of(configuration)
            if self._candidates.is_new(configuration):
                if not vetoes or not self._experience.surely_crashes(configuration):
                    return configuration
                vetoes -= 1
                self._study.add_trial(self._finished(trial.params, None))
            elif known is not None and known.reason not in NOT_ITS_FAULT:
                self._study.add_trial(self._finished(trial.params, known))
        return None

    def _fresh(self, reloads: Predicate) -> Configuration | None:
        """Anything that has not been proposed yet, preferably not where trials crashed."""
        if not self._sampler.learns:
            return self._one_of(self._candidates.anywhere(_nothing), reloads)
        told = self._experience
        for avoid in (told.crashes, _nothing) if told.regions else (_nothing,):
            near = self._candidates.near(told.best(), avoid)
            found = self._one_of(near or self._candidates.anywhere(avoid), reloads)
            if found is not None:
                return found
        return None

    def _one_of(self, equals: Sequence[Configuration], reloads: Predicate) -> Configuration | None:
        if not equals:
            return None
        return self._random.choice(list(filter(reloads, equals)) or equals)

    def _read(self, trial: FrozenTrial) -> Configuration | None:
        """The configuration of a trial; None if it ended before it had one."""
        try:
            return suggested(self._space, FixedTrial(trial.params))
        except ValueError:
            return None


def _shown(configuration: Configuration) -> dict[str, Value]:
    """The values of parameters, of which Optuna has only places in their domains."""
    return dict(configuration)


def _ended(record: TrialRecord) -> dict[str, str]:
    reason = f": {record.reason.value}" if record.reason else ""
    return {"state": f"{record.state.value}{reason}"}


def _nothing(_: Configuration) -> bool:
    return False
