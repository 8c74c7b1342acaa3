"""What is not as it was when a study was measured, and what of that rules out a comparison."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tuner.records import StudyRecord
from tuner.space.space import Configuration, SearchSpace

# Facts of the hardware whose change makes it another machine: those of its fingerprint.
_OF_THE_MACHINE = ("hostname", "processor", "cores", "memory_bytes")
# Those that are told: they may change what a server carries, and are no other machine.
_OF_ITS_SYSTEM = ("kernel", "numa_nodes", "threads_per_core", "numactl")
# Where a remote server is: another address of it is what a check may be of.
_ADDRESS = ("host", "port", "ports")
_NOT_THERE = "nothing"


@dataclass(frozen=True)
class Difference:
    """A fact then and now, in words; `rules_out` a comparison, or is what is to be checked."""

    name: str
    then: str
    now: str
    rules_out: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.then} then, {self.now} now"


def differences(
    study: StudyRecord, present: StudyRecord, winner: Configuration
) -> tuple[Difference, ...]:
    """Those between what the `study` was measured on and what a check of it would measure.

    A comparison takes the same machine, the same requests and a place of the same kind, where the
    `winner` can be had. The server, its image, the model's files and packages may be others: those
    are what a check is for.
    """
    return (*_ruling_out(study, present, winner), *_to_check(study, present))


def _ruling_out(
    study: StudyRecord, present: StudyRecord, winner: Configuration
) -> Iterator[Difference]:
    if study.hardware.get("fingerprint") != present.hardware.get("fingerprint"):
        yield from _changed(*_machines(study, present), _OF_THE_MACHINE, rules_out=True)
    yield from _changed(study.hardware, present.hardware, ("gpus",), rules_out=True)
    asked = study.request.keys() | present.request.keys()
    yield from _changed(study.request, present.request, sorted(asked), rules_out=True)
    if study.place is not None and present.place is not None:
        places = sorted((study.place.keys() | present.place.keys()) - set(_ADDRESS))
        yield from _changed(study.place, present.place, places, rules_out=True)
    yield from _renamed(study, present)
    if present.space is not None and not _is_in(present.space, winner):
        yield Difference("best configuration", str(winner), "not in the space", rules_out=True)


def _machines(
    study: StudyRecord, present: StudyRecord
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """What each was measured on; a fleet's capacities are as on the host of its baseline.

    What the others carry differs by their factors, and another host's is not known. The memory of
    a group of hosts is in whole GiB.
    """
    then, now = study.hardware, present.hardware
    host = study.baseline.host if study.baseline else ""
    if not host:
        return then, now
    whole = int(now.get("memory_bytes", 0)) >> 30 << 30
    return {**then, "hostname": host}, {**now, "memory_bytes": whole}


def _renamed(study: StudyRecord, present: StudyRecord) -> Iterator[Difference]:
    """Of a model file that is said anew, the name is its own."""
    same_file = study.options.get("model_file") == present.options.get("model_file")
    if study.server != present.server:
        yield Difference("server", study.server, present.server, rules_out=True)
    if study.model != present.model:
        yield Difference("model", study.model, present.model, rules_out=same_file)


def _to_check(study: StudyRecord, present: StudyRecord) -> Iterator[Difference]:
    names = sorted(study.environment.keys() | present.environment.keys())
    yield from _changed(study.environment, present.environment, names)
    yield from _changed(study.hardware, present.hardware, _OF_ITS_SYSTEM)
    if study.place is not None and present.place is not None:
        yield from _changed(study.place, present.place, _ADDRESS)
    prints = {
        "model's files": (study.model_fingerprint, present.model_fingerprint),
        "search space": (study.space_fingerprint, present.space_fingerprint),
    }
    for name, (then, now) in prints.items():
        if then != now:
            yield Difference(name, then, now)


def _changed(
    then: Mapping[str, Any], now: Mapping[str, Any], names: Any, *, rules_out: bool = False
) -> Iterator[Difference]:
    for name in names:
        # What a version before did not know is as good as nothing.
        if (then.get(name) or None) != (now.get(name) or None):
            before, after = (str(each.get(name) or _NOT_THERE) for each in (then, now))
            yield Difference(name, before, after, rules_out=rules_out)


def _is_in(space: SearchSpace, configuration: Configuration) -> bool:
    by_name = {parameter.name: parameter for parameter in space.parameters}
    return all(
        name in by_name and by_name[name].accepts(value) for name, value in configuration.items()
    )
