"""Hints and what a host offers, as lines and as JSON (pure)."""

from collections.abc import Iterator, Mapping
from typing import Any

from tuner.analysis.effects import Effect, Judgement
from tuner.hints.checking import Advice, Checked
from tuner.hints.evidence import Evidence, Finding
from tuner.hints.host import Host
from tuner.report import formats
from tuner.space.expressions import Value

# Effects that are told of one hint.
_MOST_EFFECTS = 3
_FINDINGS = {
    Finding.PROVED: "proved",
    Finding.DISPROVED: "this study disproves it",
    Finding.UNDECIDED: "no proven effect",
}


def title(about: str, checked: Checked) -> str:
    """How many hold; of `about`, such as `study night`."""
    told = f"{about}: {len(checked.advice)} of {formats.counted(checked.hints, 'hint')} hold"
    if checked.unknown:
        told += f"; of {len(checked.unknown)} nothing can be said (`--json` names what is missing)"
    return told


def nothing(about: str, checked: Checked) -> str:
    """In place of the list, where no hint holds."""
    could = checked.hints - len(checked.unknown)
    return f"{about}: none of the {formats.counted(could, 'hint')} that could be checked holds"


def lines(advice: Advice) -> Iterator[tuple[str, str]]:
    """What is said of one hint, by the word before it."""
    hint = advice.hint
    yield "why", ", ".join(f"{name} = {_value(value)}" for name, value in advice.why.items())
    yield "do", hint.advice
    yield "expect", hint.effect
    if advice.evidence:
        yield "found", found(advice.evidence)
    yield "source", hint.source
    yield "checked", hint.checked


def heading(advice: Advice) -> str:
    """The name of a hint, with its importance or why it needs nothing done."""
    if advice.is_disproved:
        state = "disproved here"
    elif advice.followed:
        state = "followed already"
    else:
        state = advice.hint.importance.value
    return f"{advice.hint.name} ({state})"


def found(evidence: Evidence) -> str:
    """`threads=1: 1.38x here, proved`."""
    shown = "; ".join(map(_effect, evidence.effects[:_MOST_EFFECTS]))
    more = len(evidence.effects) - _MOST_EFFECTS
    others = f"; {formats.counted(more, 'more value')}" if more > 0 else ""
    return f"{shown}{others}, {_FINDINGS[evidence.finding]}"


def checked_document(about: Mapping[str, Any], checked: Checked) -> dict[str, Any]:
    """All of it as JSON content."""
    return {
        **about,
        "hints": [_document(each) for each in checked.advice],
        "checked": checked.hints - len(checked.unknown),
        "unknown": {name: list(missing) for name, missing in checked.unknown.items()},
    }


def host_lines(host: Host) -> Iterator[tuple[str, str]]:
    """What a host offers, by what it is."""
    machine, found = host.hardware, host.processor
    yield "processor", f"{machine.processor} ({found.architecture})"
    cores = formats.counted(found.physical, "physical core")
    threads = formats.counted(machine.threads_per_core, "thread")
    yield "processors", f"{found.usable}, of {cores} with {threads} each"
    limit = found.quota if found.quota < found.usable else None
    yield "quota of the control group", f"{limit:g} processors" if limit else formats.NOTHING
    yield "NUMA nodes", f"{machine.numa_nodes}, numactl {_there(machine.numactl)}"
    caches = (f"{name} {_size(size)}" for name, size in found.caches.items())
    yield "caches", ", ".join(caches) or "not known"
    offered = [name for name, there in found.instructions.items() if there]
    missing = [name for name, there in found.instructions.items() if not there]
    yield "instruction sets", ", ".join(offered) or formats.NOTHING
    if missing:
        yield "not there", ", ".join(missing)
    yield "memory", _size(machine.memory_bytes)
    yield "GPUs", _gpus(host)
    yield "allocators", ", ".join(map(str, host.allocators.values())) or "none found"
    yield "OpenMP", ", ".join(map(str, host.openmp.values())) or "none found"


def host_document(host: Host) -> dict[str, Any]:
    """The same as JSON content; memory and caches in bytes."""
    machine, found = host.hardware, host.processor
    return {
        **machine.as_record(),
        "architecture": found.architecture,
        "usable_processors": found.usable,
        "physical_cores": found.physical,
        "quota": found.quota,
        "instructions": dict(found.instructions),
        "caches_bytes": dict(found.caches),
        "gpu_devices": None
        if host.gpus is None
        else [
            {
                "name": gpu.name,
                "compute_capability": gpu.compute_capability,
                "tensor_cores": gpu.has_tensor_cores,
                "memory_bytes": gpu.memory_bytes,
            }
            for gpu in host.gpus
        ],
        "allocators": {name: str(path) for name, path in host.allocators.items()},
        "openmp": {name: str(path) for name, path in host.openmp.items()},
    }


def _gpus(host: Host) -> str:
    if host.gpus:
        return ", ".join(
            f"{gpu.name} (compute capability {gpu.compute_capability}, {_size(gpu.memory_bytes)}, "
            f"tensor cores {_there(gpu.has_tensor_cores)})"
            for gpu in host.gpus
        )
    if host.hardware.gpus:
        return f"{host.hardware.gpus}; `pip install nvidia-ml-py` tells what they are"
    return "none of NVIDIA"


def _there(there: bool) -> str:  # noqa: FBT001 - the only argument
    return "yes" if there else "no"


def _size(size_bytes: int) -> str:
    """In the largest unit of which there is at least one."""
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size_bytes >= 1 << power:
            return f"{size_bytes / (1 << power):.4g} {unit}"
    return f"{size_bytes} bytes"


def _value(value: Value) -> str:
    match value:
        case bool():
            return formats.value(value)
        case float():
            return f"{value:.3g}"
        case str():
            return value or "none"
        case _:
            return str(value)


def _effect(effect: Effect) -> str:
    value = formats.value(effect.value)
    name = f"{effect.parameter}={value}"
    if isinstance(effect.value, str) and " " in effect.value:  # `each doubling`, `above 0`
        name = f"{effect.parameter}, {value}"
    if effect.ratio is None:
        return f"{name}: not known"
    interval = f"{effect.ratio.low:.2f} to {effect.ratio.high:.2f}"
    return f"{name}: {formats.times(effect.ratio.estimate)} here ({interval})"


def _document(advice: Advice) -> dict[str, Any]:
    hint, evidence = advice.hint, advice.evidence
    return {
        "name": hint.name,
        "theme": hint.theme,
        "importance": hint.importance.value,
        "condition": hint.condition,
        "why": dict(advice.why),
        "advice": hint.advice,
        "effect": hint.effect,
        "source": hint.source,
        "checked": hint.checked,
        "followed": advice.followed,
        "finding": evidence.finding.value if evidence else None,
        "measured": [_measured(each) for each in evidence.effects] if evidence else [],
    }


def _measured(effect: Effect) -> dict[str, Any]:
    ratio = effect.ratio
    return {
        "parameter": effect.parameter,
        "value": effect.value,
        "reference": effect.reference,
        "ratio": ratio.estimate if ratio else None,
        "low": ratio.low if ratio else None,
        "high": ratio.high if ratio else None,
        "decided": effect.judgement in (Judgement.HELPED, Judgement.HURT),
    }
