"""Ten random faults strike a real study, one after the other: nothing is lost, nothing left."""

import os
import random

import pytest

from benchmarks import chaos
from benchmarks.chaos_faults import FAULTS

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="fills a disk, and cuts a network")


def test_a_study_survives() -> None:
    """Whatever strikes it, its load points stay, what ended leaves nothing, and it goes on."""
    chance = random.Random(3)
    with chaos.subject() as study:
        study.begin()
        chaos.wait_until(lambda: study.trials() > 0, "the baseline")
        outcomes = [
            chaos.struck(study, 0, fault, chance.uniform(0.5, 2.5))
            for fault in chance.sample(list(FAULTS), 10)
        ]
    assert {each.fault: each.wrong for each in outcomes if each.wrong} == {}
    assert any(each.ended for each in outcomes)
    assert outcomes[-1].points_after > outcomes[0].points_before
