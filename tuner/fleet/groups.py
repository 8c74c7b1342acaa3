"""Hosts of one kind of hardware make a group, and only hosts of one group measure a study."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tuner.errors import InputError
from tuner.hardware import Hardware

# What the hardware of a group's hosts is called in a study: it is that of none of them alone.
HOSTNAME = "a fleet"


@dataclass(frozen=True)
class Group:
    """The hosts of one `Hardware.kind`, by name."""

    kind: str
    hosts: Mapping[str, Hardware]

    @property
    def hardware(self) -> Hardware:
        """What each of the hosts has at least; its fingerprint does not depend on which there are.

        Memory is in whole GiB, as in their kind.
        """
        first, *_ = found = list(self.hosts.values())
        return replace(
            first,
            memory_bytes=first.memory_bytes >> 30 << 30,
            numa_nodes=min(each.numa_nodes for each in found),
            threads_per_core=min(each.threads_per_core for each in found),
            numactl=all(each.numactl for each in found),
            hostname=HOSTNAME,
        )


def groups(hosts: Mapping[str, Hardware]) -> Sequence[Group]:
    """Those of the `hosts`, by their names: the largest first, then that of the first name."""
    found: dict[str, dict[str, Hardware]] = defaultdict(dict)
    for name in sorted(hosts):
        found[hosts[name].kind][name] = hosts[name]
    by_size = sorted(found.items(), key=lambda each: -len(each[1]))
    return [Group(kind, members) for kind, members in by_size]


def chosen(hosts: Mapping[str, Hardware], wanted: str) -> Group:
    """Of `hosts` (one at least) the group of that kind, or with that host; else the largest.

    Raises:
        InputError: `wanted` is none of them.
    """
    found = groups(hosts)
    for each in found:
        if not wanted or wanted == each.kind or wanted in each.hosts:
            return each
    there = ", ".join(f"{each.kind} ({', '.join(each.hosts)})" for each in found)
    raise InputError(
        f"`--group {wanted}`: the fleet has no such group, and no host of that name",
        hint=f"its groups: {there}",
    )


def difference(of: Hardware, than: Hardware) -> str:
    """In what the hardware is of another kind, in words; empty if in nothing."""
    facts = {
        "cores": (of.cores, than.cores),
        "GiB of memory": (of.memory_bytes >> 30, than.memory_bytes >> 30),
        "GPUs": (of.gpus, than.gpus),
    }
    said = [f"{its} {what} instead of {theirs}" for what, (its, theirs) in facts.items()
            if its != theirs]  # fmt: skip
    if of.processor != than.processor:
        said.append(f"the processor {of.processor} instead of {than.processor}")
    return ", ".join(said)
