"""A host that cannot take part is told why, and what to do about it."""

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

import pytest

from tuner import hardware
from tuner.fleet.admission import Refusal, read_facts, refusal
from tuner.fleet.clocks import offset
from tuner.fleet.host_facts import HostFacts, Versions

OWN = Versions(python="3.11", tuner="1.2.0", code="0123456789", ray="2.60.0")
FACTS = HostFacts(OWN, hardware.detect(), free_bytes=1 << 40, servers=())
INSTALL = "install there what the driver has: `pip install 'serving-tuner[fleet]==1.2.0'`"
NOW = datetime(2026, 11, 30, tzinfo=UTC)


def printed(versions: Versions) -> tuple[int, str, str]:
    return 0, json.dumps(asdict(replace(FACTS, versions=versions))), ""


def test_a_host_with_the_drivers_versions_says_its_facts() -> None:
    """They come back as they were."""
    assert read_facts(printed(OWN), OWN) == FACTS


@pytest.mark.parametrize(
    ("said", "why", "cure"),
    [
        (
            (1, "", "python: No module named tuner.fleet\n"),
            "the tuner is not installed there",
            INSTALL,
        ),
        (
            (1, "", "Traceback ...\nImportError: no numpy\n"),
            "the tuner there does not say what it is: ImportError: no numpy",
            INSTALL,
        ),
        (
            (3, "", ""),
            "the tuner there does not say what it is: it ended with status 3",
            INSTALL,
        ),
        (
            printed(replace(OWN, tuner="1.1.0")),
            "it has tuner 1.1.0, and the driver 1.2.0",
            INSTALL,
        ),
        (
            printed(replace(OWN, python="3.12")),
            "it has Python 3.12, and the driver 3.11",
            "run Ray there with Python 3.11",
        ),
        (
            printed(replace(OWN, ray="2.59.1")),
            "it has Ray 2.59.1, and the driver 2.60.0",
            "install it there: `pip install 'ray[client]==2.60.0'`, and start Ray anew",
        ),
        (
            printed(replace(OWN, code="9876543210")),
            "it has another state of the tuner 1.2.0",
            "install the same files on both",
        ),
    ],
)
def test_another_installation(said: tuple[int, str, str], why: str, cure: str) -> None:
    """Whatever differs between a host and the driver is named."""
    assert read_facts(said, OWN) == Refusal(why, cure)


@pytest.mark.parametrize(
    ("offset_s", "free_mib", "why", "cure"),
    [
        (
            2.5,
            4096,
            "its clock is 2.5 s ahead of the driver's",
            "set it by NTP there: `timedatectl set-ntp true`, or `chronyc makestep`",
        ),
        (
            -90.0,
            4096,
            "its clock is 90.0 s behind the driver's",
            "set it by NTP there: `timedatectl set-ntp true`, or `chronyc makestep`",
        ),
        (
            0.0,
            2000,
            "it has 2000 MiB of disk left for temporary files, and 2148 MiB are needed",
            "make room there, or start Ray there with TMPDIR on a larger disk",
        ),
    ],
)
def test_a_machine_that_is_not_fit(offset_s: float, free_mib: int, why: str, cure: str) -> None:
    """A clock that is off, and a disk without room for a model of 1 GiB twice."""
    facts = replace(FACTS, free_bytes=free_mib << 20)

    assert refusal(facts, offset_s=offset_s, parcel_bytes=1 << 30) == Refusal(why, cure)


def test_a_machine_that_is_fit() -> None:
    """Clocks may differ by two seconds."""
    assert refusal(FACTS, offset_s=-2.0, parcel_bytes=1 << 30) is None


@pytest.mark.parametrize(
    ("ahead_s", "found_s"), [(0.0, 0.0), (1.0, 0.0), (-1.0, -1.0), (5.0, 4.0)]
)
def test_a_slow_answer_is_no_wrong_clock(ahead_s: float, found_s: float) -> None:
    """A clock may have been read at any moment until its answer came, a second later."""
    theirs = NOW + timedelta(seconds=ahead_s)

    assert offset(theirs.timestamp(), NOW, NOW + timedelta(seconds=1)) == found_s
