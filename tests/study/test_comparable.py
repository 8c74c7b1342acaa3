"""What has changed since a study, and what of that rules out comparing."""

from dataclasses import replace
from typing import Any

import pytest

from tests import spaces
from tests.report import fleets, studies
from tuner.records import StudyRecord
from tuner.space.space import Configuration
from tuner.study.comparable import differences

THEN = studies.study(
    space=spaces.space(spaces.integer("n", low=1, high=4, default=1)),
    place={"runner": "docker", "memory": "4g"},
)
WINNER = Configuration.of({"n": 3})
OTHER_MACHINE = {**THEN.hardware, "fingerprint": "0", "cores": 4, "kernel": "7.0"}


def named(now: StudyRecord) -> dict[str, bool]:
    return {each.name: each.rules_out for each in differences(THEN, now, WINNER)}


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({}, {}),
        ({"hardware": OTHER_MACHINE}, {"cores": True, "kernel": False}),
        ({"hardware": {**THEN.hardware, "kernel": "7.0"}}, {"kernel": False}),
        ({"hardware": {**THEN.hardware, "numactl": True}}, {"numactl": False}),
        ({"hardware": {**THEN.hardware, "gpus": 1}}, {"gpus": True}),
        ({"hardware": {**THEN.hardware, "gpus": 0}}, {}),
        ({"request": {"batch": 2, "zero": False}}, {"batch": True}),
        ({"place": {"runner": "docker", "memory": "2g"}}, {"memory": True}),
        ({"place": {"runner": "process"}}, {"runner": True, "memory": True}),
        ({"model": "decoder"}, {"model": True}),
        ({"model": "decoder", "options": {"model_file": "decoder.onnx"}}, {"model": False}),
        ({"environment": {**THEN.environment, "triton": "3.0"}}, {"triton": False}),
        ({"model_fingerprint": "other"}, {"model's files": False}),
        ({"space_fingerprint": "other"}, {"search space": False}),
        (
            {"space": spaces.space(spaces.integer("n", low=1, high=2, default=1))},
            {"best configuration": True},
        ),
        (
            {"space": spaces.space(spaces.integer("m", low=1, high=4, default=1))},
            {"best configuration": True},
        ),
    ],
)
def test_differences(changed: dict[str, Any], found: dict[str, bool]) -> None:
    """Another machine, request or place rules it out; another server is what is checked."""
    assert named(replace(THEN, **changed)) == found


def test_a_server_at_another_address() -> None:
    """Where a remote server is may be said anew, so it is told and rules nothing out."""
    there, elsewhere = ({"runner": "remote", "host": each, "port": 8000} for each in "ab")
    then, now = (replace(THEN, place=each) for each in (there, elsewhere))

    [found] = differences(then, now, WINNER)

    assert (str(found), found.rules_out) == ("host: a then, b now", False)


@pytest.mark.parametrize(("hostname", "ruled_out"), [("ada", []), ("bob", ["hostname"])])
def test_of_a_fleet_the_host_of_the_baseline_can_be_checked(
    hostname: str, ruled_out: list[str]
) -> None:
    """Capacities are as on that host: what another one carries differs by its factor."""
    of_fleet = {**THEN.hardware, "hostname": "a fleet", "fingerprint": "of a group"}
    then = replace(THEN, hardware=of_fleet, trials=fleets.night().trials)
    machine = {"hostname": hostname, "memory_bytes": (8 << 30) + 12_345, "fingerprint": "own"}

    found = differences(then, replace(THEN, hardware={**THEN.hardware, **machine}), WINNER)

    assert [each.name for each in found if each.rules_out] == ruled_out


def test_in_words() -> None:
    """A difference says what was and what is."""
    now = replace(THEN, environment={"tuner": "0.1.0", "python": "3.12", "new": "1"})

    assert [str(each) for each in differences(THEN, now, WINNER)] == [
        "new: nothing then, 1 now",
        "python: 3.11.7 then, 3.12 now",
        "triton: 2.60.0 then, nothing now",
    ]
