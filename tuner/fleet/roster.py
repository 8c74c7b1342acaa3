"""The hosts of a fleet as its driver knows them: what each does, and what it did."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from tuner.fleet.errand import Errand
from tuner.hardware import Hardware
from tuner.records import Purpose
from tuner.space.space import Configuration
from tuner.store.hosts import USABLE, HostRecord, HostState

# How long a host rests that spoils one trial after the other, in seconds; after the last rest it
# is put aside.
_RESTS_S = (60.0, 300.0, 900.0)


@dataclass
class Host:
    """A host; `errand` is what it runs as `attempt`.

    `configuration` is what its server has, as far as is known. `rests` counts those in a row,
    of which the last one is over at `rested_s` of the clock.
    """

    name: str
    hardware: Hardware | None
    changed_at: datetime
    state: HostState = HostState.READY
    why: str = ""
    errand: Errand | None = None
    attempt: int = 0
    configuration: Configuration | None = None
    spoiled: int = 0
    rests: int = 0
    rested_s: float = 0.0

    def runs(self, purpose: Purpose) -> bool:
        """Whether it runs a trial for that purpose."""
        return self.errand is not None and self.errand.plan.purpose is purpose

    def record(self) -> HostRecord:
        return HostRecord(
            name=self.name,
            kind=self.hardware.kind if self.hardware else "",
            hardware=self.hardware.as_record() if self.hardware else {},
            state=self.state,
            why=self.why,
            trial=self.errand.plan.number if self.errand else None,
            attempt=self.attempt,
            changed_at=self.changed_at,
        )


class Roster:
    """All hosts that were ever heard of, in the order in which they were."""

    def __init__(self) -> None:
        self._hosts: dict[str, Host] = {}
        self._changed: dict[str, None] = {}

    def __iter__(self) -> Iterator[Host]:
        return iter(self._hosts.values())

    def get(self, name: str) -> Host | None:
        return self._hosts.get(name)

    @property
    def ready(self) -> Sequence[Host]:
        return [host for host in self if host.state is HostState.READY]

    @property
    def running(self) -> Sequence[Host]:
        return [host for host in self if host.errand is not None]

    @property
    def usable(self) -> Sequence[Host]:
        return [host for host in self if host.state in USABLE]

    @property
    def awake(self) -> Sequence[Host]:
        return [host for host in self.usable if host.state is not HostState.RESTING]

    def known(self, name: str, hardware: Hardware | None, now: datetime) -> Host:
        """The host of that name, new or not."""
        host = self._hosts.setdefault(name, Host(name, hardware, now))
        host.hardware = hardware or host.hardware
        return host

    def goes(self, host: Host, state: HostState, now: datetime, why: str = "") -> None:
        """The host does something else from now on."""
        host.state, host.why, host.changed_at = state, why, now
        self._changed[host.name] = None

    def begins(self, host: Host, errand: Errand, attempt: int, now: datetime) -> None:
        host.errand, host.attempt = errand.begun(host.name, attempt, now), attempt
        host.configuration = errand.plan.configuration
        self.goes(host, HostState.MEASURING, now)

    def ends(self, host: Host, now: datetime) -> Errand | None:
        """It runs nothing any more; what it ran, if it did."""
        errand, host.errand = host.errand, None
        if errand is not None:
            self.goes(host, HostState.READY, now)
        return errand

    def rests(self, host: Host, why: str, now: datetime, now_s: float) -> float | None:
        """The host is left alone for so many seconds; for good, and None, if that did not help."""
        host.configuration = None
        if host.rests == len(_RESTS_S):
            self.goes(host, HostState.ASIDE, now, why)
            return None
        rest_s = _RESTS_S[host.rests]
        host.rests, host.rested_s = host.rests + 1, now_s + rest_s
        self.goes(host, HostState.RESTING, now, why)
        return rest_s

    def wake(self, now: datetime, now_s: float) -> None:
        """Those whose rest is over are ready again."""
        for host in self:
            if host.state is HostState.RESTING and host.rested_s <= now_s:
                self.goes(host, HostState.READY, now)

    def dismiss(self, now: datetime) -> None:
        """The study has ended."""
        for host in self.usable:
            host.errand = None
            self.goes(host, HostState.DISMISSED, now)

    def changes(self) -> Sequence[HostRecord]:
        """The hosts that have changed since this was asked last."""
        changed, self._changed = self._changed, {}
        return [self._hosts[name].record() for name in changed]
