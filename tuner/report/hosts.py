"""The hosts of a fleet: what each of them measures, how fast it is, and what is wrong with it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich.console import RenderableType
from rich.table import Column
from rich.text import Text

from tuner.analysis.hosts import speeds
from tuner.records import StudyRecord
from tuner.report import formats
from tuner.report.columns import text_table
from tuner.report.figures import STEPS
from tuner.store.events import phases
from tuner.store.hosts import HostRecord, HostState, hosts_of
from tuner.store.storage import Storage

MEASURING = (HostState.MEASURING, HostState.READY)
"""States of hosts that measure, or will at once."""
_TITLES = ("host", "group", "state", "speed", "doing")


def host_document(
    host: HostRecord, *, factor: float = math.nan, phase: str = "", study: str = ""
) -> dict[str, Any]:
    """All that is known of it, as JSON values.

    `factor` is its speed over that of the study's first host, NaN where nobody knows; `phase` is
    that of the trial that it measures, of the `study` if it is named.
    """
    return {
        "host": host.name,
        "group": host.kind,
        "hardware": dict(host.hardware),
        "study": study or None,
        "state": host.state.value,
        "why": host.why,
        "factor": None if math.isnan(factor) else factor,
        "trial": host.trial,
        "phase": phase or None,
        "attempt": host.attempt,
        "changed_at": host.changed_at.isoformat(timespec="seconds"),
    }


def doing(found: Mapping[str, Any]) -> str:
    """What the host of the document does or, where it does nothing, why."""
    if found["state"] != HostState.MEASURING or found["trial"] is None:
        return str(found["why"] or found["study"] or "")
    phase = found["phase"]
    step = f": {STEPS.get(phase, phase)}" if phase else ""
    of_study = f"{found['study']}, " if found["study"] else ""
    return f"{of_study}trial {found['trial']}{step}"


def hosts_table(found: Sequence[Mapping[str, Any]]) -> RenderableType:
    """A line for each document; what hardware the groups have stands below."""
    rows = [
        (each["host"], each["group"], each["state"], speed(each["factor"]), doing(each))
        for each in found
    ]
    columns = [Column(title, overflow="fold") for title in _TITLES]
    columns[_TITLES.index("speed")].justify = "right"
    return text_table(rows, *columns)


def group_lines(found: Sequence[Mapping[str, Any]]) -> list[Text]:
    """What the hosts of each group have, a line for each group."""
    groups = {each["group"]: each["hardware"] for each in found if each["hardware"]}
    return [Text(f"group {name}: {hardware_text(has)}") for name, has in groups.items()]


def hardware_text(hardware: Mapping[str, Any]) -> str:
    """What a host has, in words."""
    gpus = hardware["gpus"]
    facts = [
        formats.counted(hardware["cores"], "core"),
        f"{hardware['memory_bytes'] >> 30} GiB",
        str(hardware["processor"]),
        *([formats.counted(gpus, "GPU")] if gpus else []),
    ]
    return ", ".join(facts)


def speed(factor: float | None) -> str:
    """A host's factor."""
    return formats.NOTHING if factor is None else f"{factor:.2f}"


def host_documents(
    storage: Storage, study: StudyRecord, *, is_live: bool
) -> tuple[dict[str, Any], ...]:
    """Those of its fleet, with what they do; nothing is asked where it has none.

    Where nobody runs the study any more, whoever did may not have said that they do nothing.
    """
    if not study.on_fleet:
        return ()
    found = hosts_of(storage, study.name)
    if not is_live:
        found = tuple(map(_dismissed, found))
    busy = {host.trial for host in found if host.trial is not None}
    begun = phases(storage, study.name, busy) if busy else {}
    known = speeds(study.trials).hosts
    factors = {name: math.exp(its.log_speed) for name, its in known.items() if its.canaries}
    return tuple(
        host_document(
            host,
            factor=factors.get(host.name, math.nan),
            phase="" if host.trial is None else begun.get(host.trial, ""),
        )
        for host in found
    )


def _dismissed(host: HostRecord) -> HostRecord:
    serves = host.state in (*MEASURING, HostState.RESTING)
    return replace(host, state=HostState.DISMISSED, why="", trial=None) if serves else host


def on_hosts(hosts: Sequence[Mapping[str, Any]]) -> str:
    """How many of them measure, and what."""
    trials = sorted(each["trial"] for each in hosts if each["trial"] is not None)
    if not trials:
        return "between two trials"
    what = "trial" if len(trials) == 1 else "trials"
    there = formats.counted(len(hosts), "host")
    return f"{what} {', '.join(map(str, trials))} on {len(trials)} of {there}"
