"""The door to Optuna: which configuration to try next.

Optuna's sampler takes dozens of trials to learn where good configurations are, and a study on a
server has no more than that. So every other proposal is our own: what a small model promises most
of or, before it knows enough, a small step away from the best configuration. The others are the
sampler's, which may be anywhere. How many of each is chosen by a replay (benchmarks/README.md).

The sampler works in memory, where it costs milliseconds to propose what is known already. The
database gets what is tried: each commit costs it a few hundredths of a second.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import count, islice
from typing import TypeVar

import optuna
from optuna.study import StudyDirection
from optuna.trial import FixedTrial, FrozenTrial, Trial, TrialState, create_trial

from tuner.errors import InputError, StorageError
from tuner.goals import LatencyBudget, Objective
from tuner.records import NOT_ITS_FAULT, TrialRecord
from tuner.search.candidates import POOL, Candidates, Predicate
from tuner.search.experience import CRASHED, Experience
from tuner.search.promise import Prospects
from tuner.search.samplers import Sampler, build, distribution, encoded, suggested
from tuner.space.expressions import Value
from tuner.space.space import COUNT_LIMIT, Configuration, SearchSpace
from tuner.store.database import Guard, engine_options, guard_commits
from tuner.store.faults import display_name, passing, translated
from tuner.store.waiting import Patience

# The sampler is not asked again after this many proposals in a row that are known or break a rule.
_ATTEMPTS = 4
# A sampler that proposes what surely crashes is told so, but not more often than this in a row:
# what is sure may be wrong.
_VETOES = 2
# A restart takes about a quarter of a trial: what needs one has to promise that much more.
_AFTER_RESTART = 0.8

_T = TypeVar("_T")
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
        self._tables: _Tables | None = None
        if storage_url is not None:
            self._tables = _Tables(storage_url, study_name, directions, patience, guard)

    def resume(self, records: Mapping[int, TrialRecord]) -> None:
        """Go on from `records` (by proposal): add what was never told, propose the lost first."""
        outcomes = {number: self._learn(record) for number, record in records.items()}
        self._candidates.seen.update(record.configuration for record in records.values())
        lost = []
        for trial in self._tables.close_all() if self._tables else ():
            if trial.number not in outcomes:
                lost.append(self._read(trial))
            elif (outcome := outcomes[trial.number]) is not None and self._tables:
                self._tables.add(outcome)
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
                return Proposal(self._open(configuration), configuration)
        return None

    def tell(self, number: int, record: TrialRecord) -> None:
        """What came of proposal `number`.

        Crashes are told as COMPLETE with the worst value and a violated constraint, because a
        trial that FAILs is invisible to the sampler, which would propose its like again.
        """
        outcome = self._learn(record)
        if self._tables:
            self._tables.close(number, outcome)

    def close(self) -> None:
        """Let go of the database, which is put in order when nobody has it open any more."""
        if self._tables:
            self._tables.let_go()

    def promise(self) -> float:
        """The expected improvement of the best candidate left, as a fraction of the best capacity.

        Infinite while too little is known, and with several objectives.
        """
        return self._experience.promise(self._prospects, self._candidates.seen)

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
        )

    def _open(self, configuration: Configuration) -> int:
        if self._tables is None:
            return next(self._numbers)
        params = encoded(self._space, configuration)
        distributions = {name: self._distributions[name] for name in params}
        return self._tables.open(
            create_trial(state=TrialState.RUNNING, params=params, distributions=distributions)
        )

    def _queued(self, reloads: Predicate) -> Configuration | None:
        """The baseline before anything else; hints before the grid."""
        for queue in (self._queue, self._grid):
            new = (c for c in queue if c not in self._candidates.seen)
            if waiting := list(islice(new, POOL)):
                if self._space.defaults in waiting:
                    return self._space.defaults
                return next(filter(reloads, waiting), waiting[0])
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


class _Tables:
    """Optuna's tables in a database: what was proposed, and what came of it."""

    def __init__(
        self,
        url: str,
        study_name: str,
        directions: Sequence[StudyDirection],
        patience: Patience,
        guard: Guard | None,
    ) -> None:
        self._url = url
        self._patience = patience
        self._opened: dict[int, Trial] = {}
        with self._translated():
            self._storage = patience.attempt(
                lambda: optuna.storages.RDBStorage(url, engine_options(url, patience)),
                self._being_made,
            )
            if guard is not None:
                guard_commits(self._storage.engine, guard)
            self._study = optuna.create_study(
                storage=self._storage,
                study_name=study_name,
                directions=directions,
                load_if_exists=True,
            )
            self._id = self._storage.get_study_id_from_name(study_name)

    def open(self, trial: FrozenTrial) -> int:
        """Write down a trial that runs, in one commit; its number."""
        key = self._kept(lambda: self._storage.create_new_trial(self._id, trial))
        opened = self._kept(lambda: Trial(self._study, key))
        self._opened[opened.number] = opened
        return opened.number

    def close(self, number: int, outcome: FrozenTrial | None) -> None:
        """Write down what came of trial `number`; it failed if that is None."""
        trial = self._opened.pop(number)
        if outcome is None:
            self._kept(partial(self._study.tell, trial, state=TrialState.FAIL))
            return
        for name, value in outcome.constraints.items():
            self._kept(partial(trial.set_constraint, name, value))
        self._kept(partial(self._study.tell, trial, outcome.values))

    def add(self, outcome: FrozenTrial) -> None:
        """Write down a trial that ended without its answer: under a new number, it is closed."""
        self._kept(partial(self._study.add_trial, outcome))

    def close_all(self) -> Sequence[FrozenTrial]:
        """Close, as failed, what a search that was killed left open or waiting."""
        with self._translated():
            for _ in self._study.get_trials(states=(TrialState.WAITING,)):
                self._study.ask()
            running = self._study.get_trials(states=(TrialState.RUNNING,))
            for trial in running:
                self._study.tell(trial.number, state=TrialState.FAIL)
        return running

    def _being_made(self, error: Exception) -> Callable[[], StorageError] | None:
        """Two searches that begin at once may both find no tables, and make them."""
        if not any(sign in str(error) for sign in ("already exists", "alembic_version")):
            return None
        return lambda: StorageError(
            f"{display_name(self._url)}: another process makes the tables of the search",
            hint="give the command again",
        )

    def let_go(self) -> None:
        self._storage.remove_session()
        self._storage.engine.dispose()

    def _kept(self, action: Callable[[], _T]) -> _T:
        """What `action` returns, once there is room on the disk, and a server of the database."""

        def passes(error: Exception) -> Callable[[], StorageError] | None:
            wrapped = isinstance(error, optuna.exceptions.StorageInternalError)
            cause = error.__cause__ if wrapped else None
            return passing(self._url, cause if isinstance(cause, Exception) else error)

        with self._translated():
            return self._patience.attempt(action, passes)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Faults of the database, also those that Optuna has wrapped, are StorageErrors."""
        with translated(self._url):
            try:
                yield
            except optuna.exceptions.StorageInternalError as error:
                raise error.__cause__ or error from None


def _nothing(_: Configuration) -> bool:
    return False
