"""Which hosts a fleet has, and what each is and lacks; nothing is left running on them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from time import monotonic

from tuner.errors import InputError, TunerError
from tuner.fleet import clocks
from tuner.fleet.admission import Refusal, read_facts, refusal
from tuner.fleet.host_facts import CHECKS, HostFacts, own_versions
from tuner.fleet.ray_cluster import (
    SEE_RAY,
    START_HINT,
    Answer,
    HostGoneError,
    Node,
    RayCluster,
    RemoteHost,
    connected,
    name_of,
)
from tuner.hardware import Hardware

# A host that is asked what it is has so many seconds for it.
_LONGEST_S = 60.0
_CLOCK_S = 10.0


@dataclass(frozen=True)
class FoundHost:
    """A host of the cluster; without `facts` it could not say them, for the reason `refusal`.

    Its clock is `offset_s` ahead of this machine's, at least. `refusal` is why it could not take
    part in any study.
    """

    name: str
    address: str
    facts: HostFacts | None = None
    offset_s: float = 0.0
    refusal: Refusal | None = None


def fit_hosts(address: str) -> Mapping[str, Hardware]:
    """The hardware of each host that could take part in a study, by name.

    Raises:
        TunerError: There is no cluster at `address`, or no such host in it.
    """
    found = inventory(address)
    fit = {each.name: each.facts.hardware for each in found if each.facts and not each.refusal}
    if not fit:
        faults = (f"{each.name}: {each.refusal.why}" for each in found if each.refusal)
        raise TunerError(
            f"no host of the fleet can take part: {'; '.join(faults)}",
            hint="`tuner fleet doctor` says what to do about each",
        )
    return fit


def inventory(
    address: str, *, checks: bool = False, without: Collection[str] = ()
) -> tuple[FoundHost, ...]:
    """All hosts but those in `without`, asked at once; with the `checks` of `tuner doctor` there.

    Raises:
        TunerError: There is no cluster at `address`.
        InputError: It has no host.
    """
    with connected(address) as cluster:
        nodes: dict[str, Node] = {}
        for node in cluster.nodes():
            nodes[name_of(node, nodes)] = node
        if not nodes:
            raise InputError(f"the cluster of Ray at `{address}` has no host", hint=START_HINT)
        asked = {name: node for name, node in nodes.items() if name not in without}
        return tuple(_asked(cluster, asked, [CHECKS] if checks else []))


def _asked(
    cluster: RayCluster, nodes: Mapping[str, Node], words: Sequence[str]
) -> Iterator[FoundHost]:
    with ExitStack() as stack:
        remotes = {name: cluster.actor(node, alone=False) for name, node in nodes.items()}
        for remote in remotes.values():
            stack.callback(remote.kill)
        asked = {name: remote.ask("facts", *words) for name, remote in remotes.items()}
        until_s = monotonic() + _LONGEST_S
        for name, node in nodes.items():
            left_s = max(0.0, until_s - monotonic())
            yield _found(FoundHost(name, node.address), remotes[name], asked[name], left_s)


def _found(host: FoundHost, remote: RemoteHost, asked: Answer, longest_s: float) -> FoundHost:
    try:
        facts = read_facts(remote.answer(asked, longest_s), own_versions())
        if isinstance(facts, Refusal):
            return replace(host, refusal=facts)
        offset_of = clocks.asked()
        offset_s = offset_of(remote.answer(remote.ask("clock"), _CLOCK_S))
    except HostGoneError as error:
        return replace(host, refusal=Refusal(error.message, SEE_RAY))
    fault = refusal(facts, offset_s=offset_s, parcel_bytes=0)
    return replace(host, facts=facts, offset_s=offset_s, refusal=fault)
