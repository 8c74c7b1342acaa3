"""Ten random faults strike a real study, one after the other: nothing is lost, nothing left."""

import os
import random

import pytest

from benchmarks import chaos
from benchmarks.chaos_faults import FAULTS
from benchmarks.known_devices import Device

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="fills a disk, and cuts a network")

# Of few requests and a wide limit: it can be measured while other tests run.
SLOW = Device(fixed_s=0.012, each_s=0.0015, rows=8, slots=2, limit_s=0.09)


def test_a_study_survives() -> None:
    """Whatever strikes it, its load points stay, what ended leaves nothing, and it goes on."""
    chance = random.Random(3)
    with chaos.subject(device=SLOW, timeout="15m") as study:
        study.begin()
        chaos.wait_until(lambda: study.trials() > 0, "the baseline")
        outcomes = [
            chaos.struck(study, 0, fault, chance.uniform(0.5, 2.5))
            for fault in chance.sample(list(FAULTS), 10)
        ]
    assert {each.fault: each.wrong for each in outcomes if each.wrong} == {}
    assert any(each.ended for each in outcomes)
    assert outcomes[-1].points_after > outcomes[0].points_before
