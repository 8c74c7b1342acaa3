"""The processor in detail: cores, instruction sets and caches, as /proc and /sys show them."""

import os
from pathlib import Path

import pytest

from tuner.hardware import quota
from tuner.watch.processor import Processor, detect

# Of an Intel Xeon (Sapphire Rapids), shortened.
X86 = """processor\t: 0
model name\t: Intel(R) Xeon(R) Platinum 8480+
flags\t\t: fpu avx avx2 avx512f avx512_vnni avx512_bf16 amx_bf16 amx_tile amx_int8
"""
ARM = "processor\t: 0\nFeatures\t: fp asimd sve bf16 i8mm\n"


@pytest.fixture
def processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process may use four."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})


def write(folder: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def found(folder: Path) -> Processor:
    return detect(proc=folder / "proc", sys=folder / "sys")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (X86, {"AVX2", "AVX-512", "VNNI", "AMX", "bf16"}),
        (X86.replace("avx512", "avx"), {"AVX2", "VNNI", "AMX", "bf16"}),
        (ARM, {"bf16"}),
        ("", set()),
    ],
)
def test_instruction_sets(tmp_path: Path, text: str, expected: set[str]) -> None:
    """By the kernel's names for x86 and Arm; nothing is guessed from the model's name."""
    write(tmp_path, {"proc/cpuinfo": text})

    instructions = found(tmp_path).instructions
    assert {name for name, there in instructions.items() if there} == expected


@pytest.mark.usefixtures("processors")
def test_physical_cores(tmp_path: Path) -> None:
    """Threads of one core are one core, of those processors that may be used."""
    pairs = {0: "0,4", 4: "0,4", 1: "1,5", 2: "2-3", 3: "2-3"}
    folder = "sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    write(tmp_path, {folder.format(n): f"{text}\n" for n, text in pairs.items()})

    assert (found(tmp_path).usable, found(tmp_path).physical) == (4, 3)


@pytest.mark.usefixtures("processors")
def test_without_a_topology(tmp_path: Path) -> None:
    """Each processor counts as a core of its own."""
    assert found(tmp_path).physical == 4


def test_caches(tmp_path: Path) -> None:
    """Sizes in bytes, by level and kind; what has no size is left out."""
    cache = "sys/devices/system/cpu/cpu0/cache/index{}/{}"
    rows = [
        ("1", "Data", "48K"),
        ("1", "Instruction", "32K"),
        ("2", "Unified", "2M"),
        ("3", "", ""),
    ]
    for number, (level, kind, size) in enumerate(rows):
        names = {"level": level, "type": kind, "size": size}
        write(tmp_path, {cache.format(number, n): text for n, text in names.items()})

    assert found(tmp_path).caches == {"L1d": 48 << 10, "L1i": 32 << 10, "L2": 2 << 20}


@pytest.mark.usefixtures("processors")
@pytest.mark.parametrize(
    ("said", "expected"), [("150000 100000", 1.5), ("max 100000", 4), ("800000 100000", 4)]
)
def test_the_quota(tmp_path: Path, said: str, expected: float) -> None:
    """Processors' worth of time, parts of one too; never more than may be used."""
    write(tmp_path, {"proc/self/cgroup": "0::/job", "sys/fs/cgroup/job/cpu.max": said})

    assert found(tmp_path).quota == expected


def test_no_quota(tmp_path: Path) -> None:
    """Without control groups there is none."""
    assert quota(proc=tmp_path, sys=tmp_path) is None
