"""Optuna's tables in a database: what was proposed, and what came of it.

Other tools that know Optuna read them; the search itself learns from what is in memory.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from functools import partial
from typing import TypeVar

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from tuner.errors import StorageError
from tuner.space.expressions import Value
from tuner.store.database import Guard, engine_options, guard_commits
from tuner.store.faults import display_name, passing, translated
from tuner.store.waiting import Patience

# Where versions of Optuna before 5 keep the constraints of a trial: a list without names, by which
# the dashboard (0.21) tells what is feasible. Optuna itself has them by numbers then, as well.
_CONSTRAINTS = "constraints"

_T = TypeVar("_T")


class Tables:
    """The trials of one study, as Optuna keeps them."""

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
        self._opened: dict[int, tuple[int, Trial]] = {}
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
        self._opened[opened.number] = key, opened
        return opened.number

    def close(self, number: int, outcome: FrozenTrial | None) -> None:
        """Write down what came of trial `number`; it failed if that is None."""
        key, trial = self._opened.pop(number)
        if outcome is None:
            self._kept(partial(self._study.tell, trial, state=TrialState.FAIL))
            return
        for name, value in outcome.constraints.items():
            self._kept(partial(trial.set_constraint, name, value))
        signs = list(outcome.constraints.values())
        self._kept(partial(self._storage.set_trial_system_attr, key, _CONSTRAINTS, signs))
        for name, value in outcome.user_attrs.items():
            self._kept(partial(trial.set_user_attr, name, value))
        self._kept(partial(self._study.tell, trial, outcome.values))

    def add(self, outcome: FrozenTrial, shown: Mapping[str, Value]) -> None:
        """Write down a trial that ended without its answer: under a new number, it is closed.

        `shown` are the user attributes that it was opened with.
        """
        whole = copy(outcome)
        whole.user_attrs = {**shown, **outcome.user_attrs}
        signs = list(outcome.constraints.values())
        whole.system_attrs = {**outcome.system_attrs, _CONSTRAINTS: signs}
        self._kept(partial(self._study.add_trial, whole))

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
