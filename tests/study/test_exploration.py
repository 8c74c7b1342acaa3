"""What the search of a study that goes on is told of the trials before."""

from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from tests import spaces
from tests.report import fleets
from tuner.goals import SearchBudget
from tuner.records import Purpose
from tuner.search.search import Search
from tuner.store.storage import Storage
from tuner.study.exploration import exploration
from tuner.study.study_plan import StudyPlan

SPACE = spaces.space(spaces.integer("n", low=1, high=9, default=1))


def test_throughputs_of_a_fleet_are_those_of_its_first_host(tmp_path: Path) -> None:
    """With the factor of each host taken off: the sampler knows of no hosts."""
    study = replace(fleets.night(), sampler="random")
    with (
        mock.patch("tuner.study.exploration.Search", autospec=Search) as search,
        Storage(str(tmp_path / "studies.db"), create=True) as storage,
        exploration(study, StudyPlan(space=SPACE, budget=SearchBudget()), storage),
    ):
        [told] = search.return_value.resume.call_args.args

    searched = [t for t in study.trials if t.purpose is Purpose.SEARCH]
    assert {trial.host for trial in searched} == set(fleets.SPEEDS)
    for trial in searched:
        speed = fleets.SPEEDS[trial.host]
        assert told[trial.number].throughput == pytest.approx(trial.throughput / speed, rel=0.03)
