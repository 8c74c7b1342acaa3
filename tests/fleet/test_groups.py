"""Groups of hosts: which belong together, what they have in common, and how others differ."""

from dataclasses import replace

import pytest

from benchmarks.simulated_fleet import HARDWARE
from tests.refusals import refused
from tuner.fleet.admission import Refusal, of_other_group
from tuner.fleet.groups import chosen, difference, groups

LARGE = replace(
    HARDWARE, memory_bytes=(64 << 30) + 5, numa_nodes=2, processor="Xeon", hostname="a"
)
SMALL = replace(LARGE, cores=4, memory_bytes=8 << 30, gpus=0, processor="EPYC", hostname="s")
LIKE_IT = replace(LARGE, memory_bytes=(64 << 30) + 9, numactl=False, numa_nodes=1, hostname="b")


def test_hosts_of_one_hardware_make_a_group() -> None:
    """The largest comes first; a kernel or a name makes no difference."""
    found = groups({"s": SMALL, "b": LIKE_IT, "a": replace(LARGE, kernel="6.6")})

    assert [(each.kind, list(each.hosts)) for each in found] == [
        (LARGE.kind, ["a", "b"]),
        (SMALL.kind, ["s"]),
    ]


def test_a_group_has_what_each_of_its_hosts_has() -> None:
    """Its fingerprint is the same whichever of its hosts are there."""
    both = chosen({"a": LARGE, "b": LIKE_IT}, "").hardware
    alone = chosen({"b": LIKE_IT}, "").hardware

    assert (both.numactl, both.numa_nodes, both.kind) == (False, 1, LARGE.kind)
    assert both.fingerprint == alone.fingerprint
    assert both.fingerprint != LARGE.fingerprint


@pytest.mark.parametrize("wanted", [SMALL.kind, "s"])
def test_a_group_is_chosen_by_its_name_or_by_a_host(wanted: str) -> None:
    """Else it is the largest."""
    hosts = {"a": LARGE, "b": LIKE_IT, "s": SMALL}

    assert chosen(hosts, wanted).kind == SMALL.kind
    assert chosen(hosts, "").kind == LARGE.kind


def test_a_group_that_is_not_there() -> None:
    """Those that are there are named."""
    with refused(
        "`--group c`: the fleet has no such group, and no host of that name",
        f"its groups: {LARGE.kind} (a), {SMALL.kind} (s)",
    ):
        chosen({"a": LARGE, "s": SMALL}, "c")


def test_what_is_different() -> None:
    """In numbers, of this over that."""
    assert difference(SMALL, LARGE) == (
        "4 cores instead of 16, 8 GiB of memory instead of 64, 0 GPUs instead of 1, "
        "the processor EPYC instead of Xeon"
    )
    assert difference(LIKE_IT, LARGE) == ""


def test_a_host_of_another_group_is_refused() -> None:
    """The difference is named, and what can be done with such hosts."""
    assert of_other_group(SMALL, replace(SMALL, cores=8)) == Refusal(
        "it is of another group: 4 cores instead of 8",
        f"hosts like it make a study of their own: `--group {SMALL.kind}`",
    )
    assert of_other_group(LIKE_IT, LARGE) is None
    assert of_other_group(SMALL, None) is None
