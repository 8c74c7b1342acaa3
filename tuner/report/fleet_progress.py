"""The progress of a study that several hosts measure, while it runs."""

import time
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tuner.records import PointRecord, Purpose, TrialRecord
from tuner.report import formats
from tuner.report.terminal import PHASES, LiveProgress
from tuner.space.space import Configuration
from tuner.store.hosts import HostState

# Hosts that have a line of their own on a terminal.
_MOST_SHOWN = 16


class FleetProgress(LiveProgress):
    """As LiveProgress, with a line for each host; what a host does is told to what is `on` it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._hosts: dict[str, HostProgress] = {}

    def on(self, host: str) -> "LiveProgress | HostProgress":
        if not host:
            return self
        return self._hosts.setdefault(host, HostProgress(self))

    def host_changes(self, host: str, state: str) -> None:
        """What it measures is told by itself."""
        self._hosts.setdefault(host, HostProgress(self)).goes(state)

    def trial_begins(self, number: int, purpose: Purpose, configuration: Configuration) -> None:
        """On one of the hosts."""
        if purpose is Purpose.BASELINE:
            self._baseline = configuration

    def trial_ends(self, record: TrialRecord) -> None:
        if host := self._hosts.get(record.host):
            host.goes(HostState.READY)
        super().trial_ends(record)

    @property
    def _at_once(self) -> int:
        return max(1, sum(host.measures for host in self._hosts.values()))

    def _doing(self) -> RenderableType:
        table = Table.grid(padding=(0, 2), expand=True)
        for _ in range(2):
            table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        hosts = sorted(self._hosts)
        for host in hosts[:_MOST_SHOWN]:
            cells = self._hosts[host].cells(self._baseline)
            table.add_row(*map(Text, (host, *cells)))
        below = [Text(self._phase)] if self._phase else []
        if left := hosts[_MOST_SHOWN:]:
            busy = sum(self._hosts[host].measures for host in left)
            more = formats.counted(len(left), "host")
            below.insert(0, Text(f"and {more} more, of which {busy} measure"))
        return Group(table, *below)


class HostProgress:
    """Implements Observer for one host of a fleet."""

    def __init__(self, progress: FleetProgress) -> None:
        self._progress = progress
        self._state: str = HostState.READY
        self._trial = ""
        self._configuration = Configuration.of({})
        self._phase = ""
        self._began_s = 0.0

    @property
    def measures(self) -> bool:
        return self._state == HostState.MEASURING

    def goes(self, state: str) -> None:
        self._state = state

    def trial_begins(self, number: int, purpose: Purpose, configuration: Configuration) -> None:
        self._progress.trial_begins(number, purpose, configuration)
        self._state = HostState.MEASURING
        self._trial, self._configuration = f"trial {number} ({purpose.value})", configuration
        self._phase, self._began_s = "", time.monotonic()

    def began_ago(self, seconds: float) -> None:
        """The trial in progress began that long ago."""
        self._began_s = time.monotonic() - seconds

    def phase_begins(self, phase: str) -> None:
        self._phase = PHASES.get(phase, phase)

    def point_ends(self, point: PointRecord) -> None:
        """The phase says enough."""

    def trial_ends(self, record: TrialRecord) -> None:
        self._progress.trial_ends(record)

    def cells(self, baseline: Configuration | None) -> tuple[str, str]:
        """What it does, and with which configuration."""
        if not self.measures:
            return self._state, ""
        spent = formats.duration(time.monotonic() - self._began_s)
        configuration = formats.short(self._configuration, baseline)
        return f"{self._trial}, {spent}", ": ".join(filter(None, (self._phase, configuration)))
