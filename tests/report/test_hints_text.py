"""Hints and a host in words and as JSON."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.docs import hint_tables
from tuner.analysis.effect_columns import DOUBLED
from tuner.analysis.effects import Effect
from tuner.analysis.standings import Ratio
from tuner.hardware import Hardware
from tuner.hints.catalogue import catalogue
from tuner.hints.checking import Advice, Checked
from tuner.hints.evidence import Evidence, Finding
from tuner.hints.facts import Facts
from tuner.hints.host import Host
from tuner.report import hints_text
from tuner.watch.gpu_usage import Gpu
from tuner.watch.processor import Processor

[HINT] = [hint for hint in catalogue() if hint.name == "one-thread-per-worker"]
WHY: Facts = {"host.cores": 8, "result.busy": 0.12345, "result.edge": "", "config.batching": True}
NO_CHANGE = "threads={}: 1.00x here (0.90 to 1.10)"
HOST = Host(
    hardware=Hardware(
        cores=4,
        memory_bytes=32 << 30,
        numa_nodes=2,
        threads_per_core=2,
        numactl=False,
        gpus=1,
        processor="Some Processor",
        kernel="6.8.0",
        hostname="bench",
    ),
    processor=Processor(
        architecture="x86_64",
        usable=8,
        physical=4,
        quota=4.5,
        instructions={"AVX-512": True, "AMX": False},
        caches={"L1d": 48 << 10, "L2": 2 << 20},
    ),
    gpus=(Gpu("NVIDIA T4", 7.5, 16 << 30),),
    allocators={"libjemalloc.so.2": Path("/lib/libjemalloc.so.2")},
    openmp={},
)


def effect(value: Any = 1, ratio: float = 1.38) -> Effect:
    shown = Ratio(0.9 * ratio, ratio, 1.1 * ratio, 0.001)
    return Effect(parameter="threads", value=value, reference=2, ratio=shown)


def test_why_a_hint_holds() -> None:
    """The facts with their values, as a person reads them; nothing is called none."""
    said = dict(hints_text.lines(Advice(HINT, WHY)))

    assert list(said) == ["why", "do", "expect", "source", "checked"]
    assert said["why"] == (
        "host.cores = 8, result.busy = 0.123, result.edge = none, config.batching = true"
    )


@pytest.mark.parametrize(
    ("finding", "effects", "expected"),
    [
        (Finding.PROVED, [effect()], "threads=1: 1.38x here (1.24 to 1.52), proved"),
        (
            Finding.DISPROVED,
            [effect(DOUBLED, 2.0)],
            "threads, each doubling: 2.00x here (1.80 to 2.20), this study disproves it",
        ),
        (
            Finding.UNDECIDED,
            [effect(n, 1.0) for n in range(3, 8)],
            "; ".join([*map(NO_CHANGE.format, (3, 4, 5)), "2 more values, no proven effect"]),
        ),
    ],
)
def test_what_was_found(finding: Finding, effects: list[Effect], expected: str) -> None:
    """The ratio of each value that was measured, and what that says of the advice."""
    shown = Evidence(finding, tuple(effects))

    assert dict(hints_text.lines(Advice(HINT, WHY, shown)))["found"] == expected


def test_headings() -> None:
    """How important it is, or why there is nothing to do."""
    disproved = Evidence(Finding.DISPROVED, (effect(),))

    assert hints_text.heading(Advice(HINT, WHY)) == "one-thread-per-worker (high)"
    assert hints_text.heading(Advice(HINT, WHY, followed=True)).endswith("(followed already)")
    assert hints_text.heading(Advice(HINT, WHY, disproved, followed=True)).endswith(
        "(disproved here)"
    )


def test_titles() -> None:
    """How many hold, and of how many nothing can be said."""
    some = Checked((Advice(HINT, WHY),), {"autocast": ("host.tensor_cores",)}, 9)

    assert hints_text.title("study night", some) == (
        "study night: 1 of 9 hints hold; of 1 nothing can be said (`--json` names what is missing)"
    )
    assert (
        hints_text.title("this host", replace(some, unknown={})) == "this host: 1 of 9 hints hold"
    )
    assert hints_text.nothing("this host", replace(some, advice=())) == (
        "this host: none of the 8 hints that could be checked holds"
    )


def test_a_document() -> None:
    """All of it as values: nothing of the text has to be taken apart."""
    shown = Evidence(Finding.PROVED, (effect(),))
    checked = Checked((Advice(HINT, WHY, shown, followed=True),), {"autocast": ("x",)}, 9)

    document = hints_text.checked_document({"study": "night"}, checked)

    [hint] = document.pop("hints")
    assert document == {"study": "night", "checked": 8, "unknown": {"autocast": ["x"]}}
    assert (hint["name"], hint["why"], hint["finding"]) == (HINT.name, WHY, "proved")
    assert (hint["followed"], hint["importance"], hint["theme"]) == (True, "high", "processor")
    [measured] = hint["measured"]
    assert measured["low"] < measured["ratio"] == 1.38 < measured["high"]
    assert (measured["parameter"], measured["decided"]) == ("threads", True)


def test_a_host() -> None:
    """What it offers, with units."""
    assert dict(hints_text.host_lines(HOST)) == {
        "processor": "Some Processor (x86_64)",
        "processors": "8, of 4 physical cores with 2 threads each",
        "quota of the control group": "4.5 processors",
        "NUMA nodes": "2, numactl no",
        "caches": "L1d 48 KiB, L2 2 MiB",
        "instruction sets": "AVX-512",
        "not there": "AMX",
        "memory": "32 GiB",
        "GPUs": "NVIDIA T4 (compute capability 7.5, 16 GiB, tensor cores yes)",
        "allocators": "/lib/libjemalloc.so.2",
        "OpenMP": "none found",
    }


def test_a_host_without_limits() -> None:
    """No quota where it is as much as all processors; GPUs that nobody described are counted."""
    whole = replace(HOST, processor=replace(HOST.processor, quota=8), gpus=None)
    said = dict(hints_text.host_lines(whole))

    assert said["quota of the control group"] == "-"
    assert said["GPUs"] == "1; `pip install nvidia-ml-py` tells what they are"
    without = replace(whole, hardware=replace(HOST.hardware, gpus=0))
    assert dict(hints_text.host_lines(without))["GPUs"] == "none of NVIDIA"


def test_a_host_as_json() -> None:
    """The same as numbers, sizes in bytes, with what a study keeps of a machine."""
    document = hints_text.host_document(HOST)

    assert document["fingerprint"] == HOST.hardware.fingerprint
    assert document["caches_bytes"] == {"L1d": 49152, "L2": 2097152}
    assert document["gpu_devices"] == [
        {
            "name": "NVIDIA T4",
            "compute_capability": 7.5,
            "tensor_cores": True,
            "memory_bytes": 16 << 30,
        }
    ]
    assert hints_text.host_document(replace(HOST, gpus=None))["gpu_devices"] is None


def test_the_table_for_the_docs() -> None:
    """A section for each theme, and a row of as many cells for each hint."""
    rows = [
        row for row in hint_tables.markdown(catalogue()).splitlines() if row.startswith("| **")
    ]

    assert len(rows) == len(catalogue())
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {6}
